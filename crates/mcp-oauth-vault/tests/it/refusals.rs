//! The errors of a Vault, and their remedies.

use super::*;
use test_support::port::unused_port;

fn with_token(bao: &Bao, token: &str) -> VaultOptions {
    bao.options_as(VaultAuth::Token(Secret::new(token.to_owned())))
}

async fn read(options: &VaultOptions) -> VaultError {
    cause(vault(options).get("a").await)
}

/// Checks that every operation fails with the same error.
async fn assert_nothing_works(options: &VaultOptions, is_right: impl Fn(&VaultError) -> bool) {
    let vault = vault(options);
    for (cause, remedy) in [
        failure(vault.check_writable().await),
        failure(vault.get("a").await),
        failure(vault.put("a", None, &entry("planted")).await),
        failure(vault.delete("a", None).await),
        failure(names(&vault).await),
        failure(vault.lock("a").await),
    ] {
        assert!(is_right(&cause), "{cause}");
        assert_eq!(remedy, Remedy::Reconfigure);
    }
}

#[tokio::test]
async fn a_token_without_a_policy_is_denied() {
    let Some(bao) = Bao::start().await else {
        return;
    };
    let token = bao.token("default", "1h").await;
    assert_nothing_works(
        &with_token(&bao, &token),
        |cause| matches!(cause, VaultError::Denied { path } if path == "secret/"),
    )
    .await;
}

#[tokio::test]
async fn a_token_that_is_unknown_is_denied_and_not_shown() {
    let Some(bao) = Bao::start().await else {
        return;
    };
    let token = "s.planted-unknown-token";
    assert_nothing_works(&with_token(&bao, token), |cause| {
        let shown = format!("{cause} {cause:?}");
        matches!(cause, VaultError::Denied { .. }) && !shown.contains("planted")
    })
    .await;
}

#[tokio::test]
async fn a_read_only_policy_is_reported_with_the_denied_path() {
    let Some(bao) = Bao::start().await else {
        return;
    };
    let rules = r#"path "secret/data/mcp-oauth/*" { capabilities = ["read"] }"#;
    bao.post("sys/policies/acl/reader", json!({"policy": rules}))
        .await;
    let vault = vault(&with_token(&bao, &bao.token("reader", "1h").await));
    assert_eq!(content(&vault, "a").await, None);
    for cause in [
        cause(vault.put("a", None, &entry("one")).await),
        cause(names(&vault).await),
    ] {
        let VaultError::Denied { path } = cause else {
            panic!("{cause}");
        };
        assert!(
            path.starts_with("secret/metadata/mcp-oauth/records"),
            "{path}"
        );
    }
    let VaultError::Denied { path } = cause(vault.lock("a").await) else {
        panic!("the lease was taken");
    };
    assert!(path.starts_with("secret/data/mcp-oauth/leases/"), "{path}");
}

#[tokio::test]
async fn a_missing_mount_is_distinguished_from_a_missing_secret() {
    let Some(bao) = Bao::start().await else {
        return;
    };
    for wrong in ["nowhere", "secret/inside"] {
        let mut options = bao.options();
        wrong.clone_into(&mut options.mount);
        assert_nothing_works(
            &options,
            |cause| matches!(cause, VaultError::NoMount(mount) if *mount == format!("{wrong}/")),
        )
        .await;
    }
    assert_eq!(content(&vault(&bao.options()), "a").await, None);
}

#[tokio::test]
async fn an_engine_without_check_and_set_is_refused_before_any_write() {
    let Some(bao) = Bao::start().await else {
        return;
    };
    bao.mount("old", "1", "").await;
    for (mount, found) in [
        ("old", "KV version 1"),
        ("cubbyhole", "an engine of the type cubbyhole"),
    ] {
        let mut options = bao.options();
        mount.clone_into(&mut options.mount);
        assert_nothing_works(&options, |cause| {
            matches!(cause, VaultError::NotKv2 { found: text, .. } if text.as_raw() == found)
        })
        .await;
        assert_eq!(
            bao.get(&format!("{mount}?list=true")).await.0,
            404,
            "a document was written"
        );
    }
    let mut options = bao.options();
    options.mount = "old".to_owned();
    let shown = read(&options).await.to_string();
    assert!(shown.contains("vault kv enable-versioning old/"), "{shown}");
}

#[tokio::test]
async fn a_mount_with_several_segments_is_found() {
    let Some(bao) = Bao::start().await else {
        return;
    };
    bao.mount("team/kv", "2", "").await;
    let mut options = bao.options();
    options.mount = "team/kv".to_owned();
    options.prefix = "ä b/c%2f".to_owned();
    let vault = vault(&options);
    vault.check_writable().await.unwrap();
    vault.put("a", None, &entry("one")).await.unwrap();
    assert_eq!(names(&vault).await.unwrap(), ["a"]);
}

