//! `stores`: the available stores, the one that is used, and the reason.

use crate::support::{Home, snapshot, unused_port};

#[tokio::test]
async fn every_store_is_listed_with_its_availability() {
    let home = Home::new().await;
    let output = home.run(&["stores"]).await.succeeded();
    for kind in ["keychain", "file", "memory", "vault"] {
        output.says(&format!("{kind}  "));
    }
    output
        .says("not available: no Vault address configured: export VAULT_ADDR=")
        .says("set by MCP_OAUTH_DATA_DIR")
        .says(&home.data().join("tokens").display().to_string());
    if cfg!(target_os = "linux") {
        output
            .says("not available: no keychain responds")
            .says("a key file, because no keychain is available");
    }
    let document = home.run(&["stores", "--json"]).await.succeeded().json();
    let kinds = document["stores"].as_array().unwrap();
    let kind = |name: &str| kinds.iter().find(|kind| kind["name"] == name).unwrap();
    assert_eq!(kinds.len(), 4, "{kinds:#?}");
    assert_eq!(kind("file")["available"], true);
    assert_eq!(kind("vault")["available"], false);
    assert_eq!(document["selected"], "file");
    assert!(snapshot(&home.data()).is_empty(), "a file was created");
}

#[tokio::test]
async fn a_store_that_contradicts_the_request_is_a_problem() {
    let home = Home::new().await;
    let url = home.url();
    home.login(&["notes", &url, "--store", "file"])
        .await
        .succeeded();
    let output = home.run(&["stores"]).await.succeeded();
    output.says("* file").says("with a key file: ");
    assert!(!output.stdout.contains("problem"), "{output:?}");
    for (variable, value) in [
        ("MCP_OAUTH_PASSWORD", "planted"),
        ("MCP_OAUTH_STORE", "keychain"),
        ("MCP_OAUTH_STORE", "unknown:"),
    ] {
        let output = home
            .run_with(variable, value, &["stores"])
            .await
            .succeeded();
        output.says("problem");
        assert!(!output.stdout.contains("planted"));
        home.run_with(variable, value, &["token", "notes"])
            .await
            .ended(1);
    }
}

#[tokio::test]
async fn an_unreachable_vault_is_reported_without_a_long_wait() {
    let home = Home::new().await;
    let address = format!("http://127.0.0.1:{}", unused_port());
    let variables = [("VAULT_ADDR", address.as_str()), ("VAULT_TOKEN", "planted")];
    let output = home.run_in(&variables, &["stores"]).await.succeeded();
    output
        .says("* file")
        .says(&format!("the vault at {address}"));
    let store = [&variables[..], &[("MCP_OAUTH_STORE", "vault")]].concat();
    let document = home.run_in(&store, &["stores", "--json"]).await.succeeded();
    let document = document.json();
    assert_eq!(document["selected"], "vault");
    assert!(
        document["problem"]
            .as_str()
            .unwrap()
            .contains("no response")
    );
    assert!(!document.to_string().contains("planted"));
}
