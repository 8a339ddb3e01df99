//! A login is bound to the browser that began it (RFC 9700 §4.7.1): otherwise an attacker could begin a login
//! for their own account, and send its URL to a victim.

use super::*;

#[tokio::test]
async fn another_browser_cannot_finish_a_login_and_does_not_end_it() {
    let app = Application::start().await;
    let (own, other) = (app.begin("alice").await, app.begin("alice").await);
    let callback = approve(&own).await;
    let error = refusal(app.finish(&callback, &other.browser_secret).await);
    assert!(matches!(error, AuthorizationError::OtherBrowser), "{error}");
    assert_eq!(app.fixture.posts("/token"), 0);
    app.finish(&callback, &own.browser_secret).await.unwrap();
}

#[tokio::test]
async fn the_victim_of_a_sent_url_does_not_log_in_for_the_attacker() {
    let app = Application::start().await;
    let attacker = app.begin("mallory").await;
    let callback = approve(&attacker).await;
    let victim = app.begin("alice").await.browser_secret;
    for secret in [victim.clone(), Secret::new(String::new())] {
        let error = refusal(app.finish(&callback, &secret).await);
        assert!(matches!(error, AuthorizationError::NotPending), "{error}");
    }
    // Also if the name of the account in the secret is replaced.
    let (random, _) = victim.expose().split_once('.').unwrap();
    let (_, account) = attacker.browser_secret.expose().split_once('.').unwrap();
    let mixed = Secret::new(format!("{random}.{account}"));
    let error = refusal(app.finish(&callback, &mixed).await);
    assert!(matches!(error, AuthorizationError::OtherBrowser), "{error}");
    assert_eq!(app.fixture.posts("/token"), 0);
    assert!(app.hosts[0].logins().await.unwrap().is_empty());
}

#[tokio::test]
async fn each_login_has_another_secret_which_may_stand_in_a_cookie() {
    let app = Application::start().await;
    let mut secrets = Vec::new();
    for _ in 0..3 {
        let secret = app.begin("alice \u{e9};\r\n").await.browser_secret;
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        assert!(secret.expose().bytes().all(is_plain));
        // 256 bits, the separator, and the account.
        assert!(secret.expose().len() > 44);
        secrets.push(secret.expose().clone());
    }
    secrets.dedup();
    assert_eq!(secrets.len(), 3);
}
