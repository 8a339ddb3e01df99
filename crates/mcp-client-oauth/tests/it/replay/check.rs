//! What must hold for a run: what the case says, and that secrets went nowhere else.

use std::collections::BTreeSet;

use http::header;
use mcp_client_oauth::platform::Request;
use serde_json::Value;
use url::Url;

use super::{
    case::{Case, Route},
    network::{CODE, form, server_metadata},
    run::Seen,
};
use crate::support::parameters;

/// What is not as it must be.
pub(super) fn failures(case: &Case, seen: &Seen) -> Vec<String> {
    let mut failures = seen.network.failures();
    failures.extend(outcome(case, seen));
    failures.extend(authorization_request(case, seen));
    failures.extend(stops_where_it_fails(case, seen));
    let requests = seen.network.seen();
    let secrets = secrets(case, &requests);
    failures.extend(leaks(&requests, &secrets, &endpoints(case)));
    if let Some(error) = &seen.error {
        let shown = format!("{error} {error:?}");
        let told = secrets.iter().filter(|secret| shown.contains(*secret));
        failures.extend(told.map(|secret| format!("the error shows `{secret}`")));
    }
    if case.is_transcript && !case.is_stopped() {
        failures.extend(seen.network.unrequested());
    }
    failures
}

fn outcome(case: &Case, seen: &Seen) -> Vec<String> {
    let mut failures = Vec::new();
    let message = seen.error.as_ref().map(ToString::to_string);
    let message = message.unwrap_or_default();
    if seen.outcome != case.expect {
        let (found, wanted) = (&seen.outcome, &case.expect);
        failures.push(format!("ends as `{found}`, not `{wanted}` {message}"));
    }
    let missing = case.says.iter().filter(|text| !message.contains(*text));
    failures.extend(missing.map(|text| format!("`{message}` does not contain `{text}`")));
    if seen.logout != case.logout.as_deref() {
        let (found, wanted) = (seen.logout, &case.logout);
        failures.push(format!("the logout ends as {found:?}, not {wanted:?}"));
    }
    failures
}

fn authorization_request(case: &Case, seen: &Seen) -> Vec<String> {
    let Some(url) = seen.opened.last() else {
        return Vec::new();
    };
    let found: Vec<_> = url.query_pairs().into_owned().collect();
    let mut failures = seen.network.unmet_parameters(&case.authorize, &found);
    if let Some(wanted) = case.scopes {
        let scope = parameters(url, "scope").join(" ");
        let found = scope.split_whitespace().count();
        if found != wanted {
            failures.push(format!("{found} scopes are requested, not {wanted}"));
        }
    }
    failures
}

/// A stage that fails is the last one, and leaves nothing behind.
fn stops_where_it_fails(case: &Case, seen: &Seen) -> Vec<String> {
    let mut failures = Vec::new();
    let Some(stage) = seen.outcome.strip_prefix("stopped: ") else {
        return failures;
    };
    let before_consent = ["discovery/", "registration/", "http/"];
    let is_before_consent = before_consent.iter().any(|name| stage.starts_with(name));
    if is_before_consent && !seen.opened.is_empty() {
        failures.push("a browser was opened".to_owned());
    }
    let endpoints = endpoints(case);
    let asked = seen.network.seen();
    let has_asked = asked
        .iter()
        .any(|request| is_among(&request.url, &endpoints));
    if (is_before_consent || stage.starts_with("authorization/")) && has_asked {
        failures.push("a token request was sent".to_owned());
    }
    if seen.is_stored && !stage.starts_with("refresh/") {
        failures.push("a login was stored".to_owned());
    }
    failures
}

/// Where secrets may go: the endpoints of the authorization server's metadata.
fn endpoints(case: &Case) -> Vec<Url> {
    let named = server_metadata(case).flat_map(|metadata| {
        let names = ["token_endpoint", "revocation_endpoint"];
        names.map(|name| metadata.get(name).and_then(Value::as_str))
    });
    named.flatten().map(|url| url.parse().unwrap()).collect()
}

/// Everything that only those endpoints may see.
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

/// The tokens and client secrets in a response.
fn collect(value: &Value, secrets: &mut BTreeSet<String>) {
    const NAMES: [&str; 3] = ["access_token", "refresh_token", "client_secret"];
    let Value::Object(members) = value else {
        return;
    };
    for (name, value) in members {
        match value {
            Value::String(text) if NAMES.contains(&name.as_str()) => {
                // A shorter one would be found in any text.
                assert!(text.len() > 3, "`{name}` is too short to be searched for");
                secrets.insert(text.clone());
            }
            other => collect(other, secrets),
        }
    }
}

/// Requests that carry a secret to anything but `endpoints`.
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
        let told = |secret: &&String| texts.iter().any(|text| text.contains(secret.as_str()));
        let found = secrets.iter().find(told);
        found.map(|secret| format!("{url} gets `{secret}`"))
    };
    elsewhere.filter_map(leak).collect()
}

fn is_among(url: &Url, endpoints: &[Url]) -> bool {
    endpoints.iter().any(|endpoint| endpoint == url)
}
