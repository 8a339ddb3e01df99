//! Several names of one URL and account share a login, and the command reports it.

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

/// Returns the stored entry of `name`.
fn remembered(home: &Home, name: &str) -> serde_json::Value {
    let names = std::fs::read_to_string(home.data().join("servers.json")).unwrap();
    let names: serde_json::Value = serde_json::from_str(&names).unwrap();
    names["servers"][name].clone()
}

#[track_caller]
fn assert_no_new_login(output: &Output) {
    assert!(!output.stdout.contains("Logged in"), "{output:#?}");
}

#[tokio::test]
async fn a_second_name_of_a_url_shares_the_login_and_reports_it() {
    let home = Home::new().await;
    home.login(&["work", &home.url()]).await.succeeded();
    let second = home.run(&["login", "other", &home.url()]).await.succeeded();
    second.says(
        "Already logged in (same login as `work`); use --force to log in again, --account for another account",
    );
    assert_no_new_login(&second);
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
    // Both hints work: `--force` logs in again, and `--account` keeps another login.
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
async fn changing_the_account_of_a_name_prints_a_warning() {
    let home = Home::new().await;
    let url = home.url();
    home.login(&["work", &url]).await.succeeded();
    home.login(&["work", "--account", "mine"])
        .await
        .succeeded()
        .says(&format!(
            "warning: `work` was the name of {url} without an account until now"
        ));
    let back = home.login(&["work", "--account", "other"]).await;
    back.succeeded().says(&format!(
        "`work` was the name of the account `mine` at {url}"
    ));
    let again = home.run(&["login", "work"]).await.succeeded();
    assert!(!again.stderr.contains("was the name of"), "{again:?}");
}

#[tokio::test]
async fn a_reused_login_is_not_reported_as_new() {
    let home = Home::logged_in().await;
    let again = home.run(&["login", "notes"]).await.succeeded();
    again.says("Already logged in; use --force to log in again");
    assert_no_new_login(&again);
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
async fn logout_of_a_shared_login_lists_its_other_names() {
    let home = Home::new().await;
    for ends in ["clear", "logout"] {
        home.login(&["work", &home.url()]).await.succeeded();
        home.run(&["login", "other", &home.url()]).await.succeeded();
        home.login(&["mine", &home.url(), "--account", "mine"])
            .await
            .succeeded();
        let ended = home.run(&[ends, "work"]).await.succeeded();
        ended.says("Logged out of work; also ends `other`; ");
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
        assert_no_new_login(&reused);
        assert_eq!(remembered(&home, name).get("grant"), None);
    }
    home.run(&["login", "notes", &url, "--device", "--force"])
        .await
        .ended(1)
        .says("no supported grant works");
    home.run(&["login", "third", "--device"]).await.ended(2);
    assert_eq!(remembered(&home, "notes").get("grant"), None);
}

/// At a server that supports the flow, the option is remembered like any other.
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
        .says("Already logged in; use --force to log in again");
    assert_eq!(remembered(&home, "notes")["grant"], "device");
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
    assert_eq!(remembered(&home, "notes").get("grant"), None);
}
