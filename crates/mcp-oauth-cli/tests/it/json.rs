//! `--json`: one document on stdout, whatever happens.

use crate::support::Home;

#[tokio::test]
async fn every_command_writes_one_document() {
    let home = Home::new().await;
    let url = home.url();
    let login = home
        .login(&["notes", &url, "--json"])
        .await
        .succeeded()
        .json();
    assert_eq!(
        (&login["name"], &login["status"]),
        (&"notes".into(), &"valid".into())
    );
    let list = home.run(&["--json", "list"]).await.succeeded().json();
    assert_eq!(list["servers"][0]["name"], "notes");
    assert_eq!(list["servers"][0]["status"], "valid");
    let get = home
        .run(&["show", "notes", "--json"])
        .await
        .succeeded()
        .json();
    assert_eq!(get["issuer"], home.testbed.issuer());
    assert!(get["access_token"].as_str().unwrap().contains('…'));
    let token = home
        .run(&["token", "notes", "--json"])
        .await
        .succeeded()
        .json();
    assert!(token["access_token"].as_str().unwrap().len() > 20);
    let test = home
        .run(&["test", "notes", "--json"])
        .await
        .succeeded()
        .json();
    assert_eq!((&test["ok"], &test["tools"]), (&true.into(), &4.into()));
    let tools = home
        .run(&["tools", "notes", "--json"])
        .await
        .succeeded()
        .json();
    assert_eq!(tools["tools"][1]["name"], "add");
}

#[tokio::test]
async fn every_command_that_changes_something_writes_one_document() {
    let home = Home::logged_in().await;
    let response = home
        .run(&["request", "notes", "notes", "--json"])
        .await
        .succeeded()
        .json();
    assert_eq!(response["status"], 200);
    assert!(response["body"]["notes"].is_array());
    let refresh = home
        .run(&["refresh", "notes", "--json"])
        .await
        .succeeded()
        .json();
    assert_eq!(refresh["status"], "valid");
    let backends = home.run(&["stores", "--json"]).await.succeeded().json();
    assert_eq!(backends["selected"], "file");
    let logout = home
        .run(&["logout", "notes", "--json"])
        .await
        .succeeded()
        .json();
    assert_eq!(
        (&logout["removed"], &logout["remote"]),
        (&true.into(), &"revoked".into())
    );
    let local = home
        .run(&["logout", "--local", "notes", "--json"])
        .await
        .succeeded()
        .json();
    assert_eq!(local["removed"], false);
}

#[tokio::test]
async fn an_error_is_a_document_too() {
    let home = Home::logged_in().await;
    home.run(&["logout", "--local", "notes"]).await.succeeded();
    let missing = home
        .run(&["token", "notes", "--json"])
        .await
        .ended(3)
        .json();
    assert_eq!(missing["error"]["code"], "login_required");
    assert_eq!(missing["error"]["hint"], "mcp-oauth login notes");
    let unknown = home
        .run(&["token", "other", "--json"])
        .await
        .ended(2)
        .json();
    assert_eq!(unknown["error"]["code"], "usage");
    let misspelt = home.run(&["tokn", "notes", "--json"]).await.ended(2).json();
    assert_eq!(misspelt["error"]["code"], "usage");
}
