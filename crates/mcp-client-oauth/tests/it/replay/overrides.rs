//! The options of a login, and the overrides and leniencies that it used: for the table.

use http::Method;
use mcp_client_oauth::{flow::Quirks, store::Record};
use serde_json::{Map, Value};
use url::Url;

use super::{
    case::{Case, Options, Response, Route},
    network::server_metadata,
    run::CaseResult,
};

/// Returns the options that the user gives besides the URL.
pub(super) fn given(options: &Options) -> Vec<String> {
    let mut given = Vec::new();
    match (&options.client_id, &options.client_secret) {
        (Some(_), Some(_)) => given.push("client ID and secret".to_owned()),
        (Some(_), None) => given.push("client ID".to_owned()),
        _ => {}
    }
    if options.document.is_some() {
        given.push("client metadata document".to_owned());
    }
    if options.legacy {
        given.push("`--legacy`".to_owned());
    }
    if let Some(scope) = &options.scope {
        given.push(format!("`--scope {scope}`"));
    }
    for (name, value) in members(&options.quirks) {
        match (name.as_str(), value) {
            ("issuers", Value::Array(names)) => {
                given.extend(names.iter().map(|other| {
                    let name = other.get("name").unwrap_or(other);
                    format!("`--accept-issuer {}`", text(name))
                }));
            }
            ("pkce_unlisted", _) => given.push("`--assume-pkce`".to_owned()),
            (_, value) => given.extend(known(&name, &value)),
        }
    }
    given
}

/// Returns the overrides for the provider, and the deviations from a specification that the client
/// accepts.
pub(super) fn used(case: &Case, ran: &CaseResult) -> Vec<String> {
    let Some(record) = &ran.record else {
        return Vec::new();
    };
    let configured = members(&case.options.quirks);
    let overrides = members(&record.discovery.quirks);
    let overrides = overrides
        .iter()
        .filter(|(name, value)| *name != "issuers" && configured.get(*name) != Some(value));
    let mut used: Vec<String> = overrides
        .flat_map(|(name, value)| known(name, value))
        .collect();
    used.extend(issuer_of_the_document(case));
    used.extend(issuer_of_the_callback(case, record));
    used.extend(token_type(case));
    used.extend(below_the_path(record, ran));
    used.extend(redirected(case, ran));
    used
}

/// Returns the overrides as they are stored, so that the table also contains a new one.
fn members(quirks: &Quirks) -> Map<String, Value> {
    match serde_json::to_value(quirks) {
        Ok(Value::Object(members)) => members,
        _ => Map::new(),
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or(value.to_string(), str::to_owned)
}

fn known(name: &str, value: &Value) -> Vec<String> {
    match (name, value) {
        ("resource", value) if value == "omitted" => vec!["no `resource`".to_owned()],
        ("scope_on_refresh", _) => vec!["`scope` on refresh".to_owned()],
        ("form_answers", _) => vec!["form-encoded token response".to_owned()],
        ("pkce_unlisted", _) => vec!["PKCE not listed".to_owned()],
        ("authorize", Value::Object(parameters)) => parameters
            .iter()
            .map(|(name, value)| format!("`{name}={}`", text(value)))
            .collect(),
        (name, value) => vec![format!("`{name}`: {value}")],
    }
}

fn documents(case: &Case) -> impl Iterator<Item = (&String, &Response)> {
    case.routes.0.iter().filter_map(|(url, route)| match route {
        Route::Constant(response) => Some((url, response)),
        Route::Successive(_) => None,
    })
}

/// Returns the issuer in the authorization server metadata, if the resource metadata lists another
/// spelling and no option accepts it.
fn issuer_of_the_document(case: &Case) -> Option<String> {
    let found = server_metadata(case).find_map(|metadata| metadata["issuer"].as_str())?;
    let listed = documents(case)
        .find_map(|(_, response)| response.body.get("authorization_servers")?.get(0)?.as_str())?;
    let is_accepted = given(&case.options).contains(&format!("`--accept-issuer {found}`"));
    let differs = found != listed && !is_accepted;
    differs.then(|| format!("issuer `{found}`, listed as `{listed}`"))
}

/// Returns the issuer in the authorization response, if it differs from that of the metadata and no
/// option accepts it.
fn issuer_of_the_callback(case: &Case, record: &Record) -> Option<String> {
    let found = case.callback_iss.as_ref()?;
    let is_accepted = given(&case.options).contains(&format!("`--accept-issuer {found}`"));
    let differs = found != record.discovery.issuer().as_str() && !is_accepted;
    differs.then(|| format!("`iss` of the callback is `{found}`"))
}

/// Returns a `token_type` that RFC 6750 does not define.
fn token_type(case: &Case) -> Option<String> {
    case.routes.0.values().find_map(|route| {
        let Route::Successive(responses) = route else {
            return None;
        };
        let found = responses.first()?.body.get("token_type")?.as_str()?;
        let is_bearer = found.eq_ignore_ascii_case("bearer") || found.eq_ignore_ascii_case("dpop");
        (!is_bearer).then(|| format!("`token_type` is `{found}`"))
    })
}

/// Says whether the metadata was found at `{issuer}/.well-known/oauth-authorization-server`, which no
/// document defines for an issuer with a path.
fn below_the_path(record: &Record, ran: &CaseResult) -> Option<String> {
    const LOCATION: &str = "/.well-known/oauth-authorization-server";
    let issuer = record.discovery.issuer().as_str().trim_end_matches('/');
    let has_path = issuer.splitn(4, '/').nth(3).is_some();
    let requests = ran.network.requests();
    let found = format!("{issuer}{LOCATION}");
    let is_last = requests
        .iter()
        .rfind(|request| request.method == Method::GET)
        .is_some_and(|request| request.url.as_str() == found);
    (has_path && is_last).then(|| "metadata below the path of the issuer".to_owned())
}

/// Says whether no challenge names the resource metadata, and one of its well-known URLs redirects to
/// another origin, which the client does not follow.
fn redirected(case: &Case, ran: &CaseResult) -> Option<String> {
    let challenge = case.probe.headers.get("www-authenticate");
    if challenge.is_some_and(|challenge| challenge.contains("resource_metadata")) {
        return None;
    }
    let other_origin = |(url, response): (&String, &Response)| {
        let url = Url::parse(url).ok()?;
        let target = url.join(response.headers.get("location")?).ok()?;
        let is_redirect = (300..400).contains(&response.status);
        (is_redirect && target.origin() != url.origin()).then_some(url)
    };
    let redirect = documents(case).find_map(other_origin)?;
    let requests = ran.network.requests();
    let is_requested = requests.iter().any(|request| request.url == redirect);
    is_requested.then(|| "a redirect of metadata to another origin is not followed".to_owned())
}
