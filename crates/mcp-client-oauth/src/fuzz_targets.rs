//! What must hold for any bytes, message by message: the bodies of the fuzz targets.
//!
//! A fuzz target is one line that calls its function; the tests below call the same function with each file
//! of `fuzz/seeds`, with a stable compiler. What a function asserts is what an attacker must never achieve; a
//! panic, a hang or too much memory fails by itself. The files of a store are fuzzed in
//! `fuzz/src`, event streams in `mcp-oauth-adapters`.

#![allow(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a panic is how a fuzz target fails"
)]

use std::time::SystemTime;

use http::{HeaderMap, StatusCode};
use url::Url;

use crate::{
    platform::{AddressSpace, Response},
    proto::{
        assertion::Assertion,
        authorization::{AuthorizationRequest, State, authorization_url},
        challenge,
        device::{self, LONGEST_CODE_LIFE, LONGEST_INTERVAL, SHORTEST_INTERVAL},
        endpoint::EndpointUrl,
        id_token::{Nonce, NonceCheck, check_nonce},
        oauth_error::OAuthErrorResponse,
        pkce::CodeVerifier,
        private_key::PrivateKey,
        registration,
        resource_metadata::ResourceMetadata,
        server_metadata::{Issuer, ServerMetadata},
        token::{self, AuthScheme},
        token_exchange,
    },
    server_url::ServerUrl,
};

#[cfg(test)]
mod tests;

/// A function that is called with the bytes.
pub type Parser = fn(&[u8]);

/// Each parser by the name of its fuzz target and of its folder in `fuzz/seeds`.
pub const PARSERS: &[(&str, Parser)] = &[
    ("assertion", assertion),
    ("callback", callback),
    ("challenge", challenge),
    ("device", device),
    ("id_token", id_token),
    ("oauth_error", oauth_error),
    ("private_key", private_key),
    ("registration", registration),
    ("resource_metadata", resource_metadata),
    ("server_metadata", server_metadata),
    ("token", token),
    ("token_exchange", token_exchange),
];

/// A secret in the request: no error may repeat it.
const SECRET: &str = "the secret of this client";

fn response(status: StatusCode, body: &[u8]) -> Response {
    Response::new(status, HeaderMap::new(), body.to_vec())
}

/// The first byte chooses the status, as often as not the one of success.
fn response_of_any_status(input: &[u8]) -> Option<Response> {
    const STATUSES: [u16; 8] = [200, 200, 200, 200, 400, 401, 429, 503];
    let (first, body) = input.split_first()?;
    let status = StatusCode::from_u16(STATUSES[usize::from(*first) % STATUSES.len()]).ok()?;
    Some(response(status, body))
}

fn is_visible(text: &str) -> bool {
    text.bytes().all(|byte| (0x20..0x7f).contains(&byte))
}

fn endpoint(text: &str) -> EndpointUrl {
    EndpointUrl::parse(text, AddressSpace::Public).expect("a valid endpoint")
}

/// Any `WWW-Authenticate` line (RFC 9110 §11.6.1): a value belongs to a scheme that stands before it.
pub fn challenge(line: &[u8]) {
    for challenge in challenge::parse(line) {
        assert!(!challenge.scheme.is_empty());
        assert!(challenge.params.iter().all(|(name, _)| !name.is_empty()));
    }
}

/// Any protected resource metadata (RFC 9728): what is accepted belongs to the server.
pub fn resource_metadata(body: &[u8]) {
    let server: ServerUrl = "https://mcp.example/a/mcp".parse().expect("a server URL");
    if let Ok(metadata) = ResourceMetadata::parse(body, &server) {
        assert!(metadata.resource.covers(server.as_url()));
        assert!(metadata.authorization_servers.len() <= 8);
    }
}

/// Any server metadata (RFC 8414): what is accepted has the requested issuer, with or without the
/// slash of its empty path, and safe endpoints.
pub fn server_metadata(body: &[u8]) {
    let issuer = Issuer::from("https://as.example");
    if let Ok(metadata) = ServerMetadata::parse(body, &issuer, AddressSpace::Public) {
        assert!(metadata.issuer.is_same_as(&issuer));
        assert_eq!(metadata.token_endpoint.as_url().scheme(), "https");
    }
}

/// Any registration response (RFC 7591): a client id that is accepted can go into a form and a header.
pub fn registration(body: &[u8]) {
    let redirect_uri = "http://127.0.0.1:1/callback".parse().expect("a URL");
    let response = response(StatusCode::CREATED, body);
    if let Ok(client) =
        registration::response(&response, Some(&redirect_uri), SystemTime::UNIX_EPOCH)
    {
        assert!(is_visible(&client.client_id));
    }
}

