//! `clear --expired`: what is good for nothing any more, and nothing else.

use std::time::Duration;

use mcp_oauth_testbed::{Builder, Fault, Testbed};

use crate::support::{Home, snapshot};

/// Logins end as they begin.
fn short() -> Builder {
    Testbed::builder().access_token_lifetime(Duration::ZERO)
}

fn dead() -> Builder {
    short().issue_refresh_tokens(false)
}

/// Where a login is listed with that status.
async fn status(home: &Home, name: &str) -> Option<String> {
    let list = home.run(&["list", "--json"]).await.succeeded().json();
    let servers = list["servers"].as_array().unwrap();
    let server = servers.iter().find(|server| server["name"] == name)?;
    Some(server["status"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn only_logins_that_are_good_for_nothing_are_cleared() {
    let home = Home::with(dead()).await;
    home.login(&["dead", &home.url()]).await.succeeded();
    home.run(&["login", "too", &home.url()]).await;
    home.login(&["work", &home.url(), "--account", "work"])
        .await
        .succeeded();
    let (refreshable, valid, endless) = (
        Home::with(short()).await,
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

    let said = home.run(&["clear", "--expired"]).await.succeeded();
    said.says("the expired tokens of dead")
        .says("work, ")
        .says(&format!("{} (work)", home.url()));
    assert_eq!(said.stdout.lines().count(), 2, "{said:?}");
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
    let again = home.run(&["clear", "--expired"]).await.succeeded();
    again.says("No login has expired");
    assert!(snapshot(&home.data()) == before);
}

#[tokio::test]
async fn a_damaged_login_is_named_and_left() {
    let home = Home::with(dead()).await;
    home.login(&["notes", &home.url()]).await.succeeded();
    let record = crate::stores::record(&home);
    let mut bytes = std::fs::read(&record).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    home.file(record.strip_prefix(home.path("")).unwrap(), &bytes);
    let said = home
        .run(&["clear", "--expired", "--json"])
        .await
        .succeeded();
    said.says(&record.display().to_string());
    let document = said.json();
    assert_eq!(document["unreadable"][0]["names"][0], "notes");
    assert_eq!(document["forgotten"], serde_json::json!([]));
    assert_eq!(std::fs::read(&record).unwrap(), bytes, "left as it is");
}

#[tokio::test]
async fn one_server_or_the_expired_ones_are_named_and_not_both() {
    let home = Home::logged_in().await;
    for wrong in [
        &["clear"][..],
        &["clear", "notes", "--expired"],
        &["clear", "--expired", "--account", "work"],
        &["clear", "--expired", "--forget-name"],
    ] {
        home.run(wrong).await.ended(2);
    }
    home.run(&["token", "notes"]).await.succeeded();
}

/// The command waits for the lock, behind which the login becomes a good one.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_login_that_was_made_in_between_is_kept() {
    use mcp_client_oauth::TokenStore;

    use crate::support::{Running, bounded};

    let home = Home::with(dead()).await;
    home.login(&["notes", &home.url()]).await.succeeded();
    let directory = home.data().join("tokens");
    let store = TokenStore::open(&format!("file:{}", directory.display())).unwrap();
    let key = store.keys().await.unwrap().remove(0);
    let mut lock = store.lock(&key).await.unwrap();

    let running = Running::start(home.command(&["clear", "--expired"]), "").await;
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
