//! The options of a login: from the command line, from the stored options of the name, and from the record.

use std::{io::stdin, path::Path};

use mcp_client_oauth::{
    DpopPolicy, Grant, LoginOptions, Secret, TokenStore,
    flow::{ClientIdentity, PreregisteredClient, PrivateKey},
    grant::RedirectTarget,
};

use super::{flow::DEVICE_CODE, resolve::resolve};
use crate::{
    args::Login,
    config::read_secret,
    context::Context,
    error::Failure,
    key_file,
    non_interactive::{IdpCredentials, grant, missing_source},
    servers::{GrantKind, Server},
};

/// Returns the server that a name or a URL stands for, and the options of a login there: for a command that
/// logs in if needed.
pub(crate) async fn resolve_with_options(
    context: &Context,
    typed: &Login,
    store: &TokenStore,
) -> Result<(Server, LoginOptions), Failure> {
    let (_, server) = resolve(typed, &context.servers()?)?;
    let options = options(context, typed, &server, store).await?;
    Ok((server, options))
}

pub(crate) async fn options(
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
    options.force = typed.force;
    options.reuse_issuer_login = server.reuse_login;
    if server.dpop {
        options.dpop = DpopPolicy::Always;
    }
    match server.grant {
        Some(GrantKind::Device) => options.grant = Some(DEVICE_CODE.to_owned()),
        Some(kind) => {
            let grant = non_interactive_grant(context, typed, server, store).await?;
            options.non_interactive = Some(grant.ok_or_else(|| missing_source(kind))?);
        }
        None => {}
    }
    let key = typed.grant.private_key.as_deref();
    let key = key.map(key_file::read).transpose()?;
    if let Some(timeout) = typed.timeout {
        options.timeout = timeout;
    }
    options.redirect = match (server.port, &server.redirect_uri) {
        (_, Some(uri)) => RedirectTarget::Uri(uri.clone()),
        (Some(port), None) => RedirectTarget::Port(port),
        (None, None) => RedirectTarget::AnyPort,
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

/// Returns the grant of a non-interactive login. An identity provider that was typed has its own
/// credentials, and takes none from the record.
async fn non_interactive_grant(
    context: &Context,
    typed: &Login,
    server: &Server,
    store: &TokenStore,
) -> Result<Option<NonInteractiveGrant>, Failure> {
    let record = match (server.grant, &typed.idp.idp) {
        (Some(GrantKind::Enterprise), None) => store.load(&server.key()).await?,
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
