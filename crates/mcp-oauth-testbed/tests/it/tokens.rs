//! The token and revocation endpoints.

use std::time::Duration;

use mcp_oauth_testbed::Testbed;

use crate::browser::*;

#[tokio::test]
async fn a_code_is_exchanged_for_tokens_that_the_server_accepts() {
    let testbed = Testbed::start().await.unwrap();
    let client = register(&testbed).await;
    let code = code(&testbed, &client, "notes:read notes:write").await;
    let response = exchange(&testbed, &client, &code).await;
    let tokens = response.json();
    assert_eq!(tokens["token_type"], "Bearer");
    assert_eq!(tokens["expires_in"], 300);
    assert_eq!(tokens["scope"], "notes:read notes:write");
    assert_eq!(response.header("cache-control"), "no-store");
    assert!(is_good(&testbed, &response.text("access_token")).await);
    assert!(!is_good(&testbed, &response.text("refresh_token")).await);
}

#[tokio::test]
async fn a_wrong_verifier_is_refused_and_invalidates_the_code() {
    let testbed = Testbed::start().await.unwrap();
    let client = register(&testbed).await;
    let code = code(&testbed, &client, "notes:read").await;
    let server = testbed.server_url();
    let wrong = VERIFIER.replace('a', "b");
    let mut pairs = exchange_form(&client, &code, server.as_str()).to_vec();
    pairs.retain(|(name, _)| *name != "code_verifier");
    pairs.push(("code_verifier", &wrong));
    let response = post_token(&testbed, &pairs).await;
    response.assert_refused(400, "invalid_grant");
    assert_eq!(
        exchange(&testbed, &client, &code).await.text("error"),
        "invalid_grant"
    );
}

#[tokio::test]
async fn a_missing_or_wrong_parameter_of_the_exchange_is_refused() {
    let testbed = Testbed::start().await.unwrap();
    let client = register(&testbed).await;
    let server = testbed.server_url();
    for (name, value, error) in [
        ("resource", "", "invalid_target"),
        ("resource", "https://other.example/mcp", "invalid_target"),
        (
            "redirect_uri",
            "http://127.0.0.1:10/callback",
            "invalid_grant",
        ),
        ("redirect_uri", "", "invalid_request"),
        ("code_verifier", "", "invalid_request"),
        ("code", "code_unknown", "invalid_grant"),
        ("client_id", "unknown", "invalid_client"),
        ("grant_type", "password", "unsupported_grant_type"),
    ] {
        let code = code(&testbed, &client, "notes:read").await;
        let mut pairs = exchange_form(&client, &code, server.as_str()).to_vec();
        pairs.retain(|(key, _)| *key != name);
        pairs.push((name, value));
        let response = post_token(&testbed, &pairs).await;
        assert_eq!(response.text("error"), error, "{name}={value}");
    }
}

#[tokio::test]
async fn a_replayed_code_revokes_its_tokens() {
    let testbed = Testbed::start().await.unwrap();
    let client = register(&testbed).await;
    let code = code(&testbed, &client, "notes:read").await;
    let tokens = exchange(&testbed, &client, &code).await;
    assert_eq!(
        exchange(&testbed, &client, &code).await.text("error"),
        "invalid_grant"
    );
    assert!(!is_good(&testbed, &tokens.text("access_token")).await);
    let response = refresh(&testbed, &client, &tokens.text("refresh_token")).await;
    assert_eq!(response.text("error"), "invalid_grant");
    assert!(!testbed.families()[0].alive);
}

#[tokio::test]
async fn a_code_expires_after_a_minute() {
    let testbed = Testbed::start().await.unwrap();
    let client = register(&testbed).await;
    let early = code(&testbed, &client, "notes:read").await;
    testbed.advance(Duration::from_secs(50));
    assert_eq!(exchange(&testbed, &client, &early).await.status, 200);
    let late = code(&testbed, &client, "notes:read").await;
    testbed.advance(Duration::from_secs(61));
    assert_eq!(
        exchange(&testbed, &client, &late).await.text("error"),
        "invalid_grant"
    );
}

