//! The pages and the cookies of the application, over HTTP.

use axum_extra::extract::cookie::SameSite;
use mcp_oauth_testbed::test_user::Decision;

use super::{
    visitor::{Visitor, location},
    *,
};

#[tokio::test]
async fn a_user_connects_a_server_lists_its_tools_and_logs_out() {
    let app = Running::start().await;
    let mut alice = Visitor::signed_in(&app.url, "alice").await;
    let callback = alice.callback(Decision::Approve).await;
    assert_eq!(alice.redirect(&callback).await, "/servers/notes");
    let page = alice.get(&app.path("/servers/notes")).await;
    let page = page.text().await.unwrap();
    for tool in ["whoami", "add", "list_notes", "write_note"] {
        assert!(page.contains(&format!("<li>{tool}</li>")), "{page}");
    }
    assert!(app.is_connected("alice").await);
    alice.post("/servers/notes/log-out", &[]).await;
    assert!(!app.is_connected("alice").await);
    assert!(!app.notes.families().last().unwrap().alive);
    let tools = app.path("/servers/notes");
    assert_eq!(alice.redirect(&tools).await, "/failed/connect");
}

#[tokio::test]
async fn the_cookies_are_for_this_browser_alone_and_end_with_the_login() {
    let app = Running::start().await;
    let mut alice = Visitor::signed_in(&app.url, "alice").await;
    let callback = alice.callback(Decision::Approve).await;
    for (name, path) in [("session", "/"), ("login", "/callback/notes")] {
        let cookie = &alice.cookies[name];
        assert_eq!(cookie.http_only(), Some(true), "{cookie}");
        assert_eq!(cookie.same_site(), Some(SameSite::Lax), "{cookie}");
        assert_eq!(cookie.path(), Some(path), "{cookie}");
        assert_eq!(cookie.domain(), None, "{cookie}");
    }
    let lifetime = alice.cookies["login"].max_age().unwrap();
    assert_eq!(lifetime.whole_seconds(), 600);
    alice.redirect(&callback).await;
    assert_eq!(alice.cookies["login"].value(), "");
    assert!(alice.cookies["login"].max_age().unwrap().is_zero());
}

#[tokio::test]
async fn a_form_of_another_site_changes_nothing() {
    let app = Running::start().await;
    let mut alice = Visitor::signed_in(&app.url, "alice").await;
    let requests = app.notes.requests().len();
    for origin in [
        None,
        Some("null"),
        Some("http://127.0.0.1:1"),
        Some("http://localhost"),
    ] {
        for path in [
            "/servers/notes/connect",
            "/servers/notes/log-out",
            "/sign-in",
            "/sign-out",
        ] {
            let fields = [("user", "mallory")];
            let response = alice.post_from(origin, path, &fields).await;
            assert_eq!(response.status(), 403, "{origin:?} {path}");
        }
    }
    assert_eq!(app.notes.requests().len(), requests);
    let page = alice.get(&app.url).await.text().await.unwrap();
    assert!(page.contains("Servers of alice"), "{page}");
}

#[tokio::test]
async fn a_session_cookie_that_the_application_has_not_signed_is_no_user() {
    let app = Running::start().await;
    let mut alice = Visitor::signed_in(&app.url, "alice").await;
    let signed = alice.cookies["session"].value().to_owned();
    for forged in [
        "alice".to_owned(),
        signed.replace("alice", "bobby"),
        String::new(),
    ] {
        alice.cookies.get_mut("session").unwrap().set_value(forged);
        assert_eq!(alice.connect().await, app.url);
        let page = alice.get(&app.url).await.text().await.unwrap();
        assert!(page.contains("Sign in"), "{page}");
    }
    assert!(app.notes.requests().is_empty());
}

#[tokio::test]
async fn names_are_escaped_in_a_page() {
    let app = Running::start().await;
    let mut visitor = Visitor::signed_in(&app.url, "<script>alert(1)</script>\"'&").await;
    let response = visitor.get(&app.url).await;
    let policy = &response.headers()["content-security-policy"];
    assert!(policy.to_str().unwrap().starts_with("default-src 'none'"));
    let page = response.text().await.unwrap();
    assert!(
        page.contains("&lt;script&gt;") && !page.contains("<script"),
        "{page}"
    );
}

/// An error can name addresses of the network of the application, and the callback has a code in its URL.
#[tokio::test]
async fn an_error_is_shown_by_its_remedy_alone() {
    let app = Running::with(Testbed::builder().dynamic_registration(false)).await;
    let mut alice = Visitor::signed_in(&app.url, "alice").await;
    let failed = alice.connect().await;
    assert_eq!(failed.path(), "/failed/operator");
    assert_eq!(alice.get(&failed).await.status(), 502);
    app.notes.stop_mcp_server().await;
    let failed = alice.connect().await;
    assert_eq!(failed.path(), "/failed/retry");
    let page = alice.get(&failed).await;
    assert_eq!(page.status(), 503);
    assert!(!page.text().await.unwrap().contains("127.0.0.1"));
    let callback = app.path("/callback/notes?code=a&state=b");
    let response = alice.get(&callback).await;
    let failed = location(&response, &app.url);
    assert_eq!((failed.path(), failed.query()), ("/failed/connect", None));
    let unknown = alice.post("/servers/other/connect", &[]).await;
    assert_eq!(unknown.status(), 404);
}
