//! Any callback: without our state it is never ours, and with it a stranger's `iss` is refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mcp_client_oauth::{
    platform::Reach,
    proto::{
        authorization::{AuthorizationRequest, State, authorization_url},
        endpoint::Endpoint,
        pkce::CodeVerifier,
        server_metadata::{Issuer, ServerMetadata},
    },
};
use url::Url;

fuzz_target!(|input: (bool, &str)| {
    let (ours, query) = input;
    let endpoint = |text| Endpoint::parse(text, Reach::Public).unwrap();
    let authorize = endpoint("https://as.example/authorize");
    let token = endpoint("https://as.example/token");
    let server = ServerMetadata::manual(Issuer::new("https://as.example"), authorize.clone(), token);
    let redirect_uri: Url = "http://127.0.0.1:1/callback".parse().unwrap();
    let request = AuthorizationRequest::new("client", &redirect_uri, None, None);
    let (state, verifier) = (State::generate().unwrap(), CodeVerifier::generate().unwrap());
    let known = state.expose().to_owned();
    let (_, pending) = authorization_url(&server, &authorize, &request, state, verifier);

    let mut callback = redirect_uri.clone();
    callback.set_query(Some(query));
    if ours {
        callback.query_pairs_mut().append_pair("state", &known);
    }
    let issuers: Vec<_> = callback.query_pairs().filter(|(name, _)| name == "iss").collect();
    let foreign = issuers.iter().any(|(_, iss)| iss != "https://as.example");
    let accepted = pending.accept(&callback);
    assert!(accepted.is_err() || (ours && !foreign));
});
