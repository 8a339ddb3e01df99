//! `backends`: what is there, which one is used, and why.

use crate::support::{Home, dead_port, snapshot};

#[tokio::test]
async fn every_kind_is_listed_with_what_it_lacks() {
    let home = Home::new().await;
    let said = home.run(&["backends"]).await.succeeded();
    for kind in ["keychain", "file", "memory", "vault"] {
        said.says(&format!("{kind}  "));
    }
    said.says("not available: none is named: export VAULT_ADDR=")
        .says("chosen by MCP_OAUTH_DATA_DIR")
        .says(&home.data().join("tokens").display().to_string());
    if cfg!(target_os = "linux") {
        said.says("not available: none answers")
            .says("a key file, because no keychain answers");
    }
    let document = home.run(&["backends", "--json"]).await.succeeded().json();
    let kinds = document["backends"].as_array().unwrap();
    let kind = |name: &str| kinds.iter().find(|kind| kind["name"] == name).unwrap();
    assert_eq!(kinds.len(), 4, "{kinds:#?}");
    assert_eq!(kind("file")["available"], true);
    assert_eq!(kind("vault")["available"], false);
    assert_eq!(document["chosen"], "file");
    assert!(snapshot(&home.data()).is_empty(), "something was made");
}

#[tokio::test]
async fn a_store_that_does_not_fit_what_was_asked_for_is_a_problem() {
    let home = Home::new().await;
    let url = home.url();
    home.login(&["notes", &url, "--store", "file"])
        .await
        .succeeded();
    let said = home.run(&["backends"]).await.succeeded();
    said.says("* file").says("with a key file: ");
    assert!(!said.stdout.contains("problem"), "{said:?}");
    for (variable, value) in [
        ("MCP_OAUTH_PASSWORD", "planted"),
        ("MCP_OAUTH_STORE", "keychain"),
        ("MCP_OAUTH_STORE", "unknown:"),
    ] {
        let said = home
            .run_with(variable, value, &["backends"])
            .await
            .succeeded();
        said.says("problem");
        assert!(!said.stdout.contains("planted"));
        home.run_with(variable, value, &["token", "notes"])
            .await
            .ended(1);
    }
}

#[tokio::test]
async fn a_vault_that_is_not_there_is_said_in_time() {
    let home = Home::new().await;
    let address = format!("http://127.0.0.1:{}", dead_port());
    let variables = [("VAULT_ADDR", address.as_str()), ("VAULT_TOKEN", "planted")];
    let said = home.run_in(&variables, &["backends"]).await.succeeded();
    said.says("* file").says(&format!("the vault at {address}"));
    let store = [&variables[..], &[("MCP_OAUTH_STORE", "vault")]].concat();
    let document = home
        .run_in(&store, &["backends", "--json"])
        .await
        .succeeded();
    let document = document.json();
    assert_eq!(document["chosen"], "vault");
    assert!(document["problem"].as_str().unwrap().contains("no answer"));
    assert!(!document.to_string().contains("planted"));
}
