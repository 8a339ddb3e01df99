//! `login`: a person authorizes us in a browser, and the server gets a name.

use std::sync::Arc;

use mcp_client_oauth::{
    ClientIdentity, Ensured, Error, LoginOptions, ServerUrl, Session, TokenStore,
    grant::select_for_server, proto::server_metadata::Issuer,
};

use crate::{
    args::Login,
    context::{Context, with_person},
    error::{Exit, Failure},
    login_flow::{DEVICE_CODE, LoginFlow, meant, options},
    servers::{GrantKind, Server},
    terminal::Terminal,
};

mod legacy;
mod report;

use report::{Outcome, report};

pub(super) async fn run(context: &Context, typed: Login) -> Result<Exit, Failure> {
    let mut servers = context.servers()?;
    let (name, mut server) = meant(&typed, &servers)?;
    let store = context.ready_store().await?;
    let mut options = options(context, &typed, &server, &store).await?;
    let known = servers.find(&name);
    let other_source = known.is_none_or(|known| known.workload_token != server.workload_token)
        && server.workload_token.is_some();
    let anew = other_source || is_other_login(&typed);
    let mut ensured = authorize(context, &typed, anew, &server.url, &store, &options).await;
    if let Err(error) = &ensured
        && legacy::is_accepted(context, error).await
    {
        server.legacy = true;
        options.discovery.legacy = true;
        ensured = authorize(context, &typed, anew, &server.url, &store, &options).await;
    }
    let ensured = ensured?;
    let reused = matches!(ensured, Ensured::Reused(_));
    let session = ensured.into_session();
    let before = servers.find(&name);
    if let Some(before) = before.filter(|before| before.key() != server.key()) {
        context.ui.warn(format_args!(
            "`{name}` stood for {} until now",
            described(before, &server)
        ));
    }
    if reused && server.way == Some(GrantKind::Device) && !offers_device_code(&session) {
        // No login went that way, and none could.
        let before = before.filter(|before| before.url == server.url);
        server.way = before.and_then(|before| before.way);
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

/// Describes the login `before`, that of a name which stands for `now` instead.
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

/// Returns the issuer that a client registered by hand is bound to from now on.
fn issuer_of_own_client(session: &Session) -> Option<Issuer> {
    match session.record().identity {
        ClientIdentity::Registered(own) if own.by_hand => Some(own.issuer),
        _ => None,
    }
}

/// Returns whether what was typed is another login than the one that may be stored. Another source of an
/// assertion is told from what is remembered.
fn is_other_login(typed: &Login) -> bool {
    typed.who.client_id.is_some()
        || typed.who.client_metadata_url.is_some()
        || typed.who.legacy
        || typed.way.private_key.is_some()
        || typed.idp.idp.is_some()
}

/// Asks the person, unless the login is good already and nothing else was asked for.
async fn authorize(
    context: &Context,
    typed: &Login,
    anew: bool,
    url: &ServerUrl,
    store: &TokenStore,
    options: &LoginOptions,
) -> Result<Ensured, Error> {
    let browser = context.config.has_browser && !typed.who.no_browser;
    let mut terminal = Terminal::new(context.ui.clone(), browser);
    let identity = &options.identity;
    if identity.preregistered.is_none() && identity.document.is_none() {
        terminal = terminal.offering_registration(Arc::clone(&context.platform.clock));
    }
    let person = Arc::new(terminal);
    let platform = with_person(&context.platform, person.clone());
    let asking = LoginFlow {
        platform: &platform,
        store,
        url,
        anew,
    };
    let no_browser = typed.who.no_browser;
    let mut options = options.clone();
    let ensured = loop {
        tokio::select! {
            ensured = asking.ask_as_it_fits(&options, browser, no_browser) => break ensured,
            // The login that waits is dropped: it closes its listener and stores nothing.
            () = person.registers_again() => {
                person.rest();
                context.ui.progress("registering the client again");
                options.afresh = true;
            }
        }
    };
    person.rest();
    ensured
}
