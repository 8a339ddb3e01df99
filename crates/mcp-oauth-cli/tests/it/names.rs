//! Several names of one URL and account are one login, and the command says so.

use mcp_oauth_testbed::{Fault, Peer};
use serde_json::json;

use crate::{
    device::devices,
    support::{Home, Output},
};

fn pages(home: &Home) -> usize {
    home.testbed
        .count(Peer::AuthorizationServer, "POST", "/authorize/decision")
}

/// The remembered entry of `name`.
fn remembered(home: &Home, name: &str) -> serde_json::Value {
    let names = std::fs::read_to_string(home.data().join("servers.json")).unwrap();
    let names: serde_json::Value = serde_json::from_str(&names).unwrap();
    names["servers"][name].clone()
}

#[track_caller]
fn says_no_login(output: &Output) {
    assert!(!output.stdout.contains("Logged in"), "{output:#?}");
}

#[tokio::test]
async fn a_second_name_of_one_url_is_the_same_login_and_says_so() {
    let home = Home::new().await;
    home.login(&["work", &home.url()]).await.succeeded();
    let second = home.run(&["login", "other", &home.url()]).await.succeeded();
    second.says(
        "Already logged in (same login as `work`); --force asks again, --account keeps another",
    );
    says_no_login(&second);
    let json = home
        .run(&["login", "other", &home.url(), "--json"])
        .await
        .succeeded()
        .json();
    assert_eq!(
        (&json["reused"], &json["same_login_as"]),
        (&true.into(), &json!(["work"]))
    );
    assert_eq!(pages(&home), 1, "no second page was opened");
    // What both say is true: one asks again, and the other keeps another login.
    home.login(&["other", "--force"])
        .await
        .succeeded()
        .says("Logged in to other")
        .says("same login as  `work`");
    let mine = home
        .login(&["mine", &home.url(), "--account", "mine"])
        .await;
    let mine = mine.succeeded();
    mine.says("Logged in to mine");
    assert!(!mine.stdout.contains("same login"), "{mine:?}");
    assert_eq!(pages(&home), 3);
}

#[tokio::test]
async fn a_name_that_stands_for_another_account_from_now_on_is_warned_of() {
    let home = Home::new().await;
    let url = home.url();
    home.login(&["work", &url]).await.succeeded();
    home.login(&["work", "--account", "mine"])
        .await
        .succeeded()
        .says(&format!(
            "warning: `work` stood for {url} without an account until now"
        ));
    let back = home.login(&["work", "--account", "other"]).await;
    back.succeeded()
        .says(&format!("`work` stood for the account `mine` at {url}"));
    let again = home.run(&["login", "work"]).await.succeeded();
    assert!(!again.stderr.contains("stood for"), "{again:?}");
}

#[tokio::test]
async fn a_login_that_is_still_good_is_not_said_to_be_a_new_one() {
    let home = Home::logged_in().await;
    let again = home.run(&["login", "notes"]).await.succeeded();
    again.says("Already logged in; --force asks again");
    says_no_login(&again);
    let json = home
        .run(&["login", "notes", "--json"])
        .await
        .succeeded()
        .json();
    assert_eq!(
        (&json["reused"], &json["same_login_as"]),
        (&true.into(), &json!([]))
    );
    let json = home.login(&["notes", "--force", "--json"]).await;
    assert_eq!(json.succeeded().json()["reused"], false);
}

#[tokio::test]
async fn what_ends_one_name_of_a_login_says_which_others_end() {
    let home = Home::new().await;
    for ends in ["clear", "logout"] {
        home.login(&["work", &home.url()]).await.succeeded();
        home.run(&["login", "other", &home.url()]).await.succeeded();
        home.login(&["mine", &home.url(), "--account", "mine"])
            .await
            .succeeded();
        let ended = home.run(&[ends, "work"]).await.succeeded();
        ended.says("Forgot the tokens of work; also ends `other`; ");
        home.run(&["token", "other"]).await.ended(3);
        home.run(&["token", "mine"]).await.succeeded();
        let nothing = home.run(&[ends, "other"]).await.succeeded();
        assert!(!nothing.stdout.contains("also ends"), "{nothing:?}");

        home.login(&["work"]).await.succeeded();
        let url = home.url();
        let json = home.run(&[ends, &url, "--json"]).await.succeeded().json();
        assert_eq!(json["also_ends"], json!(["other", "work"]));
        let alone = home.run(&[ends, "mine", "--json"]).await.succeeded().json();
        assert_eq!(json!([]), alone["also_ends"]);
    }
}

#[tokio::test]
async fn a_device_login_that_never_happened_is_neither_claimed_nor_remembered() {
    let home = Home::logged_in().await;
    let url = home.url();
    for name in ["notes", "other"] {
        let typed = ["login", name, &url, "--device"];
        let reused = home.run(&typed).await.succeeded();
        reused.says("Already logged in");
        says_no_login(&reused);
        assert_eq!(remembered(&home, name).get("way"), None);
    }
    home.run(&["login", "notes", &url, "--device", "--force"])
        .await
        .ended(1)
        .says("no way to log in works");
    home.run(&["login", "third", "--device"]).await.ended(2);
    assert_eq!(remembered(&home, "notes").get("way"), None);
}

/// At a server that has the flow, the option is remembered as any other.
#[tokio::test]
async fn the_device_flow_of_a_server_that_has_it_is_remembered_with_a_login_that_is_reused() {
    let home = Home::with(devices()).await;
    let url = home.url();
    home.login(&["notes", &url, "--no-browser"])
        .await
        .succeeded();
    home.run(&["login", "notes", &url, "--device"])
        .await
        .succeeded()
        .says("Already logged in; --force asks again");
    assert_eq!(remembered(&home, "notes")["way"], "device");
    // A server that lists the grant, but no endpoint, has no device flow.
    home.testbed.set_fault(Fault::MetadataWithout(
        "device_authorization_endpoint".to_owned(),
    ));
    home.login(&["notes", &url, "--force", "--no-browser"])
        .await
        .succeeded();
    home.run(&["login", "notes", &url, "--device"])
        .await
        .succeeded();
    assert_eq!(remembered(&home, "notes").get("way"), None);
}
