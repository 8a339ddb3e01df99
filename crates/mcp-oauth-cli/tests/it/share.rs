//! `login --share`: one login for two servers of one issuer.

use mcp_oauth_testbed::{Fault, Peer, Testbed};
use serde_json::json;

use crate::support::Home;

/// A home where `notes` is logged in, and the server of the mail, whose tokens the same issuer
/// gives; a login there is good for both if the issuer is `generous`.
async fn company(generous: bool) -> (Home, Testbed) {
    let mail = Testbed::start().await.unwrap();
    let mut builder = Testbed::builder().also_issues_for(mail.server_url().as_str());
    if generous {
        builder = builder.one_login_for_all_resources();
    }
    let home = Home::with(builder).await;
    let issuer = json!([home.testbed.issuer()]);
    mail.set_fault(Fault::PrmField("authorization_servers".to_owned(), issuer));
    home.login(&["notes", &home.url()]).await.succeeded();
    (home, mail)
}

/// How often a user decided. A remembered client is checked by a request of its own.
fn pages(home: &Home) -> usize {
    let decision = "/authorize/decision";
    home.testbed
        .count(Peer::AuthorizationServer, "POST", decision)
}

#[tokio::test]
async fn a_login_is_shared_with_another_server_of_the_same_issuer() {
    let (home, mail) = company(true).await;
    let url = mail.server_url().to_string();
    let asked = pages(&home);
    home.run(&["login", "mail", &url, "--share"])
        .await
        .succeeded();
    assert_eq!(pages(&home), asked, "nobody was asked");
    let issued = home.testbed.issued_tokens();
    assert_eq!(issued.last().unwrap().resource, url);
    home.run(&["tools", "notes"]).await.succeeded();
    // Each has a token of its own.
    let notes = home.run(&["token", "notes"]).await.succeeded().stdout;
    let mails = home.run(&["token", "mail"]).await.succeeded().stdout;
    assert_ne!(notes, mails);
    // The name remembers it.
    home.run(&["clear", "mail"]).await.succeeded();
    home.run(&["login", "mail"]).await.succeeded();
    assert_eq!(pages(&home), asked);
}

#[tokio::test]
async fn a_person_is_asked_where_a_login_is_not_to_be_shared_or_cannot_be() {
    for (generous, flags) in [(true, [].as_slice()), (false, &["--share"])] {
        let (home, mail) = company(generous).await;
        let url = mail.server_url().to_string();
        let asked = pages(&home);
        let typed = [&["mail", url.as_str()], flags].concat();
        home.login(&typed).await.succeeded();
        assert_eq!(pages(&home), asked + 1);
        home.run(&["tools", "notes"]).await.succeeded();
    }
}
