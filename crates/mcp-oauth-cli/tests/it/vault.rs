//! Tokens in a real `OpenBao`.

use mcp_client_oauth::Secret;
use mcp_oauth_store::{Backend as _, Entry};
use mcp_oauth_testbed::{Corruption, Endpoint, Fault, Peer, Testbed};
use mcp_oauth_vault::{VaultAuth, VaultOptions, VaultStore};
use serde_json::{Value, json};
use test_support::bao::{Bao, ROOT};

use crate::support::{Home, Running, borrowed, snapshot};

/// Returns the variables that the command needs to use that Vault as root.
fn as_root(bao: &Bao) -> [(&'static str, String); 3] {
    [
        ("MCP_OAUTH_STORE", "vault".to_owned()),
        ("VAULT_ADDR", address(bao)),
        ("VAULT_TOKEN", ROOT.to_owned()),
    ]
}

fn address(bao: &Bao) -> String {
    bao.address.to_string()
}

/// Returns a home with a login in the Vault.
async fn logged_in(bao: &Bao) -> Home {
    let home = Home::new().await;
    let url = home.url();
    let variables = as_root(bao);
    home.login_in(&borrowed(&variables), &["notes", &url])
        .await
        .succeeded();
    home
}

/// Returns the owner of each lease that was ever taken.
async fn owners(bao: &Bao) -> Vec<Value> {
    let (_, listed) = bao.get("secret/metadata/mcp-oauth/leases?list=true").await;
    let keys = listed["data"]["keys"].as_array().unwrap().clone();
    let mut owners = Vec::new();
    for key in keys {
        let path = format!("secret/data/mcp-oauth/leases/{}", key.as_str().unwrap());
        owners.push(bao.get(&path).await.1["data"]["data"]["owner"].clone());
    }
    owners
}

/// Asserts that every lease was released, so that no other process has to wait for its expiry.
async fn assert_released(bao: &Bao) {
    let owners = owners(bao).await;
    assert!(!owners.is_empty(), "no lease was ever taken");
    assert!(owners.iter().all(Value::is_null), "{owners:?}");
}

#[tokio::test]
async fn a_login_is_kept_in_the_vault_alone() {
    let Some(bao) = Bao::start().await else {
        return;
    };
    let home = logged_in(&bao).await;
    assert_released(&bao).await;
    let variables = as_root(&bao);
    let variables = borrowed(&variables);
    let token = home
        .run_in(&variables, &["token", "notes"])
        .await
        .succeeded();
    for arguments in [
        &["list"][..],
        &["show", "notes"],
        &["tools", "notes"],
        &["refresh", "notes", "-vv"],
        &["stores", "-vv"],
    ] {
        let output = home.run_in(&variables, arguments).await.succeeded();
        assert!(!output.stderr.contains(ROOT) && !output.stdout.contains(ROOT));
    }
    assert_released(&bao).await;
    let files = snapshot(&home.path(""));
    let names: Vec<_> = files
        .iter()
        .map(|(path, _)| path.file_name().unwrap())
        .collect();
    assert!(
        names
            .iter()
            .all(|name| name.to_string_lossy().starts_with("servers.json")),
        "{names:?}"
    );
    let kept = &home.run_in(&variables, &["stores", "--json"]).await.json()["selected"];
    assert_eq!(*kept, "vault");
    home.run_in(&variables, &["logout", "notes"])
        .await
        .succeeded();
    home.run_in(&variables, &["token", "notes"]).await.ended(3);
    assert!(!token.stdout.is_empty());
}

#[tokio::test]
async fn a_vault_mount_and_prefix_can_be_set() {
    let Some(bao) = Bao::start().await else {
        return;
    };
    bao.mount("team", "2", "").await;
    let home = Home::new().await;
    let url = home.url();
    let store = format!("vault:{}team/of/mine", address(&bao));
    let variables = [("VAULT_TOKEN", ROOT)];
    home.login_in(&variables, &["notes", &url, "--store", &store])
        .await
        .succeeded();
    let (_, listed) = bao.get("team/metadata/of/mine/records?list=true").await;
    assert!(!listed["data"]["keys"].as_array().unwrap().is_empty());
    let at_address = [("VAULT_TOKEN", ROOT), ("VAULT_ADDR", &address(&bao))];
    let token = ["token", "notes", "--store", "vault:/team/of/mine"];
    home.run_in(&at_address, &token).await.succeeded();
}

#[tokio::test]
async fn a_token_can_come_from_a_file_or_from_a_role() {
    let Some(bao) = Bao::start().await else {
        return;
    };
    let home = logged_in(&bao).await;
    let address = address(&bao);
    let usual = [("MCP_OAUTH_STORE", "vault"), ("VAULT_ADDR", &address)];
    let none = home.run_in(&usual, &["token", "notes"]).await.ended(1);
    none.says(".vault-token").says("export VAULT_TOKEN=");

    home.file(".vault-token", ROOT);
    home.run_in(&usual, &["token", "notes"]).await.succeeded();

    let file = home.file("other-token", ROOT);
    home.file(".vault-token", "hvs.stale");
    let stale = home.run_in(&usual, &["token", "notes"]).await.ended(1);
    stale.says("permission denied").says("export VAULT_TOKEN=");
    let named = [&usual[..], &[("MCP_OAUTH_VAULT_TOKEN_FILE", &file)]].concat();
    home.run_in(&named, &["token", "notes"]).await.succeeded();

    let (role_id, secret_id) = role(&bao).await;
    let role = [
        ("VAULT_ROLE_ID", &*role_id),
        ("VAULT_SECRET_ID", &*secret_id),
    ];
    let role = [&usual[..], &role].concat();
    home.run_in(&role, &["token", "notes"]).await.succeeded();
    home.run_in(&role, &["refresh", "notes", "-vv"])
        .await
        .succeeded();
    let wrong = [("VAULT_ROLE_ID", &*role_id), ("VAULT_SECRET_ID", "planted")];
    let wrong = [&usual[..], &wrong].concat();
    let refused = home.run_in(&wrong, &["token", "notes"]).await.ended(1);
    refused.says("VAULT_SECRET_ID");
    for output in home.outputs() {
        let text = [output.stdout, output.stderr].concat();
        for secret in [ROOT, &secret_id, "planted", "hvs.stale"] {
            assert!(!text.contains(secret), "{}: {text}", output.line);
        }
    }
}

/// Returns an `AppRole` with the permissions that the store needs.
async fn role(bao: &Bao) -> (String, String) {
    bao.policy("ours").await;
    bao.post("sys/auth/approle", json!({"type": "approle"}))
        .await;
    let policies = json!({"token_policies": "ours"});
    bao.post("auth/approle/role/cli", policies).await;
    let (_, role) = bao.get("auth/approle/role/cli/role-id").await;
    let secret = bao.post("auth/approle/role/cli/secret-id", json!({})).await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (
        text(&role["data"]["role_id"]),
        text(&secret["data"]["secret_id"]),
    )
}

#[tokio::test]
async fn a_certificate_authority_can_be_named() {
    let Some(bao) = Bao::with_tls().await else {
        return;
    };
    let home = Home::new().await;
    let url = home.url();
    let (variables, bundle) = (as_root(&bao), bao.ca_bundle().display().to_string());
    let variables = borrowed(&variables);
    let unknown = home
        .run_in(&variables, &["login", "notes", &url])
        .await
        .ended(1);
    unknown.says("export VAULT_CACERT=");
    let trusted = [&variables[..], &[("VAULT_CACERT", &bundle)]].concat();
    home.login_in(&trusted, &["notes", &url]).await.succeeded();
    home.run_in(&trusted, &["token", "notes"]).await.succeeded();
}

#[tokio::test]
async fn an_unusable_vault_is_reported_before_the_consent() {
    let Some(bao) = Bao::start().await else {
        return;
    };
    let home = Home::new().await;
    let url = home.url();
    let address = address(&bao);
    let usual = [("VAULT_ADDR", &*address), ("VAULT_TOKEN", ROOT)];
    for (variables, store, code, hint) in [
        (&usual[1..], "vault", 2, "export VAULT_ADDR="),
        (&usual, "vault:/nowhere", 1, "secrets enable -path=nowhere"),
        (&usual, "vault:/../x", 1, "MOUNT/PREFIX"),
        (&usual, "vault:http://vault.example", 1, "https"),
        (
            &[usual[0], ("VAULT_TOKEN", "hvs.planted")],
            "vault",
            1,
            "export VAULT_TOKEN=",
        ),
    ] {
        let arguments = ["login", "notes", &url, "--store", store];
        let refused = home.run_in(variables, &arguments).await.ended(code);
        refused.says(hint);
        assert!(!refused.stderr.contains("hvs.planted"));
    }
    bao.seal().await;
    let arguments = ["login", "notes", &url, "--store", "vault"];
    let refused = home.run_in(&usual, &arguments).await.ended(4);
    refused.says("it is sealed").says("unseal");
    assert!(home.testbed.requests().is_empty());
}

#[tokio::test]
async fn a_lease_is_released_when_a_refresh_fails() {
    let Some(bao) = Bao::start().await else {
        return;
    };
    let home = logged_in(&bao).await;
    home.testbed.revoke_all_tokens();
    let variables = as_root(&bao);
    home.run_in(&borrowed(&variables), &["refresh", "notes"])
        .await
        .ended(3);
    assert_released(&bao).await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_lease_is_released_when_a_command_is_interrupted() {
    let Some(bao) = Bao::start().await else {
        return;
    };
    let home = logged_in(&bao).await;
    let held = Fault::Corrupt(Endpoint::Token, Corruption::Held);
    home.testbed.set_fault(held);
    let (server, path) = (Peer::AuthorizationServer, "/token");
    let before = home.testbed.count(server, "POST", path);
    let mut command = home.command(&["refresh", "notes"]);
    command.envs(as_root(&bao));
    let running = Running::start(command, "").await;
    home.testbed
        .wait_for_requests(server, "POST", path, before + 1)
        .await;
    assert!(owners(&bao).await.iter().any(|owner| !owner.is_null()));
    crate::signals::send("-TERM", &running);
    home.testbed.release();
    running.end().await;
    assert_released(&bao).await;
}

/// Writes a record to the Vault as another writer can: in format version 3, which had the source of an
/// assertion.
async fn forge(bao: &Bao, home: &Home, grant: Value) {
    let auth = VaultAuth::Token(Secret::new(ROOT.to_owned()));
    let options = VaultOptions::new(bao.address.clone(), auth);
    let vault = VaultStore::open(&options).unwrap();
    let name = format!("login {}", home.url());
    let stored = vault.get(&name).await.unwrap().unwrap();
    let mut record: Value = serde_json::from_slice(stored.entry.bytes.expose()).unwrap();
    assert!(record["machine"].is_object(), "{record}");
    record["version"] = 3.into();
    record["machine"] = grant;
    let forged = Entry::new(Secret::new(record.to_string().into_bytes()));
    let put = vault.put(&name, Some(stored.revision), &forged).await;
    put.unwrap();
}

/// A user who can write to the Vault must not be able to run programs on the machines that read it.
#[tokio::test]
async fn a_record_in_the_vault_runs_no_program_and_reads_no_file_or_variable() {
    let Some(bao) = Bao::start().await else {
        return;
    };
    let home = Home::with(Testbed::builder().workload_issuer("https://cluster.example")).await;
    let jwt = || home.testbed.workload_jwt(&json!({})).unwrap();
    let (url, file) = (home.url(), home.file("token.jwt", jwt()));
    let variables = as_root(&bao);
    let mut variables = borrowed(&variables).to_vec();
    let typed = ["login", "job", &url, "--workload-token", &file];
    home.run_in(&variables, &typed).await.succeeded();

    // Another host has access to the Vault, and has no names.
    let elsewhere = home.path("elsewhere").display().to_string();
    let mark = home.path("mark");
    let trap = home.file("trap", format!("touch {}; cat {file}", mark.display()));
    let spare = home.file("spare.jwt", jwt());
    let from_variable = jwt();
    variables.push(("JOB_JWT", &from_variable));
    let requests = home
        .testbed
        .count(Peer::AuthorizationServer, "POST", "/token");
    for source in [
        json!({"command": ["/bin/sh", trap]}),
        json!({"file": spare}),
        json!({"variable": "JOB_JWT"}),
    ] {
        forge(&bao, &home, json!({"workload": {"assertion": source}})).await;
        let arguments = [
            "refresh",
            &url,
            "--store",
            "vault",
            "--data-dir",
            &elsewhere,
        ];
        let refused = home.run_in(&variables, &arguments).await.ended(1);
        refused
            .says("the source of the assertion is not given")
            .says("--workload-token FILE");
    }
    let after = home
        .testbed
        .count(Peer::AuthorizationServer, "POST", "/token");
    assert_eq!(after, requests);

    // Here the source is stored with the name, and found by the URL too.
    for server in ["job", &url] {
        home.file("token.jwt", jwt());
        home.run_in(&variables, &["refresh", server])
            .await
            .succeeded();
    }
    assert!(!mark.exists());
}
