//! One request that tells whether the server accepts a token.

use std::time::Duration;

use http::{HeaderValue, Method, StatusCode, header};
use mcp_client_oauth::platform::{AddressSpace, Request};

use super::stored_token::StoredToken;
use crate::context::{Context, Target};

/// The time for the response. A server that takes longer has not refused the token.
const TIMEOUT: Duration = Duration::from_secs(2);

/// A ping opens no session, unlike `initialize`. A server that wants a session first responds with another
/// status than 401, because it checks the token before (MCP authorization, Token Handling).
const PING: &[u8] = br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

/// Returns whether the server responds to the token with 401. Any other outcome says nothing about it.
pub(super) async fn is_rejected(context: &Context, target: &Target, token: &StoredToken) -> bool {
    let url = target.key.server().as_url().clone();
    // The user typed the URL of the server, so it may have any address.
    let mut request = Request::new(Method::POST, url, AddressSpace::Loopback);
    request.body = PING.into();
    let Ok(mut value) = HeaderValue::from_str(token.header.expose()) else {
        return false;
    };
    value.set_sensitive(true);
    request.headers.insert(header::AUTHORIZATION, value);
    let json = HeaderValue::from_static("application/json");
    request.headers.insert(header::CONTENT_TYPE, json);
    let accept = HeaderValue::from_static("application/json, text/event-stream");
    request.headers.insert(header::ACCEPT, accept);
    request.deadline = TIMEOUT;
    request.head_only = true;
    match context.platform.http.send(request).await {
        Ok(response) => response.status == StatusCode::UNAUTHORIZED,
        Err(error) => {
            tracing::debug!(%error, "cannot test the token");
            false
        }
    }
}