#[tokio::test]
async fn a_code_is_refused_from_another_client() {
    let testbed = Testbed::start().await.unwrap();
    let client = register(&testbed).await;
    let thief = register(&testbed).await;
    let code = code(&testbed, &client, "notes:read").await;
    assert_eq!(
        exchange(&testbed, &thief, &code).await.text("error"),
        "invalid_grant"
    );
    assert_eq!(exchange(&testbed, &client, &code).await.status, 200);
}

#[tokio::test]
async fn refreshing_rotates_and_reuse_revokes_the_family() {
    let testbed = Testbed::start().await.unwrap();
    let login = login(&testbed, "notes:read").await;
    assert!(!testbed.is_spent(&login.refresh));
    let renewed = login.renew(&testbed).await;
    let second = renewed.text("refresh_token");
    assert_ne!(second, login.refresh);
    assert!(testbed.is_spent(&login.refresh) && !testbed.is_spent(&second));
    assert!(is_good(&testbed, &renewed.text("access_token")).await);
    assert!(testbed.families()[0].alive);
    assert_eq!(testbed.families()[0].refreshes, 1);

    let reused = login.renew(&testbed).await;
    reused.assert_refused(400, "invalid_grant");
    assert!(!testbed.families()[0].alive);
    assert_eq!(
        refresh(&testbed, &login.client, &second)
            .await
            .text("error"),
        "invalid_grant"
    );
    assert!(!is_good(&testbed, &renewed.text("access_token")).await);
    assert_eq!(testbed.token_requests("refresh_token"), 3);
}

#[tokio::test]
async fn of_two_concurrent_refreshes_one_succeeds_and_the_family_is_revoked() {
    let testbed = Testbed::start().await.unwrap();
    let login = login(&testbed, "notes:read").await;
    let (one, two) = tokio::join!(login.renew(&testbed), login.renew(&testbed),);
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 400]);
    assert!(!testbed.families()[0].alive);
}

#[tokio::test]
async fn a_refresh_needs_the_resource() {
    let testbed = Testbed::start().await.unwrap();
    let login = login(&testbed, "notes:read").await;
    let pairs = [
        ("grant_type", "refresh_token"),
        ("client_id", login.client.as_str()),
        ("refresh_token", login.refresh.as_str()),
    ];
    let response = post_token(&testbed, &pairs).await;
    assert_eq!(response.text("error"), "invalid_target");
    assert_eq!(login.renew(&testbed).await.status, 200);
}

#[tokio::test]
async fn a_refresh_may_narrow_the_scope_but_not_widen_it() {
    let testbed = Testbed::start().await.unwrap();
    let login = login(&testbed, "notes:read notes:write").await;
    let server = testbed.server_url();
    let token = endpoint(&testbed, "/token");
    let refresh_with_scope = async |refresh: &str, scope: &str| {
        let pairs = [
            ("grant_type", "refresh_token"),
            ("client_id", login.client.as_str()),
            ("refresh_token", refresh),
            ("resource", server.as_str()),
            ("scope", scope),
        ];
        post_form(&token, &pairs).await
    };
    assert_eq!(
        refresh_with_scope(&login.refresh, "notes:read admin")
            .await
            .text("error"),
        "invalid_scope"
    );
    let narrow = refresh_with_scope(&login.refresh, "notes:read").await;
    assert_eq!(narrow.text("scope"), "notes:read");
    let whole = refresh(&testbed, &login.client, &narrow.text("refresh_token")).await;
    assert_eq!(whole.text("scope"), "notes:read notes:write");
}

#[tokio::test]
async fn without_rotation_the_refresh_token_stays_valid_and_no_new_one_is_issued() {
    let testbed = start(Testbed::builder().rotate_refresh_tokens(false)).await;
    let login = login(&testbed, "notes:read").await;
    for _ in 0..2 {
        let response = login.renew(&testbed).await;
        assert_eq!(response.status, 200);
        assert_eq!(response.json().get("refresh_token"), None);
    }
    assert!(testbed.families()[0].alive);
}

