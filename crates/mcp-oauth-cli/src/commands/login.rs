//! `login`: the user authorizes the client, and the server gets a name.

use std::sync::Arc;

use mcp_client_oauth::{
    Ensured, Error, LoginOptions, ServerUrl, Session, TokenStore,
    flow::{ClientIdentity, Issuer},
    grant::select_for_server,
};

use crate::{
    args::Login,
    context::{Context, with_interaction},
    error::{Exit, Failure},
    login_flow::{DEVICE_CODE, LoginFlow, options, resolve},
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
    let (name, mut server) = resolve(&typed, &servers)?;
    let store = context.ready_store().await?;
    let mut options = options(context, &typed, &server, &store).await?;
    let known = servers.find(&name);
    let other_source = known.is_none_or(|known| known.workload_token != server.workload_token)
        && server.workload_token.is_some();
    let force = other_source || is_other_login(&typed);
    let mut ensured = authorize(context, &typed, force, &server.url, &store, &options).await;
    if let Err(error) = &ensured
        && legacy::is_accepted(context, error).await
    {
        server.legacy = true;
        options.discovery.legacy = true;
        ensured = authorize(context, &typed, force, &server.url, &store, &options).await;
    }
    let ensured = ensured?;
    let reused = matches!(ensured, Ensured::Reused(_));
    let session = ensured.into_session();
    let before = servers.find(&name);
    if let Some(before) = before.filter(|before| before.key() != server.key()) {
        context.ui.warn(format_args!(
            "`{name}` was the name of {} until now",
            described(before, &server)
        ));
    }
    if reused && server.grant == Some(GrantKind::Device) && !offers_device_code(&session) {
        // The login was reused, and the server does not support the device grant that was requested.
        let before = before.filter(|before| before.url == server.url);
        server.grant = before.and_then(|before| before.grant);
    }
    server.issuer = issuer_of_own_client(&session);
    server.quirks = server
        .quirks
        .bind_issuer(session.record().discovery.issuer());
    let others = servers.others(&server.key(), &name);
    servers.remember(&name, server)?;
    report(context, &name, &session, &Outcome { reused, others });
    Ok(Exit::Done)
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

fn offers_device_code(session: &Session) -> bool {
    select_for_server(&session.record().discovery.metadata, Some(DEVICE_CODE)).is_ok()
}

/// Returns the issuer that a pre-registered client is bound to from now on.
fn issuer_of_own_client(session: &Session) -> Option<Issuer> {
    match session.record().identity {
        ClientIdentity::Registered(own) if own.is_preregistered => Some(own.issuer),
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

/// Runs the login, unless a valid login can be reused and `force` is false.
async fn authorize(
    context: &Context,
    typed: &Login,
    force: bool,
    url: &ServerUrl,
    store: &TokenStore,
    options: &LoginOptions,
) -> Result<Ensured, Error> {
    let browser = context.config.has_browser && !typed.flags.no_browser;
    let mut terminal = Terminal::new(context.ui.clone(), browser);
    let identity = &options.identity;
    if identity.preregistered.is_none() && identity.document.is_none() {
        terminal = terminal.offering_registration(Arc::clone(&context.platform.clock));
    }
    let terminal = Arc::new(terminal);
    let platform = with_interaction(&context.platform, terminal.clone());
    let flow = LoginFlow {
        platform: &platform,
        store,
        url,
        force,
    };
    let no_browser = typed.flags.no_browser;
    let mut options = options.clone();
    let ensured = loop {
        tokio::select! {
            ensured = flow.run(&options, browser, no_browser) => break ensured,
            // The pending login is dropped: it closes its listener and stores nothing.
            () = terminal.registers_again() => {
                terminal.stop_waiting();
                context.ui.progress("registering the client again");
                options.force = true;
            }
        }
    };
    terminal.stop_waiting();
    ensured
}
