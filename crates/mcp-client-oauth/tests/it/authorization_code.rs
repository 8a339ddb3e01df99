//! Steps 3 and 4 against the testbed: the authorization request in the browser, and the callback.

use mcp_client_oauth::{
    Error, Remedy,
    error::{AuthorizationError, CallbackError},
};
use mcp_oauth_testbed::{
    Fault, Testbed,
    test_user::{Decision, decide, visit},
};
use url::Url;

use crate::support::{
    Fixture, TestUser, approve, is_closed, parameter, parameters, with_parameter,
};

mod ending;
mod interference;

/// Returns the port of the redirect URI.
fn port_of(url: &Url) -> u16 {
    Url::parse(&parameter(url, "redirect_uri"))
        .unwrap()
        .port()
        .unwrap()
}

async fn login_error(fixture: &Fixture) -> AuthorizationError {
    match fixture.login().await.unwrap_err() {
        Error::Authorization(cause) => cause,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_login_stores_its_tokens() {
    let fixture = Fixture::start().await;
    let session = fixture.login().await.unwrap();
    let record = fixture.record().await.unwrap();
    assert_eq!(Some(&record), session.record().as_ref());
    assert!(record.tokens.refresh_token.is_some());
    assert_eq!(record.tokens.issued_at, crate::support::start_time());
    assert_eq!(record.requested.unwrap().to_string(), "notes:read");
    assert_eq!(session.record().unwrap().missing_scope(), None);

    let pages = fixture.user.pages().await;
    let last = pages.last().unwrap();
    assert_eq!((last.status, last.url.query()), (200, None));
    assert!(last.body.contains("Access granted"), "{}", last.body);
    assert!(is_closed(port_of(&fixture.user.opened_urls()[0])).await);
}

#[tokio::test]
async fn each_parameter_is_sent_once_and_the_query_of_the_endpoint_is_kept() {
    let fixture = Fixture::start().await;
    let endpoint = format!(
        "{}/authorize?tenant=x&client_id=evil&state=evil&code_challenge_method=plain",
        fixture.testbed.issuer()
    );
    let fault = Fault::MetadataField("authorization_endpoint".to_owned(), endpoint.into());
    fixture.testbed.set_fault(fault);
    fixture.login().await.unwrap();
    let url = &fixture.user.opened_urls()[0];
    for (name, expected) in [
        ("tenant", Some("x")),
        ("response_type", Some("code")),
        ("code_challenge_method", Some("S256")),
        ("resource", Some(fixture.server.as_str())),
        ("scope", Some("notes:read")),
        ("client_id", None),
        ("redirect_uri", None),
        ("code_challenge", None),
        ("state", None),
    ] {
        let found = parameter(url, name);
        assert!(
            expected.is_none_or(|expected| expected == found),
            "{name}={found}"
        );
    }
    assert_eq!(parameter(url, "code_challenge").len(), 43);
    // 256 bits as base64url.
    assert_eq!(parameter(url, "state").len(), 43);
    assert!(parameter(url, "redirect_uri").starts_with("http://127.0.0.1:"));
}

#[tokio::test]
async fn no_two_logins_share_a_state_or_a_pkce_challenge() {
    let fixture = Fixture::start().await;
    fixture.login().await.unwrap();
    fixture.login().await.unwrap();
    let [first, second] = &fixture.user.opened_urls()[..] else {
        panic!()
    };
    for name in ["state", "code_challenge"] {
        assert_ne!(parameter(first, name), parameter(second, name));
    }
}

#[tokio::test]
async fn the_token_request_has_the_pkce_verifier_and_the_resource() {
    let fixture = Fixture::start().await;
    fixture.login().await.unwrap();
    let url = &fixture.user.opened_urls()[0];
    let request = fixture.last("POST", "/token");
    assert_eq!(
        request.form("resource").as_deref(),
        Some(fixture.server.as_str())
    );
    assert_eq!(
        request.form("redirect_uri"),
        Some(parameter(url, "redirect_uri"))
    );
    assert_eq!(request.form("code_verifier").unwrap().len(), 128);
    assert_eq!(
        request.header("content-type"),
        Some("application/x-www-form-urlencoded")
    );
    assert_eq!(request.header("cookie"), None);
    assert_eq!(fixture.testbed.token_requests("authorization_code"), 1);
}

#[tokio::test]
async fn a_published_resource_is_sent_byte_for_byte() {
    let first = Fixture::start().await;
    let origin = first.server.as_url().origin().ascii_serialization();
    let servers = Testbed::builder()
        .resource(origin.clone())
        .start()
        .await
        .unwrap();
    first.testbed.set_fault(Fault::PrmField(
        "resource".to_owned(),
        origin.clone().into(),
    ));
    let issuers = serde_json::json!([servers.issuer()]);
    first
        .testbed
        .set_fault(Fault::PrmField("authorization_servers".to_owned(), issuers));
    first.login().await.unwrap();
    assert_eq!(parameter(&first.user.opened_urls()[0], "resource"), origin);
}

#[tokio::test]
async fn the_scope_comes_from_the_challenge_then_the_resource_metadata_then_none() {
    let listed = || Testbed::builder().scopes_supported(Some(vec!["notes:read", "notes:write"]));
    for (builder, scope, expected) in [
        (
            listed().challenge_scope(Some("mcp:basic")),
            None,
            Some("mcp:basic"),
        ),
        (listed(), None, Some("notes:read notes:write")),
        (Testbed::builder().scopes_supported(None), None, None),
        (
            Testbed::builder()
                .scopes_supported(None)
                .offline_access(true),
            None,
            None,
        ),
        (
            listed().offline_access(true),
            None,
            Some("notes:read notes:write offline_access"),
        ),
        (
            listed().offline_access(true),
            Some("notes:write"),
            Some("notes:write"),
        ),
    ] {
        let fixture = Fixture::with(builder).await;
        let login = fixture.login_with(|login| match scope {
            Some(scope) => login.scope(scope),
            None => login,
        });
        login.await.unwrap();
        let requested = parameters(&fixture.user.opened_urls()[0], "scope");
        assert_eq!(requested, expected.map(str::to_owned).as_slice());
    }
}

#[tokio::test]
async fn the_listener_uses_a_configured_loopback_redirect_uri() {
    let port = crate::support::unused_port();
    for uri in [
        format!("http://127.0.0.1:{port}/deep/er"),
        format!("http://127.0.0.2:{port}/cb"),
        format!("http://localhost:{port}/cb"),
    ] {
        let fixture = Fixture::start().await;
        let login = fixture.login_with(|login| login.redirect_uri(uri.parse().unwrap()));
        login.await.unwrap();
        assert_eq!(
            parameter(&fixture.user.opened_urls()[0], "redirect_uri"),
            uri
        );
        assert!(is_closed(port).await);
    }
}

#[tokio::test]
async fn a_busy_port_fails_the_login_before_the_browser_opens() {
    let squatter = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = squatter.local_addr().unwrap().port();
    let fixture = Fixture::start().await;
    let error = fixture
        .login_with(|login| login.redirect_port(port))
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::Authorization(AuthorizationError::PortBusy(busy)) if busy == port),
        "{error}"
    );
    assert_eq!(error.remedy(), Remedy::Reconfigure);
    fixture.assert_nothing_was_sent();
}

