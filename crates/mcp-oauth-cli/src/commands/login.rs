//! `login`: a person authorizes us in a browser, and the server gets a name.

use std::{io::stdin, path::Path, sync::Arc};

use mcp_client_oauth::{
    ClientIdentity, DpopPolicy, Ensured, Error, LoginOptions, MachineGrant, Preregistered, Secret,
    ServerUrl, Session, TokenStore,
    grant::{Redirect, foresee},
    proto::{private_key::PrivateKey, server_metadata::Issuer},
};

use super::{Context, with_person};
use crate::{
    args::Login,
    config::read_secret,
    exit::{Exit, Failure},
    key_file,
    person::Terminal,
    servers::{Server, Way},
};

mod asking;
mod legacy;
mod meant;
mod report;
mod without_person;

pub(crate) use asking::Asking;
use meant::meant;
use report::{Outcome, report};
pub(crate) use without_person::with_grant;
use without_person::{IdpCredentials, grant, not_remembered};

/// What the library calls the grant that shows a code.
const DEVICE_CODE: &str = "device_code";

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
    if reused && server.way == Some(Way::Device) && !offers_device_code(&session) {
        // No login went that way, and none could.
        let before = before.filter(|before| before.url == server.url);
        server.way = before.and_then(|before| before.way);
    }
    server.issuer = issuer_of_own_client(&session);
    server.quirks = server.quirks.bound_to(session.record().discovery.issuer());
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
    foresee(&session.record().discovery.metadata, Some(DEVICE_CODE)).is_ok()
}

/// Which server is meant by a name or a URL, what is remembered of it, and how to log in there: for
/// a command that logs in by the way.
pub(super) async fn prepared(
    context: &Context,
    typed: &Login,
    store: &TokenStore,
) -> Result<(Server, LoginOptions), Failure> {
    let (_, server) = meant(typed, &context.servers()?)?;
    let options = options(context, typed, &server, store).await?;
    Ok((server, options))
}

async fn options(
    context: &Context,
    typed: &Login,
    server: &Server,
    store: &TokenStore,
) -> Result<LoginOptions, Failure> {
    let mut options = LoginOptions::default();
    options.account.clone_from(&server.account);
    options.scope.clone_from(&server.scope);
    options.discovery.legacy = server.legacy;
    options.discovery.quirks.clone_from(&server.quirks);
    options
        .identity
        .document
        .clone_from(&server.client_metadata_url);
    options.afresh = typed.force;
    options.share = server.share;
    if server.dpop {
        options.dpop = DpopPolicy::Always;
    }
    match server.way {
        Some(Way::Device) => options.grant = Some(DEVICE_CODE.to_owned()),
        Some(way) => {
            let machine = machine_grant(context, typed, server, store).await?;
            options.machine = Some(machine.ok_or_else(|| not_remembered(way))?);
        }
        None => {}
    }
    let key = typed.way.private_key.as_deref();
    let key = key.map(key_file::read).transpose()?;
    if let Some(timeout) = typed.timeout {
        options.timeout = timeout;
    }
    options.redirect = match (server.port, &server.redirect_uri) {
        (_, Some(uri)) => Redirect::Uri(uri.clone()),
        (Some(port), None) => Redirect::Port(port),
        (None, None) => Redirect::AnyPort,
    };
    let given = client_secret(context, typed)?;
    match &server.client_id {
        Some(id) => {
            let client = own_client(store, server, id, given, key).await?;
            options.identity.preregistered = Some(client);
        }
        None if server.client_metadata_url.is_some() => options.identity.document_key = key,
        None if key.is_some() => {
            return Err(Failure::lacks(
                "a private key belongs to a client",
                "name it",
                ("--client-id", Some("ID")),
            ));
        }
        None if typed.client_secret_stdin => {
            return Err(Failure::lacks(
                "a client secret belongs to a client id",
                "name it",
                ("--client-id", Some("ID")),
            ));
        }
        None => {}
    }
    Ok(options)
}

fn client_secret(context: &Context, typed: &Login) -> Result<Option<Secret<String>>, Failure> {
    if !typed.client_secret_stdin {
        return Ok(context.config.client_secret.clone());
    }
    if Context::is_interactive() {
        let secret = rpassword::prompt_password("Client secret: ")
            .map_err(|error| Failure::file("read a secret from", Path::new("stdin"), &error))?;
        return Ok(Some(Secret::new(secret)));
    }
    read_secret(stdin().lock(), Path::new("stdin")).map(Some)
}

/// The client with the secret that it was used with before, unless one is `given`: it is sealed in
/// the record, and nowhere else. Neither is shown to another issuer than the one that the client was
/// used with, by the record or, after a logout, by the name (spec-checklist D13, D14).
async fn own_client(
    store: &TokenStore,
    server: &Server,
    client_id: &str,
    given: Option<Secret<String>>,
    key: Option<PrivateKey>,
) -> Result<Preregistered, Failure> {
    let record = store.load(&server.key()).await?.map(|(record, _)| record);
    let mut client = Preregistered::new(client_id, given);
    client.private_key = key;
    client.issuer.clone_from(&server.issuer);
    if let Some(ClientIdentity::Registered(own)) = record.map(|record| record.identity)
        && own.by_hand
        && own.client_id == client_id
    {
        client.client_secret = client.client_secret.or(own.client_secret);
        client.private_key = client.private_key.or(own.private_key);
        client.issuer = Some(own.issuer);
    }
    Ok(client)
}

/// The grant of a login that asks no user. An identity provider that is typed comes with its
/// credentials.
async fn machine_grant(
    context: &Context,
    typed: &Login,
    server: &Server,
    store: &TokenStore,
) -> Result<Option<MachineGrant>, Failure> {
    let record = match (server.way, &typed.idp.idp) {
        (Some(Way::Enterprise), None) => store.load(&server.key()).await?,
        _ => None,
    };
    let key = typed.idp.idp_private_key.as_deref();
    let credentials = IdpCredentials {
        secret: context.config.idp_client_secret.clone(),
        key: key.map(key_file::read).transpose()?,
    };
    grant(
        server,
        credentials,
        record.as_ref().map(|(record, _)| record),
    )
}

/// The issuer that a client registered by hand is bound to from now on.
fn issuer_of_own_client(session: &Session) -> Option<Issuer> {
    match session.record().identity {
        ClientIdentity::Registered(own) if own.by_hand => Some(own.issuer),
        _ => None,
    }
}

/// Whether what was typed is another login than the one that may be stored. Another source of an
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
    let asking = Asking {
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
