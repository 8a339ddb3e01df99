//! What a login was given, and which overrides and leniencies it took: for the table.

use http::Method;
use mcp_client_oauth::{Quirks, platform::Request, store::Record};
use serde_json::{Map, Value};

use super::{
    case::{Case, Options, Route},
    run::Ran,
};

/// What the user says besides the URL.
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
    let said = members(&options.quirks);
    given.extend(
        said.iter()
            .flat_map(|(name, value)| named(name, value, true)),
    );
    given
}

/// What is known of the provider, and what the client tolerates.
pub(super) fn used(case: &Case, ran: &Ran) -> Vec<String> {
    let Some(record) = &ran.record else {
        return Vec::new();
    };
    let said = members(&case.options.quirks);
    let mut used: Vec<String> = members(&record.discovery.quirks)
        .iter()
        .filter(|(name, value)| said.get(*name) != Some(value) || *name == "issuers")
        .flat_map(|(name, value)| named(name, value, false))
        .filter(|text| {
            !given(&case.options).contains(&text.replace("accepts issuer", "--accept-issuer"))
        })
        .collect();
    if let Some(listed) = listed_with_another_slash(case, record) {
        used.push(format!("issuer listed as `{listed}`"));
    }
    if is_below_the_path(record, &ran.network.seen()) {
        used.push("metadata below the path of the issuer".to_owned());
    }
    if is_redirected(case, &ran.network.seen()) {
        used.push("a location that redirects to another origin is passed over".to_owned());
    }
    used
}

/// The overrides as they are stored, so that one that is new has a row too.
fn members(quirks: &Quirks) -> Map<String, Value> {
    match serde_json::to_value(quirks) {
        Ok(Value::Object(members)) => members,
        _ => Map::new(),
    }
}

fn named(name: &str, value: &Value, is_given: bool) -> Vec<String> {
    let text = |value: &Value| value.as_str().map_or(value.to_string(), str::to_owned);
    match (name, value) {
        ("resource", value) if value == "omitted" => vec!["no `resource`".to_owned()],
        ("scope_on_refresh", _) => vec!["`scope` on refresh".to_owned()],
        ("form_answers", _) => vec!["form-encoded token response".to_owned()],
        ("pkce_unlisted", _) if is_given => vec!["`--pkce-unlisted`".to_owned()],
        ("pkce_unlisted", _) => vec!["PKCE not listed".to_owned()],
        ("authorize", Value::Object(parameters)) => parameters
            .iter()
            .map(|(name, value)| format!("`{name}={}`", text(value)))
            .collect(),
        ("issuers", Value::Array(names)) => {
            let name = |name: &Value| text(name.get("name").unwrap_or(name));
            let flag = if is_given {
                "--accept-issuer"
            } else {
                "accepts issuer"
            };
            names
                .iter()
                .map(|other| format!("`{flag} {}`", name(other)))
                .collect()
        }
        (name, value) => vec![format!("`{name}`: {value}")],
    }
}

/// The issuer as the resource metadata lists it, where the slash of an empty path differs from the
/// document of the issuer (RFC 3986 §6.2.3).
fn listed_with_another_slash(case: &Case, record: &Record) -> Option<String> {
    let issuer = record.discovery.issuer().as_str();
    let documents = case.routes.0.values().filter_map(|route| match route {
        Route::Constant(response) => response.body.get("authorization_servers"),
        Route::Successive(_) => None,
    });
    let listed = documents.filter_map(Value::as_array).flatten();
    let mut listed = listed.filter_map(Value::as_str);
    let trimmed = issuer.trim_end_matches('/');
    let other = listed.find(|name| *name != issuer && name.trim_end_matches('/') == trimmed);
    other.map(str::to_owned)
}

/// Whether the metadata was found at `{issuer}/.well-known/oauth-authorization-server`, which no
/// document defines for an issuer with a path.
fn is_below_the_path(record: &Record, seen: &[Request]) -> bool {
    const PLACE: &str = "/.well-known/oauth-authorization-server";
    let issuer = record.discovery.issuer().as_str().trim_end_matches('/');
    let has_path = issuer.splitn(4, '/').nth(3).is_some();
    let metadata = seen.iter().filter(|request| request.method == Method::GET);
    let last = metadata.last().map(|request| request.url.to_string());
    has_path && last == Some(format!("{issuer}{PLACE}"))
}

/// Whether a location of metadata that was requested redirects to another origin.
fn is_redirected(case: &Case, seen: &[Request]) -> bool {
    let leads_away = |request: &&Request| match case.routes.0.get(request.url.as_str()) {
        Some(Route::Constant(response)) => response.headers.get("location").is_some_and(|to| {
            let to = request.url.join(to).map(|to| to.origin());
            (300..400).contains(&response.status) && to != Ok(request.url.origin())
        }),
        _ => false,
    };
    seen.iter().any(|request| leads_away(&request))
}
