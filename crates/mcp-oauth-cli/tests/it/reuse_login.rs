//! `login --reuse-login`: one login for two servers of one issuer.

use mcp_oauth_testbed::{Fault, Peer, Testbed};
use serde_json::json;

use crate::support::Home;

/// Returns a home with a login to `notes`, and a mail server with the same issuer. The issuer accepts a
/// login for both if it is `generous`.
async fn two_servers_of_one_issuer(generous: bool) -> (Home, Testbed) {
    let mail = Testbed::start().await.unwrap();
    let mut builder = Testbed::builder().additional_resource(mail.server_url().as_str());
    if generous {
        builder = builder.one_login_for_all_resources();
    }
    let home = Home::with(builder).await;
    let issuer = json!([home.testbed.issuer()]);
    mail.set_fault(Fault::PrmField("authorization_servers".to_owned(), issuer));
    home.login(&["notes", &home.url()]).await.succeeded();
    (home, mail)
}

/// Returns the number of decisions on the consent page. A separate request checks a remembered client.
fn pages(home: &Home) -> usize {
    let decision = "/authorize/decision";
    home.testbed
        .count(Peer::AuthorizationServer, "POST", decision)
}

#[tokio::test]
async fn a_login_is_shared_with_another_server_of_the_same_issuer() {
    let (home, mail) = two_servers_of_one_issuer(true).await;
    let url = mail.server_url().to_string();
    let asked = pages(&home);
    home.run(&["login", "mail", &url, "--reuse-login"])
        .await
        .succeeded();
    assert_eq!(pages(&home), asked, "no consent page was opened");
    let issued = home.testbed.issued_tokens();
    assert_eq!(issued.last().unwrap().resource, url);
    home.run(&["tools", "notes"]).await.succeeded();
    // Each server has its own token.
    let notes = home.run(&["token", "notes"]).await.succeeded().stdout;
    let mails = home.run(&["token", "mail"]).await.succeeded().stdout;
    assert_ne!(notes, mails);
    // The flag is stored with the name.
    home.run(&["logout", "--local", "mail"]).await.succeeded();
    home.run(&["login", "mail"]).await.succeeded();
    assert_eq!(pages(&home), asked);
}

#[tokio::test]
async fn the_browser_opens_where_a_login_is_not_or_cannot_be_reused() {
    for (generous, flags) in [(true, [].as_slice()), (false, &["--reuse-login"])] {
        let (home, mail) = two_servers_of_one_issuer(generous).await;
        let url = mail.server_url().to_string();
        let asked = pages(&home);
        let typed = [&["mail", url.as_str()], flags].concat();
        home.login(&typed).await.succeeded();
        assert_eq!(pages(&home), asked + 1);
        home.run(&["tools", "notes"]).await.succeeded();
    }
}
