//! `login`: the user authorizes the client, and the server gets a name.

use std::{future::IntoFuture as _, sync::Arc};

use mcp_client_oauth::{
    Error, Session, TokenStore,
    flow::{ClientIdentity, Issuer},
    store::Record,
};

use crate::{
    args::Login,
    context::{Context, record},
    error::{Exit, Failure},
    login_flow::{options, resolve},
    login_options::LoginOptions,
    servers::{GrantKind, Server},
    terminal::Terminal,
};

mod complete;
mod legacy;
mod report;

pub(super) use complete::complete;
use report::{Outcome, report};

pub(super) async fn run(context: &Context, typed: Login) -> Result<Exit, Failure> {
    if typed.complete {
        return complete(context).await;
    }
    let mut servers = context.servers()?;
    let (name, server) = resolve(&typed, &servers)?;
    let store = context.ready_store().await?;
    let mut options = options(context, &typed, server, &store).await?;
    let known = servers.find(&name);
    let workload_token = &options.server.workload_token;
    let other_source = known.is_none_or(|known| known.workload_token != *workload_token)
        && workload_token.is_some();
    let is_other = other_source || is_other_login(&typed);
    let mut outcome = authorize(context, &typed, is_other, &store, &options).await;
    if let Err(error) = &outcome
        && legacy::is_accepted(context, error).await
    {
        options.server.legacy = true;
        outcome = authorize(context, &typed, is_other, &store, &options).await;
    }
    let session = outcome?;
    let (record, reused) = (record(&session)?, session.is_reused());
    let mut server = options.server;
    let before = servers.find(&name);
    warn_of_other_login(context, &name, before, &server);
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
    let others = servers.others(&server.key(), &name);
    let outcome = Outcome {
        account: server.account.clone(),
        reused,
        others,
    };
    servers.remember(&name, server)?;
    report(context, &name, &record, &outcome);
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

/// Returns whether the options request another login than the one that may be stored. A changed source of
/// an assertion is recognized elsewhere, by comparison with the stored source.
fn is_other_login(typed: &Login) -> bool {
    typed.flags.client_id.is_some()
        || typed.flags.client_metadata_url.is_some()
        || typed.flags.legacy
        || typed.grant.private_key.is_some()
        || typed.idp.idp.is_some()
}

/// Runs the login. A valid login that is stored is reused, unless the user requests another one.
async fn authorize(
    context: &Context,
    typed: &Login,
    is_other: bool,
    store: &TokenStore,
    options: &LoginOptions,
) -> Result<Session, Error> {
    let browser = context.config.has_browser && !typed.flags.no_browser;
    let mut terminal = Terminal::new(context.ui.clone(), browser);
    if options.may_register() {
        terminal = terminal.offering_registration(Arc::clone(&context.platform.clock));
    }
    let terminal = Arc::new(terminal);
    let client = context
        .client(store.clone())
        .with_interaction(terminal.clone());
    let mut login = options.login(&client);
    if is_other {
        login = login.reauthenticate();
    }
    let session = loop {
        tokio::select! {
            session = login.clone().into_future() => break session,
            // The pending login is dropped: it closes its listener and stores nothing.
            () = terminal.registers_again() => {
                terminal.stop_waiting();
                context.ui.progress("registering the client again");
                login = login.force();
            }
        }
    };
    terminal.stop_waiting();
    session
}
