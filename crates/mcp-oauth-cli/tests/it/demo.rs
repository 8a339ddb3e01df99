//! `demo`, on a system without a display.

use crate::support::Home;

#[tokio::test]
async fn the_demo_checks_every_step_without_a_display() {
    let home = Home::new().await;
    let shown = home.run(&["demo", "--no-browser"]).await.succeeded();
    for step in [
        "No browser, as you asked: the demo presses Approve",
        "1. Discovery",
        "2. Registration",
        "3. Consent",
        "4. Exchange",
        "5. Store",
        "6. Use",
        "7. Expiry",
        "8. Rejection",
        "9. Step-up",
        "10. Logout",
        "no token is in any file in plain text",
        "20 callers with an expired token caused one refresh",
        "the refresh token was rotated",
        "the server rejected the revoked token",
        "a rejected token was replaced by one refresh",
        "the server has revoked the tokens",
        "the record is gone from the store",
    ] {
        shown.says(step);
    }
    assert!(!shown.stdout.contains('\u{1b}'), "plain when piped");
    let left = std::fs::read_dir(home.path("")).unwrap().count();
    assert_eq!(left, 0, "the demo has left something behind");
}

#[tokio::test]
async fn the_demo_presses_approve_itself_where_there_is_no_display() {
    let home = Home::new().await;
    let shown = home.run(&["demo", "--json"]).await.succeeded();
    shown.says("No display, so no browser");
    let document = shown.json();
    assert_eq!(document["ok"], true);
    assert!(
        document["checks"].as_array().unwrap().len() > 20,
        "{document}"
    );
}

#[tokio::test]
async fn the_demo_presses_approve_itself_where_no_browser_starts() {
    let home = Home::new().await;
    let shown = home
        .run_with("BROWSER", "/nowhere/browser", &["demo"])
        .await;
    shown
        .succeeded()
        .says("No browser could be started: the demo presses Approve itself.")
        .says("the record is gone from the store");
}