/// Any token response (RFC 6749 §5): a token that is accepted can go into a header.
pub fn token(input: &[u8]) {
    let Some(response) = response_of_any_status(input) else {
        return;
    };
    for scheme in [AuthScheme::Bearer, AuthScheme::DPoP] {
        match token::response(&response, SystemTime::UNIX_EPOCH, &[SECRET], scheme) {
            Ok(tokens) => assert!(tokens.authorization_header().is_sensitive()),
            Err(error) => assert!(!error.to_string().contains(SECRET)),
        }
    }
}

/// Any token response with an ID token in it (OpenID Connect Core §3.1.3.7): it never
/// matches the nonce of another login.
pub fn id_token(body: &[u8]) {
    let nonce = Nonce::generate().expect("randomness");
    let found = check_nonce(&response(StatusCode::OK, body), &nonce);
    assert_ne!(found, NonceCheck::Matches);
}

/// Any response of a token exchange (RFC 8693): what is accepted is a JWT.
pub fn token_exchange(input: &[u8]) {
    let Some(response) = response_of_any_status(input) else {
        return;
    };
    match token_exchange::response(&response, &[SECRET]) {
        Ok(id_jag) => assert_eq!(id_jag.expose().split('.').count(), 3),
        Err(error) => assert!(!error.to_string().contains(SECRET)),
    }
}

/// Any error body (RFC 6749 §5.2): what is quoted is harmless and short.
pub fn oauth_error(body: &[u8]) {
    if let Some(error) = OAuthErrorResponse::parse(body) {
        let shown = error.to_string();
        assert!(shown.chars().all(|c| !c.is_control()) && shown.len() <= 4096);
    }
}

/// Any device response (RFC 8628 §3.2): what is shown is visible ASCII, and every time is bounded.
pub fn device(body: &[u8]) {
    let at = endpoint("https://as.example/device_authorization");
    match device::response(
        &response(StatusCode::OK, body),
        &at,
        AddressSpace::Public,
        &[SECRET],
    ) {
        Ok(code) => {
            assert!(is_visible(&code.user_code.to_string()));
            assert_eq!(code.verification_uri.as_url().scheme(), "https");
            assert!(code.expires_in <= LONGEST_CODE_LIFE);
            assert!((SHORTEST_INTERVAL..=LONGEST_INTERVAL).contains(&code.interval));
        }
        Err(error) => assert!(!error.to_string().contains(SECRET)),
    }
}

/// Any callback (RFC 9207): without the state of this login it is never accepted, and with it the
/// `iss` of another server is refused. An odd first byte adds the state.
pub fn callback(input: &[u8]) {
    let Some((first, query)) = input.split_first() else {
        return;
    };
    let (has_state, query) = (first % 2 == 1, String::from_utf8_lossy(query));
    let authorize = endpoint("https://as.example/authorize");
    let token = endpoint("https://as.example/token");
    let server =
        ServerMetadata::manual(Issuer::from("https://as.example"), authorize.clone(), token);
    let redirect_uri: Url = "http://127.0.0.1:1/callback".parse().expect("a URL");
    let request = AuthorizationRequest::new("client", &redirect_uri, None, None);
    let state = State::generate().expect("randomness");
    let verifier = CodeVerifier::generate().expect("randomness");
    let known = state.expose().to_owned();
    let (_, pending) = authorization_url(&server, &authorize, &request, state, verifier);

    let mut callback = redirect_uri.clone();
    callback.set_query(Some(&query));
    if has_state {
        callback.query_pairs_mut().append_pair("state", &known);
    }
    let mut pairs = callback.query_pairs();
    let has_other_issuer = pairs.any(|(name, iss)| name == "iss" && iss != "https://as.example");
    let accepted = pending.accept(&callback);
    assert!(accepted.is_err() || (has_state && !has_other_issuer));
}

/// Any text instead of an assertion: what is accepted has the shape of a JWT (RFC 7515 §7.1).
pub fn assertion(text: &[u8]) {
    if let Some(assertion) = Assertion::parse(&String::from_utf8_lossy(text)) {
        assert!(is_visible(assertion.expose()) && !assertion.expose().contains(' '));
        assert_eq!(assertion.expose().split('.').count(), 3);
    }
}

/// Any text instead of a private key: it is refused without being repeated.
pub fn private_key(text: &[u8]) {
    if let Err(error) = PrivateKey::from_pem(&String::from_utf8_lossy(text)) {
        assert!(error.to_string().len() < 300);
    }
}
