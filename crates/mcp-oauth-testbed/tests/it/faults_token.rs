//! Faults of the token endpoint, and of any path.

use mcp_oauth_testbed::{Corruption, Endpoint, Fault, Peer, Testbed};
use serde_json::json;

use crate::browser::*;

fn token(how: Corruption) -> Fault {
    Fault::Corrupt(Endpoint::Token, how)
}

#[tokio::test]
async fn fields_of_the_token_response_can_be_set_or_left_out() {
    let testbed = Testbed::start().await.unwrap();
    let login = login(&testbed, "notes:read").await;
    testbed.set_fault(Fault::TokenField("expires_in".to_owned(), json!("3600")));
    testbed.set_fault(Fault::TokenField("token_type".to_owned(), json!("mac")));
    testbed.set_fault(Fault::TokenWithout("scope".to_owned()));
    let response = login.renew(&testbed).await.json();
    assert_eq!(response["expires_in"], "3600");
    assert_eq!(response["token_type"], "mac");
    assert_eq!(response.get("scope"), None);
}

#[tokio::test]
async fn a_token_response_can_be_form_encoded_or_html() {
    let testbed = Testbed::start().await.unwrap();
    let login = login(&testbed, "notes:read").await;
    testbed.set_fault(token(Corruption::FormEncoded));
    let response = login.renew(&testbed).await;
    assert_eq!(
        response.header("content-type"),
        "application/x-www-form-urlencoded"
    );
    assert!(
        response.body.contains("access_token=at_"),
        "{}",
        response.body
    );
    testbed.clear_faults();
    testbed.set_fault(token(Corruption::Html));
    let response = refresh(&testbed, &login.client, "x").await;
    assert_eq!(
        (response.status, response.header("content-type")),
        (200, "text/html; charset=utf-8")
    );
}

#[tokio::test]
async fn an_error_with_status_200_does_not_use_up_the_refresh_token() {
    let testbed = Testbed::start().await.unwrap();
    let login = login(&testbed, "notes:read").await;
    testbed.set_fault(Fault::TokenErrorWith200("bad_refresh_token".to_owned()));
    let response = login.renew(&testbed).await;
    response.assert_refused(200, "bad_refresh_token");
    testbed.clear_faults();
    assert_eq!(login.renew(&testbed).await.status, 200);
}

#[tokio::test]
async fn a_status_fault_ends_after_its_count_and_does_not_use_up_the_token() {
    let testbed = Testbed::start().await.unwrap();
    let login = login(&testbed, "notes:read").await;
    testbed.set_fault(Fault::Status {
        path: "/token".to_owned(),
        status: 503,
        body: "{\"error\":\"temporarily_unavailable\"}".to_owned(),
        headers: vec![("Retry-After".to_owned(), "1".to_owned())],
        times: Some(2),
    });
    for _ in 0..2 {
        let response = login.renew(&testbed).await;
        assert_eq!(
            (response.status, response.header("retry-after")),
            (503, "1")
        );
        assert_eq!(response.text("error"), "temporarily_unavailable");
    }
    assert_eq!(login.renew(&testbed).await.status, 200);
    let statuses: Vec<u16> = testbed
        .requests()
        .iter()
        .filter(|seen| seen.form("grant_type").as_deref() == Some("refresh_token"))
        .map(|seen| seen.status)
        .collect();
    assert_eq!(statuses, [503, 503, 200]);
}

#[tokio::test]
async fn a_truncated_token_response_has_used_up_the_refresh_token() {
    for count in [0, 1, 20] {
        let testbed = Testbed::start().await.unwrap();
        let login = login(&testbed, "notes:read").await;
        testbed.set_fault(token(Corruption::CutAfter(count)));
        let server = testbed.server_url();
        let pairs = [
            ("grant_type", "refresh_token"),
            ("client_id", login.client.as_str()),
            ("refresh_token", login.refresh.as_str()),
            ("resource", server.as_str()),
        ];
        let url = endpoint(&testbed, "/token");
        let read = async { form_request(&url, &pairs).send().await?.text().await };
        assert!(read.await.is_err(), "{count}");
        testbed.clear_faults();
        let response = login.renew(&testbed).await;
        assert_eq!(response.text("error"), "invalid_grant");
    }
}

#[tokio::test]
async fn a_held_response_is_sent_on_release() {
    let testbed = start(Testbed::builder().fault(token(Corruption::Held))).await;
    let client = register(&testbed).await;
    let code = code(&testbed, &client, "notes:read").await;
    let (response, ()) = tokio::join!(exchange(&testbed, &client, &code), async {
        testbed
            .wait_for_requests(Peer::AuthorizationServer, "POST", "/token", 1)
            .await;
        assert_eq!(testbed.requests().last().unwrap().status, 0);
        testbed.release();
    });
    assert_eq!(response.status, 200);
    let renewed = refresh(&testbed, &client, &response.text("refresh_token")).await;
    assert_eq!(renewed.status, 200);
}

#[tokio::test]
async fn a_spent_refresh_token_can_be_accepted_once_more() {
    let testbed = Testbed::start().await.unwrap();
    let login = login(&testbed, "notes:read").await;
    let first = login.renew(&testbed).await;
    testbed.set_fault(Fault::AcceptsSpentRefreshTokenOnce);
    assert_eq!(login.renew(&testbed).await.status, 200);
    assert_eq!(login.renew(&testbed).await.text("error"), "invalid_grant");
    assert!(testbed.families()[0].alive);
    assert_eq!(
        refresh(&testbed, &login.client, &first.text("refresh_token"))
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn a_server_can_rotate_and_omit_the_new_token() {
    let testbed = start(Testbed::builder().fault(Fault::OmitsRotatedRefreshToken)).await;
    let login = login(&testbed, "notes:read").await;
    let response = login.renew(&testbed).await;
    assert_eq!(response.json().get("refresh_token"), None);
    let again = login.renew(&testbed).await;
    assert_eq!(again.text("error"), "invalid_grant");
}

#[tokio::test]
async fn revocation_can_be_unavailable_or_hang() {
    let testbed = Testbed::start().await.unwrap();
    let login = login(&testbed, "notes:read").await;
    let url = endpoint(&testbed, "/revoke");
    let pairs = [
        ("client_id", login.client.as_str()),
        ("token", login.refresh.as_str()),
    ];
    testbed.set_fault(Fault::Status {
        path: "/revoke".to_owned(),
        status: 503,
        body: String::new(),
        headers: Vec::new(),
        times: None,
    });
    assert_eq!(post_form(&url, &pairs).await.status, 503);
    assert!(testbed.families()[0].alive);
    testbed.clear_faults();
    testbed.set_fault(Fault::Corrupt(
        Endpoint::Revocation,
        Corruption::NeverResponds,
    ));
    tokio::select! {
        response = post_form(&url, &pairs) => panic!("answered {}", response.status),
        () = testbed.wait_for_requests(Peer::AuthorizationServer, "POST", "/revoke", 2) => {}
    }
}

#[tokio::test]
async fn a_stopped_authorization_server_refuses_connections_and_the_mcp_server_responds() {
    let testbed = Testbed::start().await.unwrap();
    let url = endpoint(&testbed, "/.well-known/oauth-authorization-server");
    assert!(try_get(&url).await.is_ok());
    testbed.stop_authorization_server().await;
    assert!(try_get(&url).await.unwrap_err().is_connect());
    assert_eq!(get(testbed.server_url().as_str()).await.status, 401);
    testbed.stop_mcp_server().await;
    assert!(
        try_get(testbed.server_url().as_str())
            .await
            .unwrap_err()
            .is_connect()
    );
}
