//! Passwords, corrupt files, and names.

use std::{fs, path::PathBuf};

use crate::support::{Does, Home, snapshot};

/// Returns the file of the login: the one that contains the URL of the server.
pub(crate) fn record(home: &Home) -> PathBuf {
    let files = snapshot(&home.data().join("tokens"));
    let login = format!("login {}", home.url());
    let is_record = |bytes: &[u8]| bytes.windows(login.len()).any(|w| w == login.as_bytes());
    files
        .into_iter()
        .find(|(_, bytes)| is_record(bytes))
        .unwrap()
        .0
}

async fn login_with_password(home: &Home) {
    let file = home.file("password", "correct horse\n");
    let url = home.url();
    let typed = ["login", "notes", &url, "--password-file", &file];
    home.attended(&typed, home.command(&typed), Does::Approve, "")
        .await
        .succeeded();
}

#[tokio::test]
async fn a_wrong_password_names_the_store_and_changes_nothing() {
    let home = Home::new().await;
    login_with_password(&home).await;
    let before = snapshot(&home.data());
    let tokens = home.data().join("tokens").display().to_string();
    for command in [
        &["token", "notes"][..],
        &["list"],
        &["logout", "notes"],
        &["logout", "--local", "notes"],
        &["show", "notes"],
    ] {
        let wrong = home
            .run_with("MCP_OAUTH_PASSWORD", "wrong", command)
            .await
            .ended(1);
        wrong.says("wrong password").says(&tokens).says("hint:");
        assert!(
            snapshot(&home.data()) == before,
            "{command:?} has changed a file"
        );
    }
}

#[tokio::test]
async fn a_password_comes_from_the_environment_or_a_file() {
    let home = Home::new().await;
    login_with_password(&home).await;
    let right = home
        .run_with("MCP_OAUTH_PASSWORD", "correct horse", &["token", "notes"])
        .await;
    right.succeeded();
    let file = home.path("password").display().to_string();
    home.run_with("MCP_OAUTH_PASSWORD_FILE", &file, &["token", "notes"])
        .await
        .succeeded();
    let missing = home.run(&["token", "notes"]).await.ended(1);
    missing
        .says("encrypted with a password, and none was given")
        .says("--password-file FILE");
    home.run(&["stores"])
        .await
        .succeeded()
        .says("with a password");
}

#[tokio::test]
async fn a_password_is_not_ignored_by_a_store_without_one() {
    let home = Home::logged_in().await;
    let refused = home
        .run_with("MCP_OAUTH_PASSWORD", "secret", &["token", "notes"])
        .await;
    refused.ended(1).says("another kind of key");
}

#[tokio::test]
async fn a_corrupt_record_is_reported_and_others_are_listed() {
    let (home, other) = (Home::logged_in().await, Home::new().await);
    let url = other.url();
    home.login(&["other", &url]).await.succeeded();
    let file = record(&home);
    let mut bytes = fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    let mut file_to_corrupt = fs::File::create(&file).unwrap();
    std::io::Write::write_all(&mut file_to_corrupt, &bytes).unwrap();

    let list = home.run(&["list"]).await.succeeded();
    list.says("cannot be read")
        .says(&file.display().to_string())
        .says("other")
        .says("valid for");
    let get = home.run(&["show", "notes"]).await.ended(1);
    get.says(&file.display().to_string())
        .says("hint:")
        .says("mcp-oauth logout --local notes");
    assert_eq!(fs::read(&file).unwrap(), bytes, "left as it is");
    home.run(&["token", "other"]).await.succeeded();
    home.run(&["logout", "--local", "notes"]).await.succeeded();
    home.run(&["token", "notes"]).await.ended(3);
}

#[tokio::test]
async fn two_names_for_one_server_share_its_login() {
    let home = Home::logged_in().await;
    home.run(&["login", "again", &home.url()]).await.succeeded();
    let one = home.run(&["token", "notes"]).await.succeeded();
    assert_eq!(
        home.run(&["token", "again"]).await.succeeded().stdout,
        one.stdout
    );
    home.run(&["logout", "again"]).await.succeeded();
    home.run(&["token", "notes"]).await.ended(3);
}

#[tokio::test]
async fn a_name_with_a_changed_url_finds_no_token() {
    let (home, other) = (Home::logged_in().await, Home::new().await);
    let names = home.data().join("servers.json");
    let text = fs::read_to_string(&names)
        .unwrap()
        .replace(&home.url(), &other.url());
    std::io::Write::write_all(&mut fs::File::create(&names).unwrap(), text.as_bytes()).unwrap();
    home.run(&["token", "notes"]).await.ended(3);
    home.run(&["tools", "notes"]).await.ended(3);
    assert!(
        other.testbed.requests().is_empty(),
        "nothing was sent there"
    );
    // The login still exists, without a name.
    home.run(&["list"])
        .await
        .succeeded()
        .says(&format!("-      {}", home.url()));
}

#[tokio::test]
async fn several_accounts_of_one_server_stay_separate() {
    let home = Home::logged_in().await;
    let url = home.url();
    home.login(&["work", &url, "--account", "work"])
        .await
        .succeeded();
    let (one, two) = (
        home.run(&["token", "notes"]).await,
        home.run(&["token", "work"]).await,
    );
    assert_ne!(one.succeeded().stdout, two.clone().succeeded().stdout);
    let by_url = home
        .run(&["token", &url, "--account", "work"])
        .await
        .succeeded();
    assert_eq!(by_url.stdout, two.stdout);
}

#[tokio::test]
async fn a_corrupt_servers_file_is_reported_and_left_unchanged() {
    let home = Home::logged_in().await;
    let names = home.data().join("servers.json");
    std::io::Write::write_all(&mut fs::File::create(&names).unwrap(), b"{").unwrap();
    home.run(&["list"])
        .await
        .ended(1)
        .says("servers.json")
        .says("hint:");
    home.run(&["login", "x", &home.url()]).await.ended(1);
    assert_eq!(fs::read(&names).unwrap(), b"{");
    home.run(&["token", &home.url()]).await.succeeded();
}

#[tokio::test]
async fn no_token_is_in_any_file_in_plain_text() {
    let home = Home::logged_in().await;
    let token = home.run(&["token", "notes"]).await.succeeded().stdout;
    for (path, bytes) in snapshot(&home.path("")) {
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains(token.trim_end()), "{}", path.display());
    }
}

#[tokio::test]
async fn a_store_in_memory_keeps_nothing() {
    let home = Home::new().await;
    home.login(&["notes", &home.url(), "--store", "memory:"])
        .await
        .succeeded();
    home.run(&["token", "notes", "--store", "memory:"])
        .await
        .ended(3);
    assert!(!home.data().join("tokens").exists());
    home.run(&["stores", "--store", "memory:"])
        .await
        .succeeded()
        .says("set by --store");
}

#[tokio::test]
async fn a_corrupt_store_gets_a_hint_to_move_it() {
    let home = Home::logged_in().await;
    let tokens = home.data().join("tokens");
    home.file("data/tokens/store.json", "damaged");
    let before = snapshot(&home.data());
    let refused = home.run(&["token", "notes"]).await.ended(1);
    refused.says(&format!("mv {0} {0}.corrupt", tokens.display()));
    assert!(!refused.stderr.contains("logout"), "{refused:?}");
    home.run(&["stores"])
        .await
        .succeeded()
        .says("problem")
        .says("is corrupt");
    assert!(snapshot(&home.data()) == before);
}