#[tokio::test]
async fn a_custom_scheme_callback_comes_through_the_application() {
    let fixture = Fixture::start().await.with_user(TestUser::idle());
    let uri = "com.example.app:/callback";
    let waiting = fixture
        .start_login(|login| login.redirect_uri(uri.parse().unwrap()))
        .await;
    assert_eq!(waiting.callback.as_str(), uri);
    let callback = decide(&waiting.url, Decision::Approve).await.unwrap();
    fixture.user.paste(callback.as_str());
    waiting.finish().await.unwrap();
    assert_eq!(
        fixture.last("POST", "/register").json().unwrap()["application_type"],
        "native"
    );
}

#[tokio::test]
async fn a_pasted_url_is_checked_like_a_received_callback() {
    let fixture = Fixture::start().await.with_user(TestUser::idle());
    let waiting = fixture.start_login(|login| login).await;
    let callback = decide(&waiting.url, Decision::Approve).await.unwrap();
    for noise in [
        with_parameter(&callback, "state", Some("wrong")).as_str(),
        with_parameter(&callback, "state", None).as_str(),
        "not a URL",
        "",
        "http://127.0.0.1/callback?error=access_denied",
    ] {
        fixture.user.paste(noise);
    }
    fixture.user.paste(&format!("  {callback}\n"));
    waiting.finish().await.unwrap();
    assert_eq!(fixture.testbed.token_requests("authorization_code"), 1);
}