#[tokio::test]
async fn a_refused_connection_is_retried() {
    let address = format!("http://127.0.0.1:{}", unused_port())
        .parse()
        .unwrap();
    let auth = VaultAuth::Token(Secret::new("planted".to_owned()));
    let clock = ManualClock::auto_advancing(start_time());
    let options = VaultOptions::new(address, auth);
    let vault = with_clock(&options, Arc::new(clock.clone()));
    let (cause, remedy) = failure(vault.get("a").await);
    assert!(
        matches!(cause, VaultError::Unreachable(HttpErrorKind::Connect(_))),
        "{cause}"
    );
    assert_eq!(remedy, Remedy::Retry);
    assert_eq!(clock.slept().len(), 4, "the request was tried five times");
}

#[tokio::test]
async fn another_server_at_the_address_is_not_used_as_a_vault() {
    let testbed = mcp_oauth_testbed::Testbed::start().await.unwrap();
    let address = testbed.issuer().parse().unwrap();
    let auth = VaultAuth::Token(Secret::new("planted".to_owned()));
    let cause = read(&VaultOptions::new(address, auth)).await;
    assert!(
        matches!(&cause, VaultError::Refused { status: 404, message } if message.as_raw().contains("not a response of Vault")),
        "{cause}"
    );
}

#[tokio::test]
async fn a_certificate_of_a_private_authority_is_trusted_only_with_its_bundle() {
    let Some(bao) = Bao::with_tls().await else {
        return;
    };
    let mut options = bao.options();
    let untrusted = read(&options).await;
    assert!(
        matches!(
            untrusted,
            VaultError::Unreachable(HttpErrorKind::Certificate(_))
        ),
        "{untrusted}"
    );

    options.ca_bundle = Some(bao.ca_bundle());
    let trusting = VaultStore::open(&options).unwrap();
    trusting.put("a", None, &entry("one")).await.unwrap();
    drop(trusting.lock("a").await.unwrap());

    let other = Bao::with_tls().await.unwrap();
    options.ca_bundle = Some(other.ca_bundle());
    let cause = cause(VaultStore::open(&options).unwrap().get("a").await);
    assert!(
        matches!(
            cause,
            VaultError::Unreachable(HttpErrorKind::Certificate(_))
        ),
        "{cause}"
    );
}

#[tokio::test]
async fn an_invalid_bundle_is_refused_at_once() {
    let home = tempfile::tempdir().unwrap();
    let auth = VaultAuth::Token(Secret::new("planted".to_owned()));
    let mut options = VaultOptions::new("https://vault.example".parse().unwrap(), auth);
    options.ca_bundle = Some(home.path().join("missing.pem"));
    let error = VaultStore::open(&options).unwrap_err();
    assert!(matches!(error, TokenStorageError::Io { .. }), "{error}");
    let file = tempfile::NamedTempFile::new().unwrap();
    options.ca_bundle = Some(file.path().to_owned());
    let (cause, remedy) = failure(VaultStore::open(&options));
    assert!(cause.to_string().contains("no certificate"), "{cause}");
    assert_eq!(remedy, Remedy::Reconfigure);
}

#[test]
fn a_vault_is_opened_by_its_name() {
    mcp_oauth_vault::open("vault:https://vault.example:8200/kv/team/mcp").unwrap();
    mcp_oauth_vault::open("https://vault.example:8200").unwrap();
    let error = mcp_oauth_vault::open("vault:http://vault.example:8200").unwrap_err();
    assert!(error.to_string().contains("https"), "{error}");
    let error = mcp_oauth_vault::open("vault:").unwrap_err();
    assert_eq!(
        error.to_string(),
        "the vault token store failed: relative URL without a base"
    );
}

/// The policy for earlier builds does not allow a removal.
#[tokio::test]
async fn without_the_capability_to_remove_a_purge_deletes() {
    let Some(bao) = Bao::start().await else {
        return;
    };
    let rules = r#"
        path "secret/data/mcp-oauth/*" { capabilities = ["create", "read", "update"] }
        path "secret/metadata/mcp-oauth/*" { capabilities = ["create", "update", "list"] }"#;
    let policy = json!({"policy": rules});
    bao.post("sys/policies/acl/earlier", policy).await;
    let token = bao.token("earlier", "1h").await;
    let vault = vault(&with_token(&bao, &token));
    vault.put("a", None, &entry("one")).await.unwrap();
    vault.purge("a").await.unwrap();
    assert_eq!(content(&vault, "a").await, None);
}
