//! Callbacks without the `state` of the login do not end it (RFC 6749 §10.12), and the right callback
//! is used once (RFC 6749 §10.5).

use std::sync::Arc;

use mcp_oauth_testbed::{
    Corruption, Endpoint, Fault, Peer, Testbed,
    test_user::{Decision, decide, visit},
};
use url::Url;

use crate::support::{Fixture, TestUser, browse, with_parameter};

/// Returns URLs that are visited before the right callback and do not change the login.
fn noise(callback: &Url) -> Vec<Url> {
    let mut bare = callback.clone();
    bare.set_query(None);
    let state = with_parameter(callback, "x", None);
    let state = state
        .query_pairs()
        .find(|(name, _)| name == "state")
        .unwrap()
        .1
        .into_owned();
    let mut doubled = callback.clone();
    doubled.query_pairs_mut().append_pair("state", &state);
    vec![
        with_parameter(callback, "state", Some("wrong")),
        with_parameter(callback, "state", Some("")),
        with_parameter(callback, "state", None),
        with_parameter(callback, "state", Some(&state.to_lowercase())),
        doubled,
        with_parameter(&bare, "error", Some("access_denied")),
        bare,
    ]
}

#[tokio::test]
async fn a_callback_with_another_state_does_not_end_the_wait() {
    let user = TestUser::tampering(|callback| {
        let mut urls = noise(callback);
        urls.push(callback.clone());
        urls
    });
    let fixture = Fixture::start().await.with_user(user);
    fixture.login().await.unwrap();
    let statuses: Vec<u16> = fixture
        .user
        .pages()
        .await
        .iter()
        .map(|page| page.status)
        .collect();
    assert_eq!(statuses, [400, 400, 400, 400, 400, 400, 400, 303, 200]);
    assert_eq!(fixture.testbed.token_requests("authorization_code"), 1);
}

#[tokio::test]
async fn a_page_in_the_browser_cannot_deny_for_the_user() {
    let user = TestUser::tampering(|callback| {
        let mut drive_by = callback.clone();
        drive_by.set_query(Some("error=access_denied&error_description=drive-by"));
        vec![drive_by, callback.clone()]
    });
    let fixture = Fixture::start().await.with_user(user);
    fixture.login().await.unwrap();
    assert_eq!(fixture.user.pages().await[0].status, 400);
}

#[tokio::test]
async fn a_callback_without_the_state_is_never_accepted() {
    for fault in [
        Fault::CallbackWithoutState,
        Fault::CallbackState("other".to_owned()),
    ] {
        let fixture = Fixture::start().await.with_user(TestUser::idle());
        fixture.testbed.set_fault(fault);
        let waiting = fixture.start_login(|login| login).await;
        let pages = crate::support::approve(waiting.url.clone()).await;
        assert_eq!(pages[0].status, 400);
        assert_eq!(fixture.posts("/token"), 0);
        waiting.login.abort();
    }
}

#[tokio::test]
async fn a_callback_sent_twice_is_used_once_and_shows_the_same_page() {
    let testbed = Arc::new(Testbed::start().await.unwrap());
    testbed.set_fault(Fault::Corrupt(Endpoint::Token, Corruption::Held));
    let held = Arc::clone(&testbed);
    let user = TestUser::with_action(move |url| {
        let testbed = Arc::clone(&held);
        async move {
            let callback = decide(&url, Decision::Approve).await.unwrap();
            let mut pages = vec![visit(&callback).await.unwrap()];
            // The token request is pending.
            testbed
                .wait_for_requests(Peer::AuthorizationServer, "POST", "/token", 1)
                .await;
            pages.push(visit(&callback).await.unwrap());
            let other = with_parameter(&callback, "code", Some("another"));
            pages.push(visit(&other).await.unwrap());
            pages.extend(browse(callback).await);
            testbed.release();
            pages
        }
    });
    let fixture = Fixture::from_testbed(testbed).with_user(user);
    fixture.login().await.unwrap();
    let pages = fixture.user.pages().await;
    let statuses: Vec<u16> = pages.iter().map(|page| page.status).collect();
    assert_eq!(statuses, [303, 303, 400, 303, 200]);
    assert_eq!(pages[0].redirect(), pages[1].redirect());
    assert_eq!(fixture.testbed.token_requests("authorization_code"), 1);
}
