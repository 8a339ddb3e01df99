//! The authorization endpoint, the consent page and the callback.

use mcp_oauth_testbed::test_user::{Decision, TestUserError, approve, decide, deny, visit};
use mcp_oauth_testbed::{Peer, Testbed};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::browser::*;

#[tokio::test]
async fn approval_brings_code_state_and_issuer_to_the_callback() {
    let testbed = Testbed::start().await.unwrap();
    let client = register(&testbed).await;
    let callback = approved(&testbed, &client).await.unwrap();
    assert!(callback.as_str().starts_with(CALLBACK));
    assert!(parameter(&callback, "code").is_some());
    assert_eq!(parameter(&callback, "state").as_deref(), Some("the state"));
    assert_eq!(parameter(&callback, "iss"), Some(testbed.issuer()));
}

#[tokio::test]
async fn denial_brings_access_denied_with_state_and_issuer() {
    let testbed = Testbed::start().await.unwrap();
    let client = register(&testbed).await;
    let url = authorization_url(&testbed, &good_request(&testbed, &client));
    let callback = decide(&url, Decision::Deny).await.unwrap();
    assert_eq!(
        parameter(&callback, "error").as_deref(),
        Some("access_denied")
    );
    assert_eq!(parameter(&callback, "state").as_deref(), Some("the state"));
    assert_eq!(parameter(&callback, "iss"), Some(testbed.issuer()));
    assert_eq!(parameter(&callback, "code"), None);
}

#[tokio::test]
async fn the_test_user_follows_the_redirect_to_a_loopback_callback() {
    let testbed = Testbed::start().await.unwrap();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let application = tokio::spawn(async move {
        let mut heads = Vec::new();
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = vec![0; 4096];
            let length = stream.read(&mut head).await.unwrap();
            heads.push(String::from_utf8_lossy(&head[..length]).into_owned());
            let page = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\ndone";
            stream.write_all(page).await.unwrap();
        }
        heads
    });
    // Another port than the registered one: RFC 8252 §7.3.
    let client = register(&testbed).await;
    let redirect_uri = format!("http://127.0.0.1:{port}/callback");
    let url = request_with(&testbed, &client, "redirect_uri", Some(&redirect_uri));
    let page = approve(&url).await.unwrap();
    assert_eq!((page.status, page.body.as_str()), (200, "done"));
    assert_eq!(deny(&url).await.unwrap().status, 200);
    let heads = application.await.unwrap();
    assert!(heads[0].starts_with("GET /callback?code="), "{}", heads[0]);
    assert!(
        heads[1].starts_with("GET /callback?error=access_denied"),
        "{}",
        heads[1]
    );
}

#[tokio::test]
async fn the_consent_page_names_client_server_and_scopes_and_loads_no_resources() {
    let testbed = Testbed::start().await.unwrap();
    let client = register(&testbed).await;
    let page = visit(&authorization_url(
        &testbed,
        &good_request(&testbed, &client),
    ))
    .await
    .unwrap();
    for text in [
        "A test client",
        testbed.server_url().as_str(),
        "read your notes",
        "id=\"approve\"",
        "id=\"deny\"",
        "lang=\"en\"",
    ] {
        assert!(page.body.contains(text), "{text}");
    }
    for text in ["<script", "<link", "<img", "src=", "@import", "url("] {
        assert!(!page.body.contains(text), "{text}");
    }
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'"));
}

#[tokio::test]
async fn a_ticket_is_accepted_once() {
    let testbed = Testbed::start().await.unwrap();
    let client = register(&testbed).await;
    let page = visit(&authorization_url(
        &testbed,
        &good_request(&testbed, &client),
    ))
    .await
    .unwrap();
    let (_, rest) = page.body.split_once("name=\"ticket\" value=\"").unwrap();
    let ticket = rest.split_once('"').unwrap().0;
    let decision = endpoint(&testbed, "/authorize/decision");
    let pairs = [("ticket", ticket), ("decision", "approve")];
    assert_eq!(post_form(&decision, &pairs).await.status, 303);
    let again = post_form(&decision, &pairs).await;
    assert_eq!((again.status, again.header("location")), (400, ""));
}

#[tokio::test]
async fn errors_of_an_untrusted_redirect_are_shown_to_the_user() {
    let testbed = Testbed::start().await.unwrap();
    let client = register(&testbed).await;
    for url in [
        request_with(
            &testbed,
            &client,
            "redirect_uri",
            Some("https://evil.example/callback"),
        ),
        request_with(
            &testbed,
            &client,
            "redirect_uri",
            Some("http://127.0.0.1:9/other"),
        ),
        request_with(&testbed, &client, "redirect_uri", None),
        request_with(&testbed, &client, "client_id", Some("unknown")),
    ] {
        let error = decide(&url, Decision::Approve).await.unwrap_err();
        assert!(
            matches!(error, TestUserError::NoForm { status: 400, .. }),
            "{error}"
        );
    }
}

