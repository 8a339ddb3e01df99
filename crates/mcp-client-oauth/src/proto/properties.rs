//! Properties of any message: the parsers do not panic, and return what was written.

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime},
};

use http::{HeaderMap, HeaderValue, StatusCode, header};
use mcp_oauth_support::UntrustedText;
use proptest::{collection::vec, prelude::*};
use serde_json::{Value, json};
use url::Url;

use super::{
    authorization::{
        AuthorizationRequest, CallbackError, PendingAuthorization, State, authorization_url,
    },
    cache_control,
    challenge::{Challenge, auth_challenges, parse},
    device::{self, DevicePollResult, LONGEST_CODE_LIFE, LONGEST_INTERVAL, SHORTEST_INTERVAL},
    endpoint::EndpointUrl,
    oauth_error::OAuthErrorResponse,
    pkce::CodeVerifier,
    registration,
    resource_metadata::{Resource, ResourceMetadata},
    scope::Scope,
    server_metadata::{Issuer, ServerMetadata},
    token::{self, AuthScheme},
};
use crate::{
    platform::{AddressSpace, Response},
    server_url::ServerUrl,
};

const TOKEN: &str = "[!#$%&'*+.^_`|~0-9A-Za-z-]{1,12}";
const SCOPE_TOKEN: &str = "[!#-\\[\\]-~]{1,8}";

/// Returns JSON of any shape, with the names that the parsers read.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        Just(json!("https://mcp.example/mcp")),
        Just(json!("https://as.example")),
        Just(json!("Bearer")),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            vec((member(), inner), 0..8)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn member() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "issuer",
            "resource",
            "authorization_servers",
            "authorization_endpoint",
            "token_endpoint",
            "registration_endpoint",
            "scopes_supported",
            "code_challenge_methods_supported",
            "client_id",
            "client_secret",
            "client_secret_expires_at",
            "redirect_uris",
            "token_endpoint_auth_method",
            "access_token",
            "token_type",
            "expires_in",
            "refresh_token",
            "scope",
            "error",
            "error_description",
            "device_code",
            "user_code",
            "verification_uri",
            "verification_uri_complete",
            "interval",
        ])
        .prop_map(str::to_owned),
        ".{0,8}",
    ]
}

fn start_time() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

/// Returns every value of a query parameter.
fn parameters(url: &Url, name: &str) -> Vec<String> {
    let values = url.query_pairs().filter(|(key, _)| key == name);
    values.map(|(_, value)| value.into_owned()).collect()
}

fn scope() -> impl Strategy<Value = Scope> {
    vec(SCOPE_TOKEN, 1..8).prop_map(|tokens| Scope::from_tokens(tokens).unwrap())
}

fn set(scope: Option<&Scope>) -> BTreeSet<String> {
    scope
        .into_iter()
        .flat_map(Scope::tokens)
        .map(str::to_owned)
        .collect()
}

fn response(status: u16, body: Vec<u8>) -> Response {
    Response::new(
        StatusCode::from_u16(status).unwrap(),
        HeaderMap::new(),
        body,
    )
}

fn device_endpoint() -> EndpointUrl {
    EndpointUrl::parse(
        "https://as.example/device_authorization",
        AddressSpace::Public,
    )
    .unwrap()
}

/// Passes a body to every parser, to find a panic.
fn read_all(body: &[u8], status: u16) {
    let server: ServerUrl = "https://mcp.example/mcp".parse().unwrap();
    let redirect = "http://127.0.0.1:1/callback".parse().unwrap();
    let _ = ResourceMetadata::parse(body, &server);
    let _ = ServerMetadata::parse(
        body,
        &Issuer::from("https://as.example"),
        AddressSpace::Public,
    );
    let _ = OAuthErrorResponse::parse(body);
    let response = response(status, body.to_vec());
    let _ = registration::response(&response, Some(&redirect), start_time());
    let _ = device::response(
        &response,
        &device_endpoint(),
        AddressSpace::Public,
        &["secret"],
    );
    let read = || token::response(&response, start_time(), &["secret"], AuthScheme::Bearer);
    let _ = DevicePollResult::read(read());
    if let Ok(tokens) = read() {
        assert!(!tokens.access_token.expose().is_empty());
        assert!(tokens.expires_at.is_none_or(|at| at >= start_time()));
        assert!(tokens.authorization_header().is_sensitive());
        assert!(!tokens.is_expired(SystemTime::UNIX_EPOCH, Duration::ZERO));
    }
}

