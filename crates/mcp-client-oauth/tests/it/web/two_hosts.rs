//! One host begins a login, and another one finishes it.

use mcp_client_oauth::{
    flow::{Issuer, IssuerAlias, Quirks, ResourceParameter},
    platform::{Clock as _, SystemClock},
};
use mcp_oauth_testbed::{DpopPolicy, Fault, Peer};
use test_support::bao::Bao;

use super::*;
use crate::{
    support::{parameter, parameters},
    vault::{options, vault},
};

#[tokio::test]
async fn a_login_begun_on_one_host_is_finished_on_another() {
    let app = Application::start().await;
    for account in ["alice", "bob"] {
        let session = app.run(app.login(account)).await.unwrap();
        assert_eq!(session.key(), app.fixture.key().with_account(account));
        assert!(!session.is_reused());
        assert_eq!(session.return_to(), None);
        assert_eq!(session.get("notes").send().await.unwrap().status, 200);
        let key = app.fixture.key().with_account(account);
        for host in &app.hosts {
            let session = host.session(&key).await.unwrap();
            assert_eq!(session.get("notes").send().await.unwrap().status, 200);
            session.refresh().await.unwrap();
        }
    }
    // A pending login is no login.
    app.begin("carol").await;
    assert_eq!(app.hosts[1].logins().await.unwrap().len(), 2);
    // The accounts share the client (RFC 7591), which is one of the web.
    assert_eq!(app.fixture.posts("/register"), 1);
    let registration = app.fixture.last("POST", "/register").json().unwrap();
    assert_eq!(registration["application_type"], "web");
    assert_eq!(registration["redirect_uris"][0], REDIRECT);
    assert!(app.fixture.user.opened_urls().is_empty());
}

#[tokio::test]
async fn two_hosts_with_a_vault_share_a_pending_login() {
    let Some(bao) = Bao::start().await else {
        return;
    };
    let fixture = Fixture::start().await;
    let host = || {
        let store = vault(&options(bao.address.as_str()));
        Client::with_platform(fixture.platform.clone(), store)
    };
    let (one, other) = (host(), host());
    let begun = login(&one, &fixture, "alice").begin();
    let begun = bounded(begun).await.unwrap();
    let callback = approve(&begun).await;
    let finish = |host: &Client| {
        let (host, callback) = (host.clone(), callback.clone());
        let secret = begun.browser_secret.clone();
        async move { host.finish(&callback, &secret).await }
    };
    let outcomes = bounded(futures_util::future::join(finish(&one), finish(&other))).await;
    let outcomes = [outcomes.0, outcomes.1];
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    for outcome in outcomes.into_iter().filter(Result::is_err) {
        assert!(matches!(refusal(outcome), AuthorizationError::NotPending));
    }
    assert_eq!(fixture.posts("/token"), 1);
}

#[tokio::test]
async fn the_path_to_return_to_travels_with_the_login() {
    let app = Application::start().await;
    let login = app.login("alice").return_to("/settings?tab=servers#notes");
    let session = app.run(login).await.unwrap();
    assert_eq!(session.return_to(), Some("/settings?tab=servers#notes"));
    let key = session.key();
    let opened = app.hosts[0].session(key).await.unwrap();
    assert_eq!(opened.return_to(), None);
    let requests = app.fixture.testbed.requests().len();
    for path in ["//evil.example", "https://evil.example", "/\\evil.example"] {
        let error = app.login("alice").return_to(path).begin().await;
        let error = error.unwrap_err();
        assert!(
            matches!(
                error,
                Error::Authorization(AuthorizationError::ReturnPath(_))
            ),
            "{error}"
        );
        assert_eq!(error.remedy(), Remedy::Reconfigure);
    }
    assert_eq!(app.fixture.testbed.requests().len(), requests);
}

#[tokio::test]
async fn a_login_without_an_account_is_finished_too() {
    let app = Application::start().await;
    let login = app.hosts[0].login(&app.fixture.server);
    let login = login.redirect_uri(REDIRECT.parse().unwrap());
    let session = app.run(login).await.unwrap();
    assert_eq!(session.key(), app.fixture.key());
}

#[tokio::test]
async fn tokens_are_bound_to_the_key_of_the_first_request() {
    let builder = Testbed::builder().dpop(DpopPolicy::Required);
    let builder = builder.dpop_nonces_at(Peer::AuthorizationServer);
    let app = Application::with(builder).await;
    app.fixture.clock.set(SystemClock::default().now());
    let begun = app.begin("alice").await;
    let thumbprint = parameter(&begun.url, "dpop_jkt");
    let callback = approve(&begun).await;
    let session = app.finish(&callback, &begun.browser_secret).await.unwrap();
    let record = session.record().unwrap();
    assert_eq!(record.dpop.unwrap().thumbprint(), thumbprint);
    assert_eq!(session.get("notes").send().await.unwrap().status, 200);
}