#[tokio::test]
async fn errors_of_the_request_go_to_the_callback_with_state_and_issuer() {
    let testbed = Testbed::start().await.unwrap();
    let client = register(&testbed).await;
    for (name, value, error) in [
        ("response_type", Some("token"), "unsupported_response_type"),
        ("response_type", None, "invalid_request"),
        ("code_challenge", None, "invalid_request"),
        ("code_challenge", Some("short"), "invalid_request"),
        ("code_challenge_method", Some("plain"), "invalid_request"),
        ("code_challenge_method", None, "invalid_request"),
        ("resource", None, "invalid_target"),
        (
            "resource",
            Some("https://other.example/mcp"),
            "invalid_target",
        ),
        ("scope", Some("notes:read admin"), "invalid_scope"),
        ("scope", Some("offline_access"), "invalid_scope"),
    ] {
        let url = request_with(&testbed, &client, name, value);
        let callback = decide(&url, Decision::Approve).await.unwrap();
        assert_eq!(
            parameter(&callback, "error").as_deref(),
            Some(error),
            "{name} {value:?}"
        );
        assert_eq!(parameter(&callback, "state").as_deref(), Some("the state"));
        assert_eq!(parameter(&callback, "iss"), Some(testbed.issuer()));
    }
}

#[tokio::test]
async fn a_repeated_parameter_is_refused() {
    let testbed = Testbed::start().await.unwrap();
    let client = register(&testbed).await;
    let mut parameters = good_request(&testbed, &client);
    parameters.push(("state".to_owned(), "another".to_owned()));
    let url = authorization_url(&testbed, &parameters);
    let callback = decide(&url, Decision::Approve).await.unwrap();
    assert_eq!(
        parameter(&callback, "error").as_deref(),
        Some("invalid_request")
    );
}

#[tokio::test]
async fn a_private_scheme_callback_is_returned_and_not_fetched() {
    let testbed = start(Testbed::builder().client("app", None)).await;
    let url = request_with(
        &testbed,
        "app",
        "redirect_uri",
        Some("com.example.app:/callback"),
    );
    let target = decide(&url, Decision::Approve).await.unwrap();
    assert!(
        target
            .as_str()
            .starts_with("com.example.app:/callback?code="),
        "{target}"
    );
    assert!(matches!(
        approve(&url).await,
        Err(TestUserError::NotHttp(_))
    ));
}

#[tokio::test]
async fn without_the_iss_parameter_it_is_not_announced_and_not_sent() {
    let testbed = start(Testbed::builder().iss_parameter(false)).await;
    let metadata = server_metadata(&testbed).await;
    assert_eq!(
        metadata.get("authorization_response_iss_parameter_supported"),
        None
    );
    let client = register(&testbed).await;
    let callback = approved(&testbed, &client).await.unwrap();
    assert_eq!(parameter(&callback, "iss"), None);
}

#[tokio::test]
async fn requests_are_recorded_in_order_with_their_parameters() {
    let testbed = Testbed::start().await.unwrap();
    let login = login(&testbed, "notes:read").await;
    let paths: Vec<String> = testbed
        .requests()
        .iter()
        .map(|seen| seen.path.clone())
        .collect();
    assert_eq!(
        paths,
        ["/register", "/authorize", "/authorize/decision", "/token"]
    );
    let seen = testbed.requests();
    assert_eq!(seen[0].json().unwrap()["redirect_uris"][0], CALLBACK);
    assert_eq!(seen[0].header("content-type"), Some("application/json"));
    assert_eq!(seen[1].query("client_id"), Some(login.client));
    assert_eq!(seen[3].form("code_verifier").as_deref(), Some(VERIFIER));
    assert_eq!(seen[3].status, 200);
    assert_eq!(
        testbed.count(Peer::AuthorizationServer, "POST", "/token"),
        1
    );
    assert_eq!(testbed.count(Peer::Mcp, "POST", "/token"), 0);
    assert_eq!(testbed.token_requests("authorization_code"), 1);
    testbed.clear_requests();
    assert!(testbed.requests().is_empty());
}

#[tokio::test]
async fn concurrent_testbeds_share_no_state() {
    fn shared<T: Send + Sync>(value: T) -> std::sync::Arc<T> {
        std::sync::Arc::new(value)
    }
    let testbeds = [
        Testbed::start().await.unwrap(),
        Testbed::start().await.unwrap(),
    ]
    .map(shared);
    let logins: Vec<_> = testbeds
        .iter()
        .cycle()
        .take(16)
        .map(|testbed| {
            let testbed = std::sync::Arc::clone(testbed);
            tokio::spawn(async move { login(&testbed, "notes:read").await.access })
        })
        .collect();
    for (index, login) in logins.into_iter().enumerate() {
        let token = login.await.unwrap();
        assert!(is_good(&testbeds[index % 2], &token).await);
        assert!(!is_good(&testbeds[(index + 1) % 2], &token).await);
    }
    assert_eq!(testbeds[0].families().len(), 8);
}

#[tokio::test]
async fn a_dropped_testbed_refuses_connections() {
    let testbed = Testbed::start().await.unwrap();
    let url = testbed.server_url();
    drop(testbed);
    // The tasks end when the runtime next looks at them.
    while try_get(url.as_str()).await.is_ok() {
        tokio::task::yield_now().await;
    }
}
