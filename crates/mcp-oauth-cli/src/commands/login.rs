//! `login`: the user authorizes the client, and the server gets a name.

use std::{future::IntoFuture as _, sync::Arc};

use mcp_client_oauth::{Error, Session, TokenStore};

use crate::{
    args::Login,
    context::Context,
    error::{Exit, Failure},
    login_flow::{options, resolve},
    login_options::LoginOptions,
    terminal::Terminal,
};

mod begin;
mod begun;
mod complete;
mod conclude;
mod hand_over;
mod legacy;
mod report;

use begin::begin;
pub(super) use complete::complete;
use conclude::conclude;

pub(super) async fn run(context: &Context, typed: Login) -> Result<Exit, Failure> {
    if typed.complete {
        return complete(context, typed.name.as_deref()).await;
    }
    let servers = context.servers()?;
    let (name, server) = resolve(&typed, &servers)?;
    let store = context.ready_store().await?;
    let mut options = options(context, &typed, server, &store).await?;
    if typed.no_wait {
        return begin(context, &name, options, &store).await;
    }
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
    conclude(context, &name, options.server, &outcome?)
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
