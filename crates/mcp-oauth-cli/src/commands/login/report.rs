//! The report of a login.

use mcp_client_oauth::{flow::Scope, store::Record};
use serde_json::json;
use url::Url;

use crate::{
    context::Context,
    servers::listed,
    status::{Status, moment},
    ui::{GOOD, HEAD, fields},
};

/// The origin of a login.
pub(super) struct Outcome {
    pub(super) account: Option<String>,
    /// Says whether an existing login was reused.
    pub(super) reused: bool,
    /// The other names of the same login.
    pub(super) others: Vec<String>,
}

impl Outcome {
    fn head(&self, name: &str) -> String {
        if !self.reused {
            return format!("{GOOD}Logged in{GOOD:#} to {HEAD}{name}{HEAD:#}");
        }
        let already = format!("{GOOD}Already logged in{GOOD:#}");
        if self.others.is_empty() {
            return format!("{already}; use --force to log in again");
        }
        let others = listed(&self.others);
        format!(
            "{already} (same login as {others}); use --force to log in again, --account for another \
             account"
        )
    }
}

pub(super) fn report(context: &Context, name: &str, record: &Record, outcome: &Outcome) {
    let status = Status::of(record, context.platform.clock.now());
    let scope = record.tokens.scope.as_ref().or(record.requested.as_ref());
    let missing = record.missing_scope();
    let extra = extra_scope(record);
    warn_of_scope(context, missing.as_ref(), extra.as_ref());
    let endpoint = third_party_endpoint(record);
    let document = json!({
        "name": name,
        "reused": outcome.reused,
        "same_login_as": outcome.others,
        "server": record.discovery.server.as_str(),
        "account": outcome.account,
        "issuer": record.discovery.issuer().as_str(),
        "token_endpoint": record.discovery.metadata.token_endpoint.as_url().as_str(),
        "status": status.as_str(),
        "expires_at": record.tokens.expires_at.map(moment),
        "scope": scope.map(ToString::to_string),
        "missing_scope": missing.as_ref().map(ToString::to_string),
        "extra_scope": extra.as_ref().map(ToString::to_string),
    });
    context.ui.result(&document, || {
        let head = outcome.head(name);
        let mut rows = vec![
            ("server", record.discovery.server.to_string()),
            (
                "scope",
                scope.map_or_else(
                    || "not reported by the server".to_owned(),
                    ToString::to_string,
                ),
            ),
            ("token", lifetime(record, status)),
        ];
        if !outcome.reused && !outcome.others.is_empty() {
            rows.push(("same login as", listed(&outcome.others)));
        }
        rows.extend(endpoint.map(|host| ("token endpoint", host)));
        format!("{head}\n{}", fields(&rows))
    });
    let command = context.subject.next("tools", name);
    context
        .ui
        .progress(format_args!("\n{HEAD}next:{HEAD:#} {command}"));
}

/// Describes how long the login lasts. A short lifetime of the token does not matter if it is refreshed.
fn lifetime(record: &Record, status: Status) -> String {
    let shown = status.colored();
    match status {
        Status::Valid(Some(_)) if record.is_refreshable() => {
            format!("{shown}, refreshed automatically")
        }
        Status::Valid(Some(_)) => format!("{shown}; then log in again"),
        _ => shown,
    }
}

fn warn_of_scope(context: &Context, missing: Option<&Scope>, extra: Option<&Scope>) {
    if let Some(missing) = missing {
        context
            .ui
            .warn(format_args!("the scope `{missing}` was not granted"));
    }
    if let Some(extra) = extra {
        context.ui.warn(format_args!(
            "the server granted more than was requested: `{extra}`"
        ));
    }
}

/// Returns the scope that was granted but not requested (RFC 6749 §5.1). Without a requested scope the
/// server chooses, so nothing is extra.
fn extra_scope(record: &Record) -> Option<Scope> {
    let granted = record.tokens.scope.as_ref()?;
    granted.missing_from(record.requested.as_ref()?)
}

/// Returns the origin of the token endpoint, if it is on another host than the issuer: only the user can tell
/// whether both have the same operator.
fn third_party_endpoint(record: &Record) -> Option<String> {
    let endpoint = &record.discovery.metadata.token_endpoint;
    let endpoint = endpoint.as_url();
    let issuer = Url::parse(record.discovery.issuer().as_str()).ok()?;
    let differs = issuer.host() != endpoint.host();
    differs.then(|| endpoint.origin().ascii_serialization())
}
