//! A server that the user has allowed over plaintext HTTP: what is stored, and where its tokens are
//! sent.

use http::Method;
use mcp_client_oauth::{
    Error, ServerUrl, Session,
    adapters::rmcp::RmcpHttpClient,
    error::HttpErrorKind,
    flow::Resource,
    platform::ReqwestClient,
    store::{LoginKey, Record},
};

use crate::support::{Fixture, bounded};

/// Stores the login of `fixture` as one at `server`, and opens it as another process does.
async fn session_at(fixture: &Fixture, server: &ServerUrl) -> Session {
    let mut record = fixture.login().await.unwrap().record().unwrap();
    record.discovery.server = server.clone();
    record.discovery.resource = Resource::from(server.as_str());
    record.shared_from = Some(LoginKey::from(server.clone()).with_account("lender"));
    let key = LoginKey::from(server.clone());
    let mut lock = fixture.store.lock(&key).await.unwrap();
    fixture.store.save(&mut lock, &record).await.unwrap();
    fixture.client().session(key).await.unwrap()
}

#[tokio::test]
async fn a_login_at_an_allowed_plaintext_server_is_found_again() {
    let fixture = Fixture::start().await;
    let server = ServerUrl::parse_allow_http("http://mcp-server:8080/mcp").unwrap();
    let session = session_at(&fixture, &server).await;
    let record = session.record().unwrap();
    assert_eq!(record.discovery.server, server);
    let keys = fixture.client().logins().await.unwrap();
    assert!(keys.contains(&session.key()), "{keys:?}");
    let written = serde_json::to_string(&record).unwrap();
    let read: Record = serde_json::from_str(&written).unwrap();
    assert_eq!(read, record);
    // The URL in a project file of another author does not allow plaintext by itself.
    let server = serde_json::to_string(&server).unwrap();
    assert!(serde_json::from_str::<ServerUrl>(&server).is_err());
}

#[tokio::test]
async fn no_client_sends_a_token_in_plaintext_to_a_public_address() {
    let fixture = Fixture::start().await;
    for url in ["http://8.8.8.8/mcp", "http://169.254.169.254/mcp"] {
        let server = ServerUrl::parse_allow_http(url).unwrap();
        let session = session_at(&fixture, &server).await;
        let by_rmcp = RmcpHttpClient::new(session.clone(), &ReqwestClient::default());
        let by_session = bounded(Box::pin(session.get(server.as_str()).send())).await;
        // An HTTP client of the application, which sends by itself.
        let by_another = session.send(&Method::GET, server.as_url(), |_| async {
            panic!("a token was sent")
        });
        let by_another: Result<Result<http::Response<()>, Error>, Error> =
            bounded(by_another).await;
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
