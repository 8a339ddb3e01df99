//! Non-interactive logins: the grant, and its credentials besides those of the client.
//!
//! The source of an assertion comes from the command line or from the names of this machine, and never
//! from a record: write access to a shared store must not be enough to read a file or run a program here.

use mcp_client_oauth::{
    Grant, IdentityProvider, Secret,
    flow::{PreregisteredClient, PrivateKey, RecordedGrant},
    store::Record,
};

use crate::{
    assertion::Idp,
    error::Failure,
    servers::{GrantKind, Server},
};

/// The credentials of the client at an identity provider.
#[derive(Default)]
pub(crate) struct IdpCredentials {
    pub(crate) secret: Option<Secret<String>>,
    pub(crate) key: Option<PrivateKey>,
}

/// Returns the grant of a login at `server`; none if it is interactive, or if its source is not stored
/// here. Credentials that are not given are taken from the `record` of the last login.
pub(crate) fn grant(
    server: &Server,
    credentials: IdpCredentials,
    record: Option<&Record>,
) -> Result<Option<Grant>, Failure> {
    Ok(match server.grant {
        Some(GrantKind::ClientCredentials) => Some(Grant::ClientCredentials),
        Some(GrantKind::Workload) => server.workload_token.as_ref().map(|source| {
            let assertion = source.to_library();
            Grant::WorkloadIdentity { assertion }
        }),
        Some(GrantKind::Enterprise) => match &server.idp {
            Some(idp) => identity_provider(idp, credentials, record)?.map(|idp| {
                let idp = Box::new(idp);
                Grant::Enterprise { idp }
            }),
            None => None,
        },
        Some(GrantKind::Device) | None => None,
    })
}

/// Returns the failure of a non-interactive login without a stored source.
pub(crate) fn missing_source(grant: GrantKind) -> Failure {
    if grant == GrantKind::Enterprise {
        return Failure::usage(
            "the identity provider is not stored on this machine",
            "add --idp and its options; see `mcp-oauth login --help`",
        );
    }
    Failure::lacks(
        "the source of the workload JWT is not stored on this machine",
        "give it",
        ("--workload-token", Some("FILE")),
    )
}

fn identity_provider(
    idp: &Idp,
    given: IdpCredentials,
    record: Option<&Record>,
) -> Result<Option<IdentityProvider>, Failure> {
    let Some(subject) = idp.id_token.as_ref().or(idp.refresh_token.as_ref()) else {
        return Ok(None);
    };
    let mut client = PreregisteredClient::new(&idp.client_id, given.secret);
    client.private_key = given.key;
    if let Some(RecordedGrant::Enterprise { idp: stored }) =
        record.and_then(|record| record.non_interactive.as_ref())
        && stored.client.client_id == idp.client_id
        && stored.client.issuer == idp.issuer
    {
        let stored = stored.client.clone();
        client.client_secret = client.client_secret.or(stored.client_secret);
        client.private_key = client.private_key.or(stored.private_key);
    }
    let (issuer, endpoint) = (idp.issuer.clone(), idp.token_endpoint.as_str());
    let provider = IdentityProvider::new(issuer, endpoint, &client, subject.to_library());
    let provider = provider.map_err(|error| {
        Failure::usage(
            format!("cannot use the token endpoint of the identity provider: {error}"),
            "give an https URL: --idp-token-endpoint https://idp.example/token",
        )
    })?;
    Ok(Some(match &idp.refresh_token {
        Some(refresh_token) => provider.with_refresh_token(refresh_token.to_library()),
        None => provider,
    }))
}
