//! Reads the options of a login: from the command line, from the stored options of the name, and from the record.

use std::{io::stdin, path::Path};

use mcp_client_oauth::{
    Grant, Secret, TokenStore,
    flow::{ClientIdentity, PreregisteredClient, PrivateKey},
};

use crate::{
    args,
    config::read_secret,
    context::Context,
    error::Failure,
    key_file,
    login_options::LoginOptions,
    non_interactive::{IdpCredentials, grant as non_interactive_grant, missing_source},
    servers::{GrantKind, Server},
};

/// Returns the options of a login at `server`.
pub(crate) async fn options(
    context: &Context,
    typed: &args::Login,
    server: Server,
    store: &TokenStore,
) -> Result<LoginOptions, Failure> {
    let grant = grant(context, typed, &server, store).await?;
    let key = typed.grant.private_key.as_deref();
    let key = key.map(key_file::read).transpose()?;
    let given = client_secret(context, typed)?;
    let mut options = LoginOptions::new(server, grant);
    options.force = typed.force;
    options.timeout = typed.timeout;
    match &options.server.client_id {
        Some(id) => {
            options.client = Some(own_client(store, &options.server, id, given, key).await?);
        }
        None if options.server.client_metadata_url.is_some() => options.document_key = key,
        None if key.is_some() => {
            return Err(Failure::lacks(
                "a private key needs a client ID",
                "give it",
                ("--client-id", Some("ID")),
            ));
        }
        None if typed.client_secret_stdin => {
            return Err(Failure::lacks(
                "a client secret needs a client ID",
                "give it",
                ("--client-id", Some("ID")),
            ));
        }
        None => {}
    }
    Ok(options)
}

/// Returns the grant of a login. If none is requested and no browser can be opened here, the device grant is
/// preferred where the server supports it; else the URL is shown for a browser elsewhere.
async fn grant(
    context: &Context,
    typed: &args::Login,
    server: &Server,
    store: &TokenStore,
) -> Result<Grant, Failure> {
    let needs_redirect = typed.flags.no_browser
        || typed.no_wait
        || server.port.is_some()
        || server.redirect_uri.is_some();
    match server.grant {
        None if context.config.has_browser || needs_redirect => Ok(Grant::Auto),
        None => Ok(Grant::PreferDeviceCode),
        Some(GrantKind::Device) => Ok(Grant::DeviceCode),
        Some(kind) => {
            let record = match (kind, &typed.idp.idp) {
                // An identity provider that was typed has its own credentials, and takes none from the
                // record.
                (GrantKind::Enterprise, None) => store.load(&server.key()).await?,
                _ => None,
            };
            let key = typed.idp.idp_private_key.as_deref();
            let credentials = IdpCredentials {
                secret: context.config.idp_client_secret.clone(),
                key: key.map(key_file::read).transpose()?,
            };
            let record = record.as_ref().map(|(record, _)| record);
            let grant = non_interactive_grant(server, credentials, record)?;
            grant.ok_or_else(|| missing_source(kind))
        }
    }
}

fn client_secret(
    context: &Context,
    typed: &args::Login,
) -> Result<Option<Secret<String>>, Failure> {
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

/// Returns the client with the secret of its last login, unless one is `given`: the secret is encrypted in
/// the record, and nowhere else. ID and secret are bound to the issuer that the client was used with, by
/// the record or, after a logout, by the name: they must not be sent to another authorization server
/// (MCP authorization, "Authorization Server Binding").
async fn own_client(
    store: &TokenStore,
    server: &Server,
    client_id: &str,
    given: Option<Secret<String>>,
    key: Option<PrivateKey>,
) -> Result<PreregisteredClient, Failure> {
    let record = store.load(&server.key()).await?.map(|(record, _)| record);
    let mut client = PreregisteredClient::new(client_id, given);
    client.private_key = key;
    client.issuer.clone_from(&server.issuer);
    if let Some(ClientIdentity::Registered(own)) = record.map(|record| record.identity)
        && own.is_preregistered
        && own.client_id == client_id
    {
        client.client_secret = client.client_secret.or(own.client_secret);
        client.private_key = client.private_key.or(own.private_key);
        client.issuer = Some(own.issuer);
    }
    Ok(client)
}
