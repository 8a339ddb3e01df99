//! The application in a real browser.

use mcp_oauth_testbed::test_user::{Decision, decide};

use super::*;
use crate::chromium::{Chromium, is_enabled};

/// A user with a browser.
pub(super) struct User {
    pub(super) chromium: Chromium,
    app: Url,
}

impl User {
    pub(super) async fn signed_in(app: &Url, name: &str) -> Self {
        let chromium = Chromium::start().await;
        chromium.open(app).await;
        chromium.fill("input[name=user]", name).await;
        chromium.press("form[action='/sign-in'] button").await;
        let user = Self {
            chromium,
            app: app.clone(),
        };
        user.sees(&format!("Servers of {name}")).await;
        user
    }

    /// Waits until the page has this heading.
    pub(super) async fn sees(&self, heading: &str) {
        let path = format!("//h1[normalize-space()='{heading}']");
        self.chromium.wait_for(&path).await;
    }

    /// Begins a login, and waits for the consent page. Returns its URL.
    pub(super) async fn connects(&self) -> Url {
        self.chromium.open(&self.app).await;
        self.chromium
            .press("form[action='/servers/notes/connect'] button")
            .await;
        self.chromium.wait_for("//button[@id='approve']").await;
        self.chromium.url().await
    }

    pub(super) async fn approves(&self) {
        self.chromium.press("#approve").await;
    }

    pub(super) async fn opens(&self, url: &Url) {
        self.chromium.open(url).await;
    }

    /// Waits for the list of tools, at a URL without a code.
    pub(super) async fn sees_the_tools(&self) {
        self.sees("Tools of notes").await;
        let text = self.chromium.text().await;
        assert!(
            text.contains("whoami") && text.contains("write_note"),
            "{text}"
        );
        assert_eq!(
            self.chromium.url().await.as_str(),
            self.path("/servers/notes")
        );
    }

    /// Waits for the page that says to connect again, at a URL without a code.
    pub(super) async fn is_told_to_connect_again(&self) {
        self.sees("Not connected").await;
        let text = self.chromium.text().await;
        assert!(text.contains("Connect it again"), "{text}");
        assert_eq!(
            self.chromium.url().await.as_str(),
            self.path("/failed/connect")
        );
    }

    /// Opens the tools, which need a login.
    pub(super) async fn opens_the_tools(&self) {
        self.opens(&self.app.join("/servers/notes").unwrap()).await;
    }

    fn path(&self, path: &str) -> String {
        self.app.join(path).unwrap().to_string()
    }
}

/// Two users log in at the same time, each in a browser of their own.
pub(super) async fn two_users_at_once(app: &Url) {
    let (alice, bob) = tokio::join!(User::signed_in(app, "alice"), User::signed_in(app, "bob"));
    tokio::join!(alice.connects(), bob.connects());
    // In the other order than they have begun.
    bob.approves().await;
    bob.sees_the_tools().await;
    alice.approves().await;
    alice.sees_the_tools().await;
    alice
        .chromium
        .press("form[action='/servers/notes/log-out'] button")
        .await;
    alice.sees("Servers of alice").await;
    alice.opens_the_tools().await;
    alice.is_told_to_connect_again().await;
    bob.opens_the_tools().await;
    bob.sees_the_tools().await;
}

#[tokio::test]
async fn two_users_log_in_at_once() {
    if !is_enabled() {
        return;
    }
    let app = Running::start().await;
    two_users_at_once(&app.url).await;
    assert_eq!(app.notes.token_requests("authorization_code"), 2);
    assert!(!app.is_connected("alice").await && app.is_connected("bob").await);
}

#[tokio::test]
async fn a_login_that_is_denied_can_be_begun_again() {
    if !is_enabled() {
        return;
    }
    let app = Running::start().await;
    let alice = User::signed_in(&app.url, "alice").await;
    alice.connects().await;
    alice.chromium.press("#deny").await;
    alice.is_told_to_connect_again().await;
    assert_eq!(app.notes.token_requests("authorization_code"), 0);
    alice.connects().await;
    alice.approves().await;
    alice.sees_the_tools().await;
}

#[tokio::test]
async fn a_callback_that_is_opened_again_changes_nothing() {
    if !is_enabled() {
        return;
    }
    let app = Running::start().await;
    let alice = User::signed_in(&app.url, "alice").await;
    let consent = alice.connects().await;
    let callback = decide(&consent, Decision::Approve).await.unwrap();
    alice.opens(&callback).await;
    alice.sees_the_tools().await;
    alice.opens(&callback).await;
    alice.is_told_to_connect_again().await;
    assert_eq!(app.notes.token_requests("authorization_code"), 1);
    alice.opens_the_tools().await;
    alice.sees_the_tools().await;
}

#[tokio::test]
async fn the_back_button_leads_to_no_second_login() {
    if !is_enabled() {
        return;
    }
    let app = Running::start().await;
    let alice = User::signed_in(&app.url, "alice").await;
    let consent = alice.connects().await;
    alice.approves().await;
    alice.sees_the_tools().await;
    alice.chromium.back().await;
    // The consent page as it was, which the server accepts once.
    alice.approves().await;
    alice.sees("This login cannot go on").await;
    // Loaded again, it leads to another code, with the `state` of the login that has ended.
    alice.opens(&consent).await;
    alice.approves().await;
    alice.is_told_to_connect_again().await;
    assert_eq!(app.notes.token_requests("authorization_code"), 1);
    alice.opens_the_tools().await;
    alice.sees_the_tools().await;
}

#[tokio::test]
async fn another_browser_cannot_finish_a_login() {
    if !is_enabled() {
        return;
    }
    let app = Running::start().await;
    let (alice, bob) = tokio::join!(
        User::signed_in(&app.url, "alice"),
        User::signed_in(&app.url, "bob")
    );
    let consent = alice.connects().await;
    let callback = decide(&consent, Decision::Approve).await.unwrap();
    // Without a login of his own, and with one.
    bob.opens(&callback).await;
    bob.is_told_to_connect_again().await;
    bob.connects().await;
    bob.opens(&callback).await;
    bob.is_told_to_connect_again().await;
    // The URL of her login, sent to him: he consents, and his browser has no cookie of that login.
    bob.opens(&consent).await;
    bob.approves().await;
    bob.is_told_to_connect_again().await;
    assert_eq!(app.notes.token_requests("authorization_code"), 0);
    assert!(!app.is_connected("alice").await && !app.is_connected("bob").await);
    alice.opens(&callback).await;
    alice.sees_the_tools().await;
    assert!(app.is_connected("alice").await && !app.is_connected("bob").await);
}

#[tokio::test]
async fn a_login_that_is_begun_again_replaces_the_first() {
    if !is_enabled() {
        return;
    }
    let app = Running::start().await;
    let alice = User::signed_in(&app.url, "alice").await;
    let first = alice.connects().await;
    alice.connects().await;
    let callback = decide(&first, Decision::Approve).await.unwrap();
    alice.opens(&callback).await;
    alice.is_told_to_connect_again().await;
    alice.connects().await;
    alice.approves().await;
    alice.sees_the_tools().await;
}
