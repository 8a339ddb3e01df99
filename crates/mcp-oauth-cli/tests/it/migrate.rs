//! `migrate`: to another key, to another directory, to a Vault, and back.

use std::path::Path;

use test_support::bao::{Bao, ROOT};

use crate::support::{Does, Home, Output, snapshot};

/// Returns the number of records in `directory`.
fn records(directory: &Path) -> usize {
    let files = snapshot(directory).into_iter();
    let records = files.filter(|(path, _)| path.extension().is_some_and(|end| end == "enc"));
    records.count()
}

/// Returns the new store from the message `export MCP_OAUTH_STORE=…`.
fn next(output: &Output) -> String {
    let next = output.json()["next"].as_str().unwrap().to_owned();
    next.strip_prefix("export MCP_OAUTH_STORE=")
        .unwrap()
        .to_owned()
}

/// Returns the access token, which no migration changes.
async fn token(home: &Home, variables: &[(&str, &str)]) -> String {
    let output = home.run_in(variables, &["token", "notes"]).await;
    output.succeeded().stdout
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_key_goes_into_the_keychain_and_back_and_into_a_password() {
    use test_support::{
        in_session,
        keychain::{Session, entries},
    };

    use crate::support::borrowed;

    in_session!(Session::Unlocked);
    let home = Home::logged_in().await;
    let before = token(&home, &[]).await;
    let session = Home::keychain();
    let session = borrowed(&session);
    let key = home.data().join("tokens/key");
    assert!(key.exists());

    let to_keychain = ["migrate", "--to", "keychain"];
    let there = home.run_in(&session, &to_keychain).await.succeeded();
    there.says("Encrypted").says("a key in the keychain");
    assert!(!there.stderr.contains("from now on"), "{there:?}");
    assert_eq!(entries().await.len(), 1);
    assert!(!key.exists());
    assert_eq!(token(&home, &session).await, before);
    let again = home.run_in(&session, &to_keychain).await.succeeded();
    again.says("already");
    home.run(&["token", "notes"]).await.ended(1);

    let file = home.file("password", "correct horse\n");
    let with_password = ["migrate", "--to", "file", "--password-file", &file];
    let migrated = home.run_in(&session, &with_password).await.succeeded();
    migrated
        .says("with a password")
        .says("MCP_OAUTH_PASSWORD_FILE");
    assert_eq!(entries().await, []);
    home.run(&["token", "notes"]).await.ended(1);
    let password = [("MCP_OAUTH_PASSWORD", "correct horse")];
    assert_eq!(token(&home, &password).await, before);

    let other = home.file("other", "battery staple\n");
    let changed = ["migrate", "--to", "file", "--password-file", &other];
    home.run(&changed)
        .await
        .ended(1)
        .says("encrypted with a password");
    home.run_in(&password, &changed).await.succeeded();
    home.run_in(&password, &["token", "notes"]).await.ended(1);
    assert_eq!(
        token(&home, &[("MCP_OAUTH_PASSWORD_FILE", &other)]).await,
        before
    );

    let both = [&session[..], &[("MCP_OAUTH_PASSWORD_FILE", &other)]].concat();
    let back = home.run_in(&both, &to_keychain).await.succeeded();
    back.says("unset MCP_OAUTH_PASSWORD");
    assert_eq!(entries().await.len(), 1);
    let to_file = ["migrate", "--to", "file"];
    home.run_in(&session, &to_file).await.succeeded();
    assert_eq!(token(&home, &[]).await, before);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn migrating_to_an_unavailable_keychain_changes_nothing() {
    let home = Home::logged_in().await;
    let before = snapshot(&home.data().join("tokens"));
    let elsewhere = format!("keychain:{}", home.path("other").display());
    for to in ["keychain", &elsewhere] {
        let refused = home.run(&["migrate", "--to", to]).await.ended(1);
        refused.says("no keychain responds");
        let now = snapshot(&home.data().join("tokens"));
        let lost = before.iter().find(|file| !now.contains(file));
        assert!(lost.is_none(), "{lost:?}");
    }
    home.run(&["token", "notes"]).await.succeeded();
}

#[tokio::test]
async fn logins_and_clients_go_into_a_vault_and_back() {
    let Some(bao) = Bao::start().await else {
        return;
    };
    let home = Home::logged_in().await;
    home.login(&["work", &home.url(), "--account", "work"])
        .await
        .succeeded();
    let tokens = home.data().join("tokens");
    let (before, kept) = (token(&home, &[]).await, records(&tokens));
    let address = bao.address.to_string();
    let credential = [("VAULT_TOKEN", ROOT), ("VAULT_ADDR", address.as_str())];

    let moved = ["migrate", "--to", "vault", "--json"];
    let moved = home.run_in(&credential, &moved).await.succeeded();
    assert_eq!(moved.json()["moved"]["logins"], 2);
    assert_eq!(moved.json()["moved"]["registrations"], kept - 2);
    assert_eq!(records(&tokens), 0);
    home.run(&["token", "notes"]).await.ended(3);
    let store = next(&moved);
    let there = [credential[0], ("MCP_OAUTH_STORE", &store)];
    assert_eq!(token(&home, &there).await, before);
    home.run_in(&there, &["token", "work"]).await.succeeded();
    home.run_in(&there, &["refresh", "notes"]).await.succeeded();
    let refreshed = token(&home, &there).await;

    let same = ["migrate", "--store", "vault", "--to", "vault"];
    home.run_in(&credential, &same).await.ended(2);
    let back = ["migrate", "--store", "vault", "--to", "file", "--json"];
    let back = home.run_in(&credential, &back).await.succeeded();
    assert_eq!(back.json()["next"], serde_json::Value::Null);
    assert_eq!(records(&tokens), kept);
    assert_eq!(token(&home, &[]).await, refreshed);
    home.run_in(&there, &["token", "notes"]).await.ended(3);
    home.run(&["refresh", "work"]).await.succeeded();
}

#[tokio::test]
async fn tokens_in_the_destination_are_kept_unless_overwritten() {
    let home = Home::logged_in().await;
    let other = home.path("other tokens");
    let to = format!("file:{}", other.display());
    home.login(&["notes", &home.url(), "--store", &to])
        .await
        .succeeded();
    let (here, there) = (token(&home, &[]).await, [("MCP_OAUTH_STORE", to.as_str())]);
    let (kept, kept_there) = (records(&home.data()), token(&home, &there).await);
    assert_ne!(here, kept_there);

    let refused = home.run(&["migrate", "--to", &to]).await.ended(1);
    refused
        .says(&home.url())
        .says("nothing was deleted")
        .says("--overwrite");
    assert_eq!(records(&home.data()), kept);
    assert_eq!(token(&home, &[]).await, here);
    assert_eq!(token(&home, &there).await, kept_there);

    let forced = home
        .run(&["migrate", "--to", &to, "--overwrite"])
        .await
        .succeeded();
    forced.says(&format!("export MCP_OAUTH_STORE='{to}'"));
    assert_eq!(token(&home, &there).await, here);
    assert_eq!(records(&home.data()), 0);
    home.run(&["migrate", "--to", &to])
        .await
        .succeeded()
        .says("0 logins");
}

#[tokio::test]
async fn a_corrupt_login_is_reported_and_not_migrated() {
    let (home, other) = (Home::logged_in().await, Home::new().await);
    home.login(&["other", &other.url()]).await.succeeded();
    let record = crate::stores::record(&home);
    let mut bytes = std::fs::read(&record).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    home.file(record.strip_prefix(home.path("")).unwrap(), &bytes);

    let to = format!("file:{}", home.path("there").display());
    let moved = home.run(&["migrate", "--to", &to, "--json"]).await.ended(1);
    moved.says(&home.url()).says("was not moved");
    assert_eq!(moved.json()["skipped"].as_array().unwrap().len(), 1);
    assert_eq!(moved.json()["moved"]["logins"], 1);
    assert_eq!(std::fs::read(&record).unwrap(), bytes);
    assert_eq!(records(&home.data()), 1);
    let there = ["token", "other", "--store", &to];
    home.run(&there).await.succeeded();
}

#[tokio::test]
async fn files_with_a_password_go_into_another_directory() {
    let home = Home::new().await;
    let (old, new) = (home.file("old", "old\n"), home.file("new", "new\n"));
    let url = home.url();
    let typed = ["login", "notes", &url, "--password-file", &old];
    home.attended(&typed, home.command(&typed), Does::Approve, "")
        .await
        .succeeded();
    let to = format!("file:{}", home.path("there").display());
    let typed = ["migrate", "--to", &to, "--password-file", &new];
    home.run(&typed).await.ended(1).says("none was given");
    let kept = [("MCP_OAUTH_PASSWORD_FILE", old.as_str())];
    home.run_in(&kept, &typed).await.succeeded();
    let there = ["token", "notes", "--store", &to, "--password-file", &new];
    home.run(&there).await.succeeded();
    home.run_in(&kept, &["token", "notes"]).await.ended(3);
}

#[tokio::test]
async fn an_invalid_store_is_refused() {
    let home = Home::logged_in().await;
    for typed in [
        &["migrate"][..],
        &["migrate", "--to", "memory:"],
        &["migrate", "--to", "auto"],
        &["migrate", "--to", "vualt"],
        &["migrate", "--to", "vault"],
        &["migrate", "--store", "memory:", "--to", "file"],
    ] {
        home.run(typed).await.ended(2);
    }
    home.run(&["token", "notes"]).await.succeeded();
}
