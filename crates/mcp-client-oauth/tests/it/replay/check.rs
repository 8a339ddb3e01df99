//! The checks of a run: the expectations of the case, and that no secret was sent to another URL.

use std::collections::BTreeSet;

use http::header;
use mcp_client_oauth::platform::Request;
use serde_json::Value;
use url::Url;

use super::{
    case::{Case, Route},
    network::{CODE, form, server_metadata},
    run::Observations,
};
use crate::support::parameters;

/// Returns the failed checks.
pub(super) fn failures(case: &Case, observed: &Observations) -> Vec<String> {
    let mut failures = observed.network.failures();
    failures.extend(outcome(case, observed));
    failures.extend(authorization_request(case, observed));
    failures.extend(stops_after_failure(case, observed));
    let requests = observed.network.requests();
    let secrets = secrets(case, &requests);
    failures.extend(leaks(&requests, &secrets, &endpoints(case)));
    if let Some(error) = &observed.error {
        let shown = format!("{error} {error:?}");
        let leaked = secrets.iter().filter(|secret| shown.contains(*secret));
        failures.extend(leaked.map(|secret| format!("the error shows `{secret}`")));
    }
    if case.is_transcript && !case.is_stopped() {
        failures.extend(observed.network.unrequested());
    }
    failures
}

fn outcome(case: &Case, observed: &Observations) -> Vec<String> {
    let mut failures = Vec::new();
    let message = observed.error.as_ref().map(ToString::to_string);
    let message = message.unwrap_or_default();
    if observed.outcome != case.expect {
        let (found, expected) = (&observed.outcome, &case.expect);
        failures.push(format!("ends as `{found}`, not `{expected}` {message}"));
    }
    let missing = case
        .error_contains
        .iter()
        .filter(|text| !message.contains(*text));
    failures.extend(missing.map(|text| format!("`{message}` does not contain `{text}`")));
    if observed.logout != case.logout.as_deref() {
        let (found, expected) = (observed.logout, &case.logout);
        failures.push(format!("the logout ends as {found:?}, not {expected:?}"));
    }
    failures
}

fn authorization_request(case: &Case, observed: &Observations) -> Vec<String> {
    let Some(url) = observed.opened.last() else {
        return Vec::new();
    };
    let found: Vec<_> = url.query_pairs().into_owned().collect();
    let mut failures = observed.network.unmet_parameters(&case.authorize, &found);
    if let Some(expected) = case.scopes {
        let scope = parameters(url, "scope").join(" ");
        let found = scope.split_whitespace().count();
        if found != expected {
            failures.push(format!("{found} scopes are requested, not {expected}"));
        }
    }
    failures
}

/// Checks that a failed step is the last one, and that nothing is stored.
fn stops_after_failure(case: &Case, observed: &Observations) -> Vec<String> {
    let mut failures = Vec::new();
    let Some(code) = observed.outcome.strip_prefix("stopped: ") else {
        return failures;
    };
    let before_consent = ["discovery/", "registration/", "http/"];
    let is_before_consent = before_consent.iter().any(|name| code.starts_with(name));
    if is_before_consent && !observed.opened.is_empty() {
        failures.push("a browser was opened".to_owned());
    }
    let endpoints = endpoints(case);
    let requests = observed.network.requests();
    let has_sent = requests
        .iter()
        .any(|request| is_among(&request.url, &endpoints));
    if (is_before_consent || code.starts_with("authorization/")) && has_sent {
        failures.push("a token request was sent".to_owned());
    }
    if observed.is_stored && !code.starts_with("refresh/") {
        failures.push("a login was stored".to_owned());
    }
    failures
}

/// Returns the endpoints that may receive secrets: those of the authorization server metadata.
fn endpoints(case: &Case) -> Vec<Url> {
    let named = server_metadata(case).flat_map(|metadata| {
        let names = ["token_endpoint", "revocation_endpoint"];
        names.map(|name| metadata.get(name).and_then(Value::as_str))
    });
    named.flatten().map(|url| url.parse().unwrap()).collect()
}

/// Returns every secret that only those endpoints may receive.
fn secrets(case: &Case, requests: &[Request]) -> BTreeSet<String> {
    let mut secrets = BTreeSet::from([CODE.to_owned()]);
    secrets.extend(case.options.client_secret.clone());
    for route in case.routes.0.values() {
        let responses = match route {
            Route::Constant(response) => std::slice::from_ref(response),
            Route::Successive(all) => all.as_slice(),
        };
        for response in responses {
            collect(&response.body, &mut secrets);
        }
    }
    let parameters = requests.iter().flat_map(form);
    let verifiers = parameters.filter(|(name, _)| name == "code_verifier");
    secrets.extend(verifiers.map(|(_, value)| value));
    secrets
}

/// Collects the tokens and client secrets in a response.
fn collect(value: &Value, secrets: &mut BTreeSet<String>) {
    const NAMES: [&str; 3] = ["access_token", "refresh_token", "client_secret"];
    let Value::Object(members) = value else {
        return;
    };
    for (name, value) in members {
        match value {
            Value::String(text) if NAMES.contains(&name.as_str()) => {
                // A shorter one could occur in any text.
                assert!(text.len() > 3, "`{name}` is too short to be searched for");
                secrets.insert(text.clone());
            }
            other => collect(other, secrets),
        }
    }
}

/// Returns the requests that send a secret to a URL that is not in `endpoints`.
pub(super) fn leaks(
    requests: &[Request],
    secrets: &BTreeSet<String>,
    endpoints: &[Url],
) -> Vec<String> {
    let elsewhere = requests
        .iter()
        .filter(|request| !is_among(&request.url, endpoints));
    let leak = |request: &Request| {
        let url = &request.url;
        if request.headers.contains_key(header::AUTHORIZATION) {
            return Some(format!("{url} gets an Authorization header"));
        }
        let body = String::from_utf8_lossy(&request.body);
        let headers = format!("{:?}", request.headers);
        let texts = [url.as_str(), &body, &headers];
        let leaked = |secret: &&String| texts.iter().any(|text| text.contains(secret.as_str()));
        let found = secrets.iter().find(leaked);
        found.map(|secret| format!("{url} gets `{secret}`"))
    };
    elsewhere.filter_map(leak).collect()
}

fn is_among(url: &Url, endpoints: &[Url]) -> bool {
    endpoints.iter().any(|endpoint| endpoint == url)
}
