//! A server that the user has allowed over plaintext HTTP: what is stored, and where its tokens are
//! sent.

use std::sync::Arc;

use http::Method;
use mcp_client_oauth::{
    Authorized, Error, ServerUrl, Session, TokenSource,
    error::HttpErrorKind,
    mcp::AuthorizedClient,
    proto::resource_metadata::Resource,
    store::{LoginKey, Record},
};

use crate::support::{Fixture, bounded};

/// Stores the login of `fixture` as one at `server`, and opens it as another process does.
async fn session_at(fixture: &Fixture, server: &ServerUrl) -> Session {
    let mut record = fixture.login().await.unwrap().record();
    record.discovery.server = server.clone();
    record.discovery.resource = Resource::new(server.as_str());
    record.shared_from = Some(LoginKey::new(server.clone()).with_account("lender"));
    let key = LoginKey::new(server.clone());
    let mut lock = fixture.store.lock(&key).await.unwrap();
    fixture.store.save(&mut lock, &record).await.unwrap();
    let (platform, store) = (fixture.platform.clone(), fixture.store.clone());
    let session = Session::open(platform, store, key).await.unwrap();
    session.unwrap()
}

#[tokio::test]
async fn a_login_at_an_allowed_plaintext_server_is_found_again() {
    let fixture = Fixture::start().await;
    let server = ServerUrl::parse_allow_http("http://mcp-server:8080/mcp").unwrap();
    let session = session_at(&fixture, &server).await;
    assert_eq!(session.record().discovery.server, server);
    let keys = fixture.store.keys().await.unwrap();
    assert!(keys.contains(session.key()), "{keys:?}");
    let written = serde_json::to_string(&session.record()).unwrap();
    let read: Record = serde_json::from_str(&written).unwrap();
    assert_eq!(read, session.record());
    // The URL in a project file of another author does not allow plaintext by itself.
    let server = serde_json::to_string(&server).unwrap();
    assert!(serde_json::from_str::<ServerUrl>(&server).is_err());
}

#[tokio::test]
async fn no_client_sends_a_token_in_plaintext_to_a_public_address() {
    let fixture = Fixture::start().await;
    for url in ["http://8.8.8.8/mcp", "http://169.254.169.254/mcp"] {
        let server = ServerUrl::parse_allow_http(url).unwrap();
        let session = Arc::new(session_at(&fixture, &server).await);
        let by_rmcp = AuthorizedClient::new(Arc::<Session>::clone(&session));
        let source: Arc<dyn TokenSource> = session;
        let authorized = Authorized::new(fixture.platform.clone(), source);
        let by_session = bounded(Box::pin(authorized.get(server.as_url().clone()).send())).await;
        // An HTTP client of the application, which sends by itself.
        let by_another = authorized.send(&Method::GET, server.as_url(), |_| async {
            panic!("a token was sent")
        });
        let by_another: Result<http::Response<()>, Error> = bounded(by_another).await;
        for outcome in [by_rmcp.err(), by_session.err(), by_another.err()] {
            let Some(Error::Http(error)) = outcome else {
                panic!("{url}: {outcome:?}");
            };
            assert!(
                matches!(error.cause, HttpErrorKind::Forbidden(_)),
                "{error}"
            );
        }
    }
}
