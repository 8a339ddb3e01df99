//! The end of a login: the server gets its name, and the login is reported.

use mcp_client_oauth::{
    Session,
    flow::{ClientIdentity, Issuer},
    store::Record,
};

use super::report::{Outcome, report};
use crate::{
    context::{Context, record},
    error::{Exit, Failure},
    servers::{GrantKind, Server},
};

/// Stores the server of a login with its name, and reports the login.
pub(super) fn conclude(
    context: &Context,
    name: &str,
    mut server: Server,
    session: &Session,
) -> Result<Exit, Failure> {
    let mut servers = context.servers()?;
    let (record, reused) = (record(session)?, session.is_reused());
    let before = servers.find(name);
    warn_of_other_login(context, name, before, &server);
    if reused && server.grant == Some(GrantKind::Device) && !offers_device_code(&record) {
        // The login was reused, and the server does not support the device grant that was requested.
        let before = before.filter(|before| before.url == server.url);
        server.grant = before.and_then(|before| before.grant);
    }
    server.issuer = issuer_of_own_client(&record);
    for alias in &mut server.quirks.issuers {
        alias
            .of
            .get_or_insert_with(|| record.discovery.issuer().clone());
    }
    let others = servers.others(&server.key(), name);
    let outcome = Outcome {
        account: server.account.clone(),
        reused,
        others,
    };
    servers.remember(name, server)?;
    report(context, name, &record, &outcome);
    Ok(Exit::Done)
}

fn warn_of_other_login(context: &Context, name: &str, before: Option<&Server>, now: &Server) {
    if let Some(before) = before.filter(|before| before.key() != now.key()) {
        context.ui.warn(format_args!(
            "`{name}` was the name of {} until now",
            described(before, now)
        ));
    }
}

/// Describes the login that a name had `before`, as far as it differs from `now`.
fn described(before: &Server, now: &Server) -> String {
    let url = &before.url;
    match &before.account {
        Some(account) => format!("the account `{account}` at {url}"),
        None if before.url == now.url => format!("{url} without an account"),
        None => url.to_string(),
    }
}

fn offers_device_code(record: &Record) -> bool {
    let metadata = &record.discovery.metadata;
    metadata.device_authorization_endpoint.is_some()
}

/// Returns the issuer that a pre-registered client is bound to from now on.
fn issuer_of_own_client(record: &Record) -> Option<Issuer> {
    match &record.identity {
        ClientIdentity::Registered(own) if own.is_preregistered => Some(own.issuer.clone()),
        _ => None,
    }
}