#[tokio::test]
async fn a_server_may_issue_no_refresh_token() {
    let testbed = start(Testbed::builder().issue_refresh_tokens(false)).await;
    let login = login(&testbed, "notes:read").await;
    assert_eq!(login.refresh, "");
    assert!(testbed.families().is_empty());
}

#[tokio::test]
async fn a_refresh_can_revoke_the_old_access_token() {
    let testbed = start(Testbed::builder().refresh_ends_old_access_tokens(true)).await;
    let login = login(&testbed, "notes:read").await;
    let renewed = login.renew(&testbed).await;
    assert!(!is_good(&testbed, &login.access).await);
    assert!(is_good(&testbed, &renewed.text("access_token")).await);
}

#[tokio::test]
async fn an_access_token_expires_by_the_testbed_clock() {
    let lifetime = Duration::from_secs(5);
    let testbed = start(Testbed::builder().access_token_lifetime(lifetime)).await;
    let login = login(&testbed, "notes:read").await;
    assert!(is_good(&testbed, &login.access).await);
    testbed.advance(lifetime);
    assert!(!is_good(&testbed, &login.access).await);
    assert_eq!(login.renew(&testbed).await.status, 200);
}

#[tokio::test]
async fn a_manual_clock_moves_only_by_advance() {
    let testbed = start(
        Testbed::builder()
            .manual_clock(true)
            .access_token_lifetime(Duration::from_nanos(1)),
    )
    .await;
    let login = login(&testbed, "notes:read").await;
    assert!(is_good(&testbed, &login.access).await);
    testbed.advance(Duration::from_nanos(1));
    assert!(!is_good(&testbed, &login.access).await);
}

#[tokio::test]
async fn revoking_access_tokens_keeps_the_refresh_token() {
    let testbed = Testbed::start().await.unwrap();
    let login = login(&testbed, "notes:read").await;
    testbed.revoke_access_tokens();
    assert!(!is_good(&testbed, &login.access).await);
    let renewed = login.renew(&testbed).await;
    assert!(is_good(&testbed, &renewed.text("access_token")).await);

    testbed.revoke_all_tokens();
    let response = refresh(&testbed, &login.client, &renewed.text("refresh_token")).await;
    assert_eq!(response.text("error"), "invalid_grant");
    assert!(!is_good(&testbed, &renewed.text("access_token")).await);
}

#[tokio::test]
async fn revoking_a_refresh_token_revokes_the_access_tokens_of_its_family() {
    let testbed = Testbed::start().await.unwrap();
    let first = login(&testbed, "notes:read").await;
    let other = login(&testbed, "notes:read").await;
    let revoke = endpoint(&testbed, "/revoke");
    let pairs = [
        ("client_id", first.client.as_str()),
        ("token", first.refresh.as_str()),
    ];
    assert_eq!(post_form(&revoke, &pairs).await.status, 200);
    assert!(!is_good(&testbed, &first.access).await);
    assert!(is_good(&testbed, &other.access).await);
    let alive: Vec<bool> = testbed
        .families()
        .iter()
        .map(|family| family.alive)
        .collect();
    assert_eq!(alive, [false, true]);
}

#[tokio::test]
async fn revoking_an_access_token_revokes_only_it_and_another_client_revokes_nothing() {
    let testbed = Testbed::start().await.unwrap();
    let login = login(&testbed, "notes:read").await;
    let other = register(&testbed).await;
    let revoke = endpoint(&testbed, "/revoke");
    for token in [login.access.as_str(), login.refresh.as_str(), "unknown"] {
        let pairs = [("client_id", other.as_str()), ("token", token)];
        assert_eq!(post_form(&revoke, &pairs).await.status, 200);
    }
    assert!(is_good(&testbed, &login.access).await);
    let pairs = [
        ("client_id", login.client.as_str()),
        ("token", login.access.as_str()),
    ];
    assert_eq!(post_form(&revoke, &pairs).await.status, 200);
    assert!(!is_good(&testbed, &login.access).await);
    assert!(testbed.families()[0].alive);
    let unknown = [("client_id", "unknown"), ("token", "x")];
    assert_eq!(post_form(&revoke, &unknown).await.status, 401);
}