#[tokio::test]
async fn two_concurrent_logins_do_not_interfere() {
    let scenes = [Fixture::start().await, Fixture::start().await];
    let (one, two) = tokio::join!(scenes[0].login(), scenes[1].login());
    let (one, two) = (
        one.unwrap().record().unwrap(),
        two.unwrap().record().unwrap(),
    );
    assert_eq!(one.discovery.server, scenes[0].server);
    assert_eq!(two.discovery.server, scenes[1].server);
    assert_ne!(one.tokens.access_token, two.tokens.access_token);
}

#[tokio::test]
async fn callbacks_swapped_between_two_logins_are_rejected_by_both() {
    let one = Fixture::start().await.with_user(TestUser::idle());
    let two = Fixture::start().await.with_user(TestUser::idle());
    let (first, second) = (
        one.start_login(|login| login).await,
        two.start_login(|login| login).await,
    );
    for (login, other) in [(&first, &second), (&second, &first)] {
        let mut crossed = decide(&login.url, Decision::Approve).await.unwrap();
        crossed.set_port(Some(other.port())).unwrap();
        let page = visit(&crossed).await.unwrap();
        assert_eq!(page.status, 400);
    }
    assert_eq!(one.posts("/token") + two.posts("/token"), 0);
    let (_, _) = tokio::join!(approve(first.url.clone()), approve(second.url.clone()));
    first.finish().await.unwrap();
    second.finish().await.unwrap();
}

#[tokio::test]
async fn an_invalid_authorization_response_causes_no_token_request() {
    let evil = || Fault::CallbackIss("https://evil.example".to_owned());
    for (promised, fault, expected) in [
        (true, evil(), "names the issuer `https://evil.example`"),
        (true, Fault::CallbackWithoutIss, "came without `iss`"),
        (false, evil(), "names the issuer `https://evil.example`"),
        (
            true,
            Fault::CallbackCodeAndError,
            "no usable authorization code",
        ),
        (
            true,
            Fault::CallbackTwoCodes,
            "no usable authorization code",
        ),
    ] {
        let fixture = Fixture::with(Testbed::builder().iss_parameter(promised)).await;
        fixture.testbed.set_fault(fault.clone());
        let error = login_error(&fixture).await;
        assert!(
            matches!(error, AuthorizationError::Callback(_)),
            "{fault:?}: {error}"
        );
        assert!(error.to_string().contains(expected), "{fault:?}: {error}");
        assert_eq!(fixture.posts("/token"), 0);
        fixture.assert_nothing_is_stored().await;
        let pages = fixture.user.pages().await;
        assert!(pages.last().unwrap().body.contains("not granted"));
    }
}

#[tokio::test]
async fn an_issuer_is_not_normalised_before_it_is_compared() {
    for tamper in [
        |iss: &str| format!("{iss}/"),
        |iss: &str| iss.replace("http", "HTTP"),
    ] {
        let fixture = Fixture::start().await;
        fixture
            .testbed
            .set_fault(Fault::CallbackIss(tamper(&fixture.testbed.issuer())));
        let error = login_error(&fixture).await;
        assert!(matches!(
            error,
            AuthorizationError::Callback(CallbackError::Issuer { .. })
        ));
        assert_eq!(fixture.posts("/token"), 0);
    }
    let fixture = Fixture::with(Testbed::builder().iss_parameter(false)).await;
    assert!(fixture.login().await.is_ok(), "neither announced nor sent");
}

#[tokio::test]
async fn an_error_without_the_right_state_is_not_shown() {
    let evil = || Fault::CallbackIss("https://evil.example".to_owned());
    for (promised, fault) in [
        (true, evil()),
        (false, evil()),
        (true, Fault::CallbackWithoutIss),
    ] {
        let fixture = Fixture::with(Testbed::builder().iss_parameter(promised)).await;
        fixture.testbed.set_fault(fault.clone());
        fixture.testbed.set_fault(Fault::CallbackError {
            error: "planted_code".to_owned(),
            description: Some("planted words".to_owned()),
        });
        let error = login_error(&fixture).await;
        assert!(
            matches!(error, AuthorizationError::Callback(_)),
            "{fault:?}: {error}"
        );
        assert!(!format!("{error} {error:?}").contains("planted"), "{error}");
        assert_eq!(fixture.posts("/token"), 0);
    }
}
