//! Passwords, damaged files, and names.

use std::{fs, path::PathBuf};

use crate::support::{Does, Home, snapshot};

/// The file of the login: the one that names the server.
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
async fn a_wrong_password_names_the_store_and_touches_nothing() {
    let home = Home::new().await;
    login_with_password(&home).await;
    let before = snapshot(&home.data());
    let tokens = home.data().join("tokens").display().to_string();
    for command in [
        &["token", "notes"][..],
        &["list"],
        &["logout", "notes"],
        &["clear", "notes"],
        &["get", "notes"],
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
        .says("sealed with a password, and none was given")
        .says("--password-file FILE");
    home.run(&["backends"])
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
async fn a_damaged_record_is_named_and_hides_no_other() {
    let (home, other) = (Home::logged_in().await, Home::new().await);
    let url = other.url();
    home.login(&["other", &url]).await.succeeded();
    let file = record(&home);
    let mut bytes = fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    let mut damaged = fs::File::create(&file).unwrap();
    std::io::Write::write_all(&mut damaged, &bytes).unwrap();

    let list = home.run(&["list"]).await.succeeded();
    list.says("cannot be read")
        .says(&file.display().to_string())
        .says("other")
        .says("valid for");
    let get = home.run(&["get", "notes"]).await.ended(1);
    get.says(&file.display().to_string())
        .says("hint:")
        .says("mcp-oauth clear notes");
    assert_eq!(fs::read(&file).unwrap(), bytes, "left as it is");
    home.run(&["token", "other"]).await.succeeded();
    home.run(&["clear", "notes"]).await.succeeded();
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
async fn a_name_that_is_pointed_elsewhere_finds_no_token() {
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
    // The login is still there, without a name.
    home.run(&["list"])
        .await
        .succeeded()
        .says(&format!("-      {}", home.url()));
}

#[tokio::test]
async fn several_accounts_at_one_server_do_not_mix() {
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
async fn a_damaged_file_of_names_is_named_and_left_alone() {
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
    home.run(&["backends", "--store", "memory:"])
        .await
        .succeeded()
        .says("chosen by --store");
}

#[tokio::test]
async fn a_damaged_store_is_moved_away_and_not_cleared() {
    let home = Home::logged_in().await;
    let tokens = home.data().join("tokens");
    home.file("data/tokens/store.json", "damaged");
    let before = snapshot(&home.data());
    let damaged = home.run(&["token", "notes"]).await.ended(1);
    damaged.says(&format!("mv {0} {0}.damaged", tokens.display()));
    assert!(!damaged.stderr.contains("clear"), "{damaged:?}");
    home.run(&["backends"])
        .await
        .succeeded()
        .says("problem")
        .says("is damaged");
    assert!(snapshot(&home.data()) == before);
}
