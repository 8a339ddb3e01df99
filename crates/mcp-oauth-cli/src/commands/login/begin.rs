//! `login --no-wait`: begins a login, prints its URL, and ends. `login --complete` completes it.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use mcp_client_oauth::{
    TokenStore, error::AuthorizationError, flow::ClientIdentity, store::LoginKey,
};
use serde_json::json;
use tokio::net::TcpListener;
use url::Url;

use super::{begun::BegunLogin, legacy};
use crate::{
    context::{Context, parse_url},
    error::{Exit, Failure},
    login_options::LoginOptions,
    servers::{Server, is_loopback},
    status::moment,
    store_spec::StoreLocation,
    ui::{HEAD, SOFT},
};

/// The default time for the user to authorize the client.
const TIMEOUT: Duration = Duration::from_secs(10 * 60);

pub(super) async fn begin(
    context: &Context,
    name: &str,
    mut options: LoginOptions,
    store: &TokenStore,
) -> Result<Exit, Failure> {
    check_store(context)?;
    let timeout = *options.timeout.get_or_insert(TIMEOUT);
    let redirect_uri = redirect_uri(&options.server, store).await?;
    let client = context.client(store.clone());
    let request = |options: &LoginOptions| {
        let login = options.login(&client);
        login.redirect_uri(redirect_uri.clone()).begin()
    };
    let mut begun = request(&options).await;
    if let Err(error) = &begun
        && legacy::is_accepted(context, error).await
    {
        options.server.legacy = true;
        begun = request(&options).await;
    }
    let begun = begun?;
    let expires_at = moment(context.platform.clock.now() + timeout);
    let server = options.server;
    let document = json!({
        "name": name,
        "server": server.url.as_str(),
        "account": server.account,
        "url": begun.url.as_str(),
        "expires_at": expires_at,
    });
    let command = context.login_command();
    let login = BegunLogin::new(name, server, begun.browser_secret, command);
    login.save(store, timeout).await?;

    let host = begun.url.origin().ascii_serialization();
    context.ui.say(format_args!(
        "To log in at {HEAD}{host}{HEAD:#}, open this URL in a browser:\n"
    ));
    context.ui.result(&document, || begun.url.to_string());
    let next = context.subject.next("login --complete", name);
    context.ui.say(format_args!(
        "\n{SOFT}Copy the URL of the page that the browser ends on, even if that page fails to load. Enter \
         it before {expires_at}:{SOFT:#}\n{HEAD}next:{HEAD:#} {next}"
    ));
    Ok(Exit::Done)
}

/// Checks that the store outlives this process.
fn check_store(context: &Context) -> Result<(), Failure> {
    match &context.config.store {
        StoreLocation::Other(_) => Err(Failure::usage(
            "cannot begin a login: the store in memory ends with this process",
            "use a store that other processes can read; to see the stores: mcp-oauth stores",
        )),
        StoreLocation::Files { .. } | StoreLocation::Vault(_) => Ok(()),
    }
}

/// Returns the redirect URI. Nothing listens there: it is the start of the URL that the user copies. The
/// one that the client was registered with is used again, because many servers compare the port too.
async fn redirect_uri(server: &Server, store: &TokenStore) -> Result<Url, Failure> {
    if let Some(uri) = &server.redirect_uri {
        return Ok(uri.clone());
    }
    let port = match server.port {
        Some(port) => port,
        None => match registered(store, &server.key()).await? {
            Some(uri) => return Ok(uri),
            None => free_port().await.map_err(|error| {
                // Without a free port, no other login works either.
                AuthorizationError::Listener(Arc::new(error))
            })?,
        },
    };
    let uri = parse_url(&format!("http://127.0.0.1:{port}/callback"))?;
    Ok(uri.as_url().clone())
}

/// Returns the redirect URI on loopback that the client of the last login was registered with.
async fn registered(store: &TokenStore, key: &LoginKey) -> Result<Option<Url>, Failure> {
    let record = store.load(key).await?.map(|(record, _)| record);
    Ok(match record.map(|record| record.identity) {
        Some(ClientIdentity::Registered(own)) => own.redirect_uri.filter(is_loopback),
        _ => None,
    })
}

/// Returns a port on which no program of this machine listens, so that none gets the code of the login.
async fn free_port() -> std::io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    Ok(listener.local_addr()?.port())
}
