//! `prune`: removes the logins without a usable token, and nothing else.

use std::time::Duration;

use mcp_oauth_testbed::{Builder, Fault, Testbed};

use crate::support::{Home, snapshot};

/// Returns a testbed with access tokens that expire immediately.
fn with_expired_tokens() -> Builder {
    Testbed::builder().access_token_lifetime(Duration::ZERO)
}

fn without_refresh_tokens() -> Builder {
    with_expired_tokens().issue_refresh_tokens(false)
}

/// Returns the listed status of a login.
async fn status(home: &Home, name: &str) -> Option<String> {
    let list = home.run(&["list", "--json"]).await.succeeded().json();
    let servers = list["servers"].as_array().unwrap();
    let server = servers.iter().find(|server| server["name"] == name)?;
    Some(server["status"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn only_logins_without_a_usable_token_are_removed() {
    let home = Home::with(without_refresh_tokens()).await;
    home.login(&["dead", &home.url()]).await.succeeded();
    home.run(&["login", "too", &home.url()]).await;
    home.login(&["work", &home.url(), "--account", "work"])
        .await
        .succeeded();
    let (refreshable, valid, endless) = (
        Home::with(with_expired_tokens()).await,
        Home::new().await,
        Home::with(Testbed::builder().issue_refresh_tokens(false)).await,
    );
    let without = Fault::TokenWithout("expires_in".to_owned());
    endless.testbed.set_fault(without);
    for (name, other) in [
        ("refreshable", &refreshable),
        ("valid", &valid),
        ("endless", &endless),
    ] {
        home.login(&[name, &other.url()]).await.succeeded();
    }
    assert_eq!(status(&home, "dead").await.unwrap(), "expired");
    assert_eq!(status(&home, "refreshable").await.unwrap(), "refreshable");

    let output = home.run(&["prune"]).await.succeeded();
    output
        .says("the expired login of dead")
        .says("work, ")
        .says(&format!("{} (work)", home.url()));
    assert_eq!(output.stdout.lines().count(), 2, "{output:?}");
    for (name, is) in [
        ("dead", "logged_out"),
        ("work", "logged_out"),
        ("refreshable", "refreshable"),
        ("valid", "valid"),
        ("endless", "valid"),
    ] {
        assert_eq!(status(&home, name).await.unwrap(), is, "{name}");
    }
    let before = snapshot(&home.data());
    let again = home.run(&["prune"]).await.succeeded();
    again.says("No login has expired");
    assert!(snapshot(&home.data()) == before);
}

#[tokio::test]
async fn a_corrupt_login_is_reported_and_left_unchanged() {
    let home = Home::with(without_refresh_tokens()).await;
    home.login(&["notes", &home.url()]).await.succeeded();
    let record = crate::stores::record(&home);
    let mut bytes = std::fs::read(&record).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    home.file(record.strip_prefix(home.path("")).unwrap(), &bytes);
    let output = home
        .run(&["clear", "--expired", "--json"])
        .await
        .succeeded();
    output.says(&record.display().to_string());
    let document = output.json();
    assert_eq!(document["unreadable"][0]["names"][0], "notes");
    assert_eq!(document["removed"], serde_json::json!([]));
    assert_eq!(std::fs::read(&record).unwrap(), bytes, "left as it is");
}

#[tokio::test]
async fn clear_takes_one_server_or_the_expired_ones() {
    let home = Home::logged_in().await;
    for wrong in [
        &["clear"][..],
        &["clear", "notes", "--expired"],
        &["clear", "--expired", "--account", "work"],
        &["clear", "--expired", "--remove-name"],
    ] {
        home.run(wrong).await.ended(2);
    }
    home.run(&["token", "notes"]).await.succeeded();
}

#[tokio::test]
async fn clear_expired_is_an_alias_of_prune() {
    let home = Home::with(without_refresh_tokens()).await;
    home.login(&["dead", &home.url()]).await.succeeded();
    let output = home.run(&["clear", "--expired"]).await.succeeded();
    output.says("the expired login of dead");
    assert_eq!(status(&home, "dead").await.unwrap(), "logged_out");
}

/// The login becomes valid while the command waits for its lock.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_login_made_while_waiting_for_the_lock_is_kept() {
    use mcp_client_oauth::TokenStore;

    use crate::support::{Running, bounded};

    let home = Home::with(without_refresh_tokens()).await;
    home.login(&["notes", &home.url()]).await.succeeded();
    let directory = home.data().join("tokens");
    let store = TokenStore::open(&format!("file:{}", directory.display())).unwrap();
    let key = store.keys().await.unwrap().remove(0);
    let mut lock = store.lock(&key).await.unwrap();

    let running = Running::start(home.command(&["prune"]), "").await;
    let descriptors = format!("/proc/{}/fd", running.child.id().unwrap());
    let locks = directory.join("locks");
    let waits = || {
        let mut open = std::fs::read_dir(&descriptors).unwrap().flatten();
        open.any(|entry| std::fs::read_link(entry.path()).is_ok_and(|to| to.starts_with(&locks)))
    };
    bounded(async {
        while !waits() {
            tokio::task::yield_now().await;
        }
    })
    .await;

    let mut record = lock.record().unwrap().clone();
    record.tokens.expires_at = None;
    store.save(&mut lock, &record).await.unwrap();
    drop(lock);
    running.end().await.succeeded().says("No login has expired");
    assert_eq!(status(&home, "notes").await.unwrap(), "valid");
}
