//! Which responses are challenges, and how often the client steps up (MCP authorization 2026-07-28,
//! "Scope Challenge Handling").

use std::sync::atomic::{AtomicUsize, Ordering};

use http::{Method, header};
use mcp_client_oauth::{Error, Session, error::AuthorizationError, flow::Challenge};
use mcp_oauth_testbed::{Fault, Peer, Testbed};

use super::{NOTES, interactive, logged_in, read, request_count};
use crate::support::{Fixture, bounded, parameter};

/// A server that always requires more scope, with this challenge header.
async fn never_enough(line: &str) -> (Fixture, Session) {
    let fixture = Fixture::start().await;
    let session = interactive(&fixture).await;
    session.token().await.unwrap();
    fixture.testbed.require_scope("list_notes", "notes:admin");
    fixture
        .testbed
        .set_fault(Fault::Challenge(vec![line.to_owned()]));
    (fixture, session)
}

#[tokio::test]
async fn a_response_without_a_challenge_is_returned_unchanged() {
    let (fixture, session) = logged_in().await;
    let bearer = "Bearer error=\"invalid_token\", scope=\"notes:admin\"";
    for (status, line) in [
        (400, "Bearer error=\"invalid_request\""),
        (403, bearer),
        (403, "Basic error=\"insufficient_scope\""),
        (404, bearer),
        (410, bearer),
        (500, "Bearer error=\"insufficient_scope\""),
    ] {
        fixture.testbed.clear_faults();
        fixture.testbed.set_fault(Fault::Status {
            path: NOTES.to_owned(),
            status,
            body: String::new(),
            headers: vec![("www-authenticate".to_owned(), line.to_owned())],
            times: None,
        });
        let before = request_count(&fixture);
        let response = read(&session, &fixture).await.unwrap();
        assert_eq!(response.status, status, "{line}");
        assert_eq!(request_count(&fixture), before + 1, "{status} {line}");
    }
    assert_eq!(
        (fixture.refreshes(), fixture.user.opened_urls().len()),
        (0, 1)
    );
}

#[tokio::test]
async fn insufficient_scope_without_a_scope_starts_no_login() {
    for line in [
        "Bearer error=\"insufficient_scope\"",
        "Bearer error=\"insufficient_scope\", scope=\"\"",
    ] {
        let (fixture, session) = never_enough(line).await;
        for _ in 0..3 {
            let error = read(&session, &fixture).await.unwrap_err();
            let Error::Authorization(AuthorizationError::ScopeNotGranted { scope, .. }) = &error
            else {
                panic!("{line}: {error}");
            };
            assert_eq!(scope.to_string(), "notes:read");
        }
        assert_eq!(request_count(&fixture), 3, "each request was sent once");
        assert_eq!(
            (fixture.refreshes(), fixture.user.opened_urls().len()),
            (0, 1)
        );
    }
}

#[tokio::test]
async fn step_up_stops_after_a_few_logins_when_the_required_scope_keeps_changing() {
    let known = vec![
        "notes:read",
        "more:0",
        "more:1",
        "more:2",
        "more:3",
        "more:4",
    ];
    let builder = Testbed::builder().scopes_supported(Some(known));
    let fixture = Fixture::with(builder.challenge_scope(Some("notes:read"))).await;
    let session = interactive(&fixture).await;
    let sent = AtomicUsize::new(0);
    let response = session.send(&Method::GET, fixture.server.as_url(), |_| {
        let number = sent.fetch_add(1, Ordering::Relaxed);
        let line = format!("Bearer error=\"insufficient_scope\", scope=\"more:{number}\"");
        async move {
            http::Response::builder()
                .status(403)
                .header(header::WWW_AUTHENTICATE, line)
                .body(())
        }
    });
    assert_eq!(bounded(response).await.unwrap().unwrap().status(), 403);
    assert_eq!(sent.into_inner(), 4);
    // The first login, and one for each wider scope.
    assert_eq!(fixture.user.opened_urls().len(), 4);
}

#[tokio::test]
async fn the_first_login_uses_the_challenge_that_the_caller_passes() {
    let fixture =
        Fixture::with(Testbed::builder().scopes_supported(Some(vec!["notes:read"]))).await;
    let mut challenge = Challenge::default();
    challenge.scope = Some("notes:write".parse().unwrap());
    let login = fixture.client().login(&fixture.server);
    let session = login.challenge(challenge).on_demand().await.unwrap();

    bounded(session.token()).await.unwrap();
    assert_eq!(
        parameter(&fixture.user.opened_urls()[0], "scope"),
        "notes:write"
    );
    let questions = fixture.testbed.count(Peer::Mcp, "POST", "/mcp");
    assert_eq!(questions, 0, "the challenge was known");

    fixture.testbed.revoke_all_tokens();
    assert_eq!(read(&session, &fixture).await.unwrap().status, 200);
    assert_eq!(fixture.user.opened_urls().len(), 2);
}
