//! Sockets of `tokio-tungstenite` with a token in the handshake.

use futures_util::{SinkExt as _, StreamExt as _};
use mcp_client_oauth::{Error, error::AuthorizationError};
use mcp_oauth_adapters::websocket::{ConnectError, Socket, connect};
use test_support::wait::bounded;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};

use crate::Fixture;
use crate::{
    count_requests, logged_in, logged_in_with_dpop, reject_every_token, third_party_url, url,
};

const SOCKET: &str = "/mcp/socket";

fn ws(fixture: &Fixture) -> String {
    url(fixture, SOCKET).replacen("http", "ws", 1)
}

async fn echoes(mut socket: Socket) {
    socket.send(Message::text("hello")).await.unwrap();
    let echo = bounded(socket.next()).await.unwrap().unwrap();
    assert_eq!(echo.into_text().unwrap(), "hello");
}

#[tokio::test]
async fn a_rejected_handshake_is_retried_once_with_another_token() {
    let (fixture, session) = logged_in().await;
    let (socket, _) = bounded(connect(&session, ws(&fixture))).await.unwrap();
    echoes(socket).await;
    assert_eq!(count_requests(&fixture, "GET", SOCKET), 1);
    let request = fixture.last("GET", SOCKET);
    assert_eq!(
        request.query, None,
        "a token is never in a URL (RFC 6750 §2.3)"
    );
    fixture.testbed.revoke_access_tokens();
    let (socket, _) = bounded(connect(&session, ws(&fixture))).await.unwrap();
    echoes(socket).await;
    assert_eq!(
        (count_requests(&fixture, "GET", SOCKET), fixture.refreshes()),
        (3, 1)
    );
    reject_every_token(&fixture);
    let refused = bounded(connect(&session, ws(&fixture))).await.unwrap_err();
    let ConnectError::Socket(error) = refused else {
        panic!("{refused}");
    };
    assert!(matches!(*error, SocketError::Http(response) if response.status() == 401));
    assert_eq!(
        (count_requests(&fixture, "GET", SOCKET), fixture.refreshes()),
        (5, 2)
    );
}

#[tokio::test]
async fn a_token_is_sent_only_to_its_resource() {
    let (fixture, session) = logged_in().await;
    fixture.testbed.clear_requests();
    let elsewhere = third_party_url(&fixture).replacen("http", "ws", 1);
    // Another scheme is another origin.
    let secure = ws(&fixture).replacen("ws", "wss", 1);
    for url in [elsewhere, secure] {
        let refused = bounded(connect(&session, &url)).await.unwrap_err();
        assert!(
            matches!(
                refused,
                ConnectError::Authorization(Error::Authorization(
                    AuthorizationError::OutsideResource { .. }
                ))
            ),
            "{url}"
        );
    }
    assert_eq!(fixture.testbed.requests().len(), 0);
}

#[tokio::test]
async fn a_proof_is_sent_with_the_nonce_that_the_server_requires() {
    let (fixture, session) = logged_in_with_dpop().await;
    let (socket, _) = bounded(connect(&session, ws(&fixture))).await.unwrap();
    echoes(socket).await;
    assert_eq!(count_requests(&fixture, "GET", SOCKET), 2);
}
