//! The authentication at a Vault: tokens that are renewed, read again, or obtained by a new login.

use super::*;

fn write(path: &std::path::Path, text: &str) {
    #[allow(clippy::disallowed_methods, reason = "a file of a test")]
    std::fs::write(path, text).unwrap();
}

fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

async fn revoke(bao: &Bao, token: &str) {
    bao.post("auth/token/revoke", json!({"token": token})).await;
}

/// Creates a role with the documented policy, and returns its credentials.
async fn app_role(bao: &Bao) -> VaultAuth {
    bao.policy("mcp").await;
    bao.post("sys/auth/approle", json!({"type": "approle"}))
        .await;
    let role = "auth/approle/role/mcp";
    let settings = json!({"token_policies": "mcp", "token_ttl": "1h", "token_max_ttl": "4h"});
    bao.post(role, settings).await;
    let (_, id) = bao.get(&format!("{role}/role-id")).await;
    let secret = bao.post(&format!("{role}/secret-id"), json!({})).await;
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let secret = Secret::new(text(&secret["data"]["secret_id"]));
    VaultAuth::app_role(text(&id["data"]["role_id"]), secret)
}

/// Opens a client, and returns it with its network and its clock.
fn watched(options: &VaultOptions) -> (VaultStore, Arc<Tampered>, ManualClock) {
    let (net, clock) = (
        Arc::new(Tampered::default()),
        ManualClock::new(start_time()),
    );
    (net.vault(options, &clock), net, clock)
}

#[tokio::test]
async fn a_token_is_renewed_after_half_of_its_lifetime() {
    let Some(bao) = Bao::start().await else {
        return;
    };
    bao.policy("mcp").await;
    let token = bao.token("mcp", "1h").await;
    let auth = VaultAuth::Token(Secret::new(token.clone()));
    let (vault, net, clock) = watched(&bao.options_as(auth));
    for _ in 0..3 {
        vault.get("a").await.unwrap();
    }
    assert_eq!((net.count("lookup-self"), net.count("renew-self")), (1, 0));
    clock.advance(minutes(29));
    vault.get("a").await.unwrap();
    assert_eq!(net.count("renew-self"), 0);
    clock.advance(minutes(1));
    let reading = (0..8).map(|_| {
        let vault = vault.clone();
        tokio::spawn(async move { vault.get("a").await.unwrap() })
    });
    for read in reading.collect::<Vec<_>>() {
        read.await.unwrap();
    }
    assert_eq!(net.count("renew-self"), 1, "many tasks, one renewal");
    let found = bao.post("auth/token/lookup", json!({"token": token})).await;
    assert!(found["data"]["last_renewal_time"].is_number(), "{found}");
    clock.advance(minutes(31));
    vault.get("a").await.unwrap();
    assert_eq!((net.count("lookup-self"), net.count("renew-self")), (1, 2));
}

#[tokio::test]
async fn a_token_without_expiry_is_not_renewed() {
    let Some(bao) = Bao::start().await else {
        return;
    };
    let (vault, net, clock) = watched(&bao.options());
    vault.get("a").await.unwrap();
    clock.advance(minutes(1_000_000));
    vault.get("a").await.unwrap();
    assert_eq!(net.count("renew-self"), 0);
}

#[tokio::test]
async fn a_token_without_lookup_permission_is_used_without_renewal() {
    let Some(bao) = Bao::start().await else {
        return;
    };
    bao.policy("mcp").await;
    let settings = json!({"policies": ["mcp"], "no_default_policy": true});
    let made = bao.post("auth/token/create", settings).await;
    let token = made["auth"]["client_token"].as_str().unwrap().to_owned();
    let (vault, net, clock) = watched(&bao.options_as(VaultAuth::Token(Secret::new(token))));
    vault.put("a", None, &entry("one")).await.unwrap();
    clock.advance(minutes(600));
    vault.get("a").await.unwrap();
    assert_eq!((net.count("lookup-self"), net.count("renew-self")), (1, 0));
}

#[tokio::test]
async fn a_token_file_is_read_again_when_its_token_is_refused() {
    let Some(bao) = Bao::start().await else {
        return;
    };
    bao.policy("mcp").await;
    let (first, second) = (bao.token("mcp", "1h").await, bao.token("mcp", "1h").await);
    let file = bao.home().join("token");
    write(&file, &format!("{first}\n"));
    let (vault, ..) = watched(&bao.options_as(VaultAuth::TokenFile(file.clone())));
    vault.put("a", None, &entry("one")).await.unwrap();

    revoke(&bao, &first).await;
    let cause = cause(vault.get("a").await);
    assert!(matches!(cause, VaultError::Denied { .. }), "{cause}");
    write(&file, &second);
    assert!(vault.get("a").await.unwrap().is_some());
    assert!(vault.get("a").await.unwrap().is_some());
}

#[tokio::test]
async fn an_invalid_token_file_is_reported_with_its_path() {
    let Some(bao) = Bao::start().await else {
        return;
    };
    let file = bao.home().join("token");
    let options = bao.options_as(VaultAuth::TokenFile(file.clone()));
    let error = vault(&options).get("a").await.unwrap_err();
    assert!(
        error.to_string().contains(&file.display().to_string()),
        "{error}"
    );
    for odd in ["", " \n", "planted\ntoken"] {
        write(&file, odd);
        let cause = cause(vault(&options).get("a").await);
        assert!(matches!(cause, VaultError::Token(_)), "{cause}");
    }
}

#[tokio::test]
async fn a_role_logs_in_once_and_again_when_its_token_is_refused() {
    let Some(bao) = Bao::start().await else {
        return;
    };
    let (vault, net, clock) = watched(&bao.options_as(app_role(&bao).await));
    let revision = vault.put("a", None, &entry("one")).await.unwrap();
    vault.get("a").await.unwrap();
    assert_eq!(net.count("approle/login"), 1);
    clock.advance(minutes(31));
    vault.get("a").await.unwrap();
    assert_eq!(
        (net.count("approle/login"), net.count("renew-self")),
        (1, 1)
    );

    bao.post("sys/leases/revoke-prefix/auth/approle", json!({}))
        .await;
    let reading = (0..8).map(|_| {
        let vault = vault.clone();
        tokio::spawn(async move { vault.get("a").await.unwrap() })
    });
    for read in reading.collect::<Vec<_>>() {
        assert_eq!(read.await.unwrap().unwrap().revision, revision);
    }
    assert_eq!(net.count("approle/login"), 2, "many refusals, one login");
}

#[tokio::test]
async fn a_refused_role_is_reported_without_its_secret() {
    let Some(bao) = Bao::start().await else {
        return;
    };
    app_role(&bao).await;
    let secret = || Secret::new("planted-secret-id".to_owned());
    let (vault, net, _) = watched(&bao.options_as(VaultAuth::app_role("planted-role", secret())));
    let error = vault.get("a").await.unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(
        shown.contains("approle") && !shown.contains("planted"),
        "{shown}"
    );
    assert_eq!(Error::from(error).remedy(), Remedy::Reconfigure);
    assert_eq!(net.requests().len(), 1);

    let nowhere = VaultAuth::AppRole {
        role_id: "planted-role".to_owned(),
        secret_id: secret(),
        mount: "nowhere".to_owned(),
    };
    let cause = cause(watched(&bao.options_as(nowhere)).0.get("a").await);
    assert!(
        matches!(&cause, VaultError::AppRole { mount, .. } if mount == "nowhere"),
        "{cause}"
    );
}