fn started(endpoint: &str) -> (Url, PendingAuthorization) {
    let endpoint = EndpointUrl::parse(endpoint, AddressSpace::Public).unwrap();
    let server = ServerMetadata::manual(
        Issuer::from("https://as.example"),
        endpoint.clone(),
        endpoint.clone(),
    );
    let redirect = "http://127.0.0.1:1/callback".parse().unwrap();
    let resource = Resource::from("https://mcp.example/mcp");
    let request = AuthorizationRequest::new("client", &redirect, Some(&resource), None);
    let (state, verifier) = (
        State::generate().unwrap(),
        CodeVerifier::generate().unwrap(),
    );
    authorization_url(&server, &endpoint, &request, state, verifier)
}

proptest! {
    #[test]
    fn no_header_makes_the_challenge_parser_panic(line in vec(any::<u8>(), 0..300)) {
        for challenge in parse(&line) {
            prop_assert!(!challenge.scheme.is_empty());
        }
        if let Ok(value) = HeaderValue::from_bytes(&line) {
            let headers = HeaderMap::from_iter([(header::WWW_AUTHENTICATE, value)]);
            prop_assert!(Challenge::from_headers(StatusCode::UNAUTHORIZED, &headers).is_some());
            prop_assert_eq!(Challenge::from_headers(StatusCode::OK, &headers), None);
        }
    }

    #[test]
    fn a_challenge_is_read_as_it_was_written(
        challenges in vec((TOKEN, vec((TOKEN, "[ -~]{0,20}"), 1..5)), 1..4),
        blanks in "[ \t]{0,3}",
    ) {
        let written: Vec<String> = challenges.iter().map(|(scheme, params)| {
            let params: Vec<String> = params.iter().map(|(name, value)| {
                let escaped = value.replace('\\', "\\\\").replace('"', "\\\"");
                format!("{name}{blanks}={blanks}\"{escaped}\"")
            }).collect();
            format!("{scheme} {}", params.join(&format!("{blanks},{blanks}")))
        }).collect();
        let value = HeaderValue::from_str(&written.join(", ")).unwrap();
        let read = auth_challenges(&HeaderMap::from_iter([(header::WWW_AUTHENTICATE, value)]));
        prop_assert_eq!(read.len(), challenges.len());
        for (read, (scheme, params)) in read.iter().zip(&challenges) {
            prop_assert_eq!(&read.scheme, scheme);
            let expected: Vec<_> = params.iter()
                .map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect();
            prop_assert_eq!(&read.params, &expected);
        }
    }

    #[test]
    fn scopes_are_sets_that_keep_their_order(a in scope(), b in scope()) {
        let union = a.union(&b);
        prop_assert_eq!(set(Some(&union)), &set(Some(&a)) | &set(Some(&b)));
        prop_assert_eq!(union.missing_from(&a), b.missing_from(&a));
        prop_assert_eq!(set(a.missing_from(&b).as_ref()), &set(Some(&a)) - &set(Some(&b)));
        prop_assert_eq!(a.missing_from(&union), None);
        prop_assert_eq!(a.union(&a), a.clone());
        prop_assert_eq!(a.to_string().parse::<Scope>().unwrap(), a.clone());
        prop_assert!(union.to_string().starts_with(&a.to_string()));
        prop_assert_eq!(Scope::union_of(Some(&a), None), Some(a));
    }

    #[test]
    fn no_text_makes_the_scope_parser_panic(text in ".{0,80}") {
        if let Ok(scope) = text.parse::<Scope>() {
            prop_assert!(scope.to_string().bytes().all(|b| (0x20..0x7f).contains(&b)));
        }
    }

    #[test]
    fn a_query_without_the_right_state_is_never_accepted(query in "[ -~]{0,120}") {
        let (_, pending) = started("https://as.example/authorize");
        let mut callback = pending.redirect_uri().clone();
        callback.set_query(Some(&query));
        prop_assert!(!pending.matches_state(&callback));
        prop_assert_eq!(pending.accept(&callback).err(), Some(CallbackError::State));
    }

    #[test]
    fn a_query_with_the_right_state_is_accepted_only_with_one_valid_code(
        code in "[ -~]{0,20}",
        extra in vec(("(code|error|iss|x)", "[ -~]{0,10}"), 0..3),
    ) {
        let (url, pending) = started("https://as.example/authorize");
        let state = parameters(&url, "state").remove(0);
        let mut callback = pending.redirect_uri().clone();
        callback.query_pairs_mut()
            .append_pair("state", &state).append_pair("code", &code).extend_pairs(&extra);
        let clean = !code.is_empty() && extra.iter().all(|(name, _)| name == "x");
        prop_assert_eq!(pending.accept(&callback).is_ok(), clean);
    }

    #[test]
    fn no_json_makes_a_parser_panic(body in any_json(), status in 200_u16..600) {
        read_all(body.to_string().as_bytes(), status);
    }

    #[test]
    fn no_bytes_make_a_parser_panic(body in vec(any::<u8>(), 0..200), status in 200_u16..600) {
        read_all(&body, status);
    }

    #[test]
    fn a_device_code_is_bounded_and_safe_to_show(
        device_code in ".{0,40}",
        user_code in ".{0,80}",
        uri in prop_oneof![Just("https://as.example/device".to_owned()), ".{0,40}"],
        expires_in in any_json(),
        interval in any_json(),
    ) {
        let body = json!({
            "device_code": device_code, "user_code": user_code, "verification_uri": uri,
            "expires_in": expires_in, "interval": interval,
        });
        let response = response(200, body.to_string().into_bytes());
        if let Ok(code) = device::response(&response, &device_endpoint(), AddressSpace::Public, &[]) {
            let shown = code.user_code.to_string();
            prop_assert!(shown.chars().all(|c| c == ' ' || c.is_ascii_graphic()));
            // The longest escape has ten characters.
            prop_assert!((1..=64 * 10).contains(&shown.len()));
            prop_assert_eq!(code.verification_uri.as_url().scheme(), "https");
            prop_assert!(code.expires_in <= LONGEST_CODE_LIFE);
            prop_assert!((SHORTEST_INTERVAL..=LONGEST_INTERVAL).contains(&code.interval));
        }
    }

    #[test]
    fn an_authorization_url_keeps_other_parameters(
        pairs in vec(("[a-z_]{1,12}|state|client_id|scope", "[ -~]{0,12}"), 0..6),
    ) {
        let mut endpoint: Url = "https://as.example/authorize".parse().unwrap();
        endpoint.query_pairs_mut().extend_pairs(&pairs);
        let (url, _) = started(endpoint.as_str());
        let reserved = ["response_type", "client_id", "redirect_uri", "code_challenge",
            "code_challenge_method", "state", "resource", "scope"];
        for name in &reserved[..7] {
            prop_assert_eq!(parameters(&url, name).len(), 1, "{}", name);
        }
        prop_assert_eq!(parameters(&url, "scope").len(), 0, "none was requested");
        for (name, _) in pairs.iter().filter(|(name, _)| !reserved.contains(&name.as_str())) {
            prop_assert_eq!(parameters(&url, name), parameters(&endpoint, name));
        }
    }

    #[test]
    fn untrusted_text_is_escaped_and_short(
        text in "[\\x00-\\x1f\\x7f-\\u{9f}\\u{200b}-\\u{202e}\\u{feff}a-zé]{0,300}",
    ) {
        let shown = UntrustedText::new(&text);
        for shown in [shown.to_string(), format!("{shown:?}")] {
            prop_assert!(shown.chars().all(|c| !c.is_control() && c != '\u{202e}'), "{}", shown);
            // The longest escape has ten characters.
            prop_assert!(shown.len() <= 257 * 10 + 2);
        }
        let again: UntrustedText = serde_json::from_str(&serde_json::to_string(&shown).unwrap()).unwrap();
        prop_assert_eq!(again, shown);
    }

    #[test]
    fn nothing_is_fresh_for_longer_than_a_day(directives in "[ -~]{0,60}", age in "[ -~]{0,12}") {
        let mut headers = HeaderMap::new();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_str(&directives).unwrap());
        headers.insert(header::AGE, HeaderValue::from_str(&age).unwrap());
        prop_assert!(cache_control::lifetime(&headers) <= Duration::from_secs(86_400));
    }

    #[test]
    fn a_max_age_is_kept_less_the_age(max_age in 0_u64..200_000, age in 0_u64..200_000) {
        let mut headers = HeaderMap::new();
        let directive = format!("public, max-age={max_age}");
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_str(&directive).unwrap());
        headers.insert(header::AGE, HeaderValue::from(age));
        let expected = max_age.saturating_sub(age).min(86_400);
        prop_assert_eq!(cache_control::lifetime(&headers).as_secs(), expected);
    }
}