#[tokio::test]
async fn provider_overrides_apply_to_both_requests() {
    let app = Application::start().await;
    app.fixture.testbed.set_fault(Fault::ResourceNotSupported);
    let mut quirks = Quirks::default();
    quirks.resource = Some(ResourceParameter::Omitted);
    quirks.authorization_params.insert("tenant", "x").unwrap();
    let begun = bounded(app.login("alice").quirks(quirks).begin()).await;
    let begun = begun.unwrap();
    assert_eq!(parameters(&begun.url, "resource"), [""; 0]);
    assert_eq!(parameter(&begun.url, "tenant"), "x");
    let callback = approve(&begun).await;
    let session = app.finish(&callback, &begun.browser_secret).await.unwrap();
    assert_eq!(app.fixture.last("POST", "/token").form("resource"), None);
    session.refresh().await.unwrap();
}

#[tokio::test]
async fn an_issuer_alias_is_accepted_in_the_callback_as_in_one_process() {
    let app = Application::start().await;
    let other = "https://other.example";
    app.fixture
        .testbed
        .set_fault(Fault::CallbackIss(other.to_owned()));
    let begun = app.begin("alice").await;
    let callback = approve(&begun).await;
    let refused = app.finish(&callback, &begun.browser_secret).await;
    assert!(refused.is_err());
    let mut quirks = Quirks::default();
    quirks.issuers = vec![IssuerAlias::from(Issuer::from(other))];
    app.run(app.login("alice").quirks(quirks)).await.unwrap();
}

#[tokio::test]
async fn a_step_up_requests_the_wider_scope_and_keeps_the_old_one() {
    let app = Application::with(Testbed::builder().step_up(true)).await;
    let session = app.run(app.login("alice").scope("notes:read")).await;
    session.unwrap();
    let begun = bounded(app.login("alice").scope("notes:write").begin()).await;
    assert_eq!(
        parameter(&begun.unwrap().url, "scope"),
        "notes:write notes:read"
    );
    let mut headers = http::HeaderMap::new();
    let challenge = r#"Bearer error="insufficient_scope", scope="notes:write""#;
    headers.insert(
        http::header::WWW_AUTHENTICATE,
        http::HeaderValue::from_static(challenge),
    );
    let challenge =
        mcp_client_oauth::flow::Challenge::from_headers(http::StatusCode::FORBIDDEN, &headers);
    let login = app.login("alice").challenge(challenge.unwrap());
    let session = app.run(login).await.unwrap();
    let granted = session.record().unwrap().tokens.scope.unwrap();
    assert_eq!(granted.to_string(), "notes:read notes:write");
    let stored = app.hosts[0].session(session.key()).await.unwrap();
    assert_eq!(stored.record().unwrap().known_scope(), Some(granted));
}

#[tokio::test]
async fn a_login_needs_a_page_of_the_application_to_return_to() {
    let app = Application::start().await;
    let login = || app.hosts[0].login(&app.fixture.server);
    let redirect = || REDIRECT.parse().unwrap();
    for login in [
        login(),
        login().redirect_port(7),
        login()
            .redirect_uri(redirect())
            .grant(mcp_client_oauth::Grant::DeviceCode),
        login()
            .redirect_uri(redirect())
            .grant(mcp_client_oauth::Grant::ClientCredentials),
    ] {
        let error = bounded(login.begin()).await.unwrap_err();
        assert!(
            matches!(
                error,
                Error::Authorization(
                    AuthorizationError::RedirectUriRequired | AuthorizationError::NoGrant { .. }
                )
            ),
            "{error}"
        );
        assert_eq!(error.remedy(), Remedy::Reconfigure);
    }
    for bad in ["http://app.example/callback", "javascript:x"] {
        let login = login().redirect_uri(bad.parse().unwrap());
        let error = bounded(login.begin()).await.unwrap_err();
        assert!(
            matches!(
                error,
                Error::Authorization(AuthorizationError::RedirectUri(_))
            ),
            "{error}"
        );
    }
    assert_eq!(app.fixture.posts("/register"), 0);
    assert!(app.home.records().is_empty());
}

/// The browser may close the connection as soon as the application has its callback.
#[tokio::test]
async fn a_dropped_request_still_finishes_the_login() {
    let app = Application::start().await;
    let begun = app.begin("alice").await;
    let callback = approve(&begun).await;
    let other = app.hosts[1].clone();
    let secret = begun.browser_secret.clone();
    let handler = Box::pin(async move { other.finish(&callback, &secret).await });
    {
        let mut handler = handler;
        // Polled once: the task has begun.
        let poll = futures_util::poll!(&mut handler);
        assert!(poll.is_pending());
    }
    bounded(app.hosts[1].flush()).await;
    let key = app.fixture.key().with_account("alice");
    let session = app.hosts[0].session(key).await.unwrap();
    assert_eq!(session.get("notes").send().await.unwrap().status, 200);
}
