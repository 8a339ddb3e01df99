//! A WebSocket that requires the same token: `GET /mcp/socket` echoes each text message.

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderValue, StatusCode, header};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::auth::Authorized;

/// Responds to the opening handshake (RFC 6455 §4.2.2).
pub(super) async fn open(Authorized(_): Authorized, mut request: Request) -> Response {
    let key = request.headers().get(header::SEC_WEBSOCKET_KEY);
    let accepted = key.map(|key| derive_accept_key(key.as_bytes()));
    let accepted = accepted.and_then(|key| HeaderValue::from_str(&key).ok());
    let upgrade = request.extensions_mut().remove::<OnUpgrade>();
    let (Some(accepted), Some(upgrade)) = (accepted, upgrade) else {
        return StatusCode::UPGRADE_REQUIRED.into_response();
    };
    tokio::spawn(async move {
        if let Ok(connection) = upgrade.await {
            echo(connection).await;
        }
    });
    let headers = [
        (header::CONNECTION, HeaderValue::from_static("upgrade")),
        (header::UPGRADE, HeaderValue::from_static("websocket")),
        (header::SEC_WEBSOCKET_ACCEPT, accepted),
    ];
    (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
}

async fn echo(connection: Upgraded) {
    let connection = TokioIo::new(connection);
    let mut socket = WebSocketStream::from_raw_socket(connection, Role::Server, None).await;
    while let Some(Ok(message)) = socket.next().await {
        if message.is_text() && socket.send(message).await.is_err() {
            return;
        }
    }
}
