//! Logins without a person: what they need beside the client.
//!
//! The source of an assertion comes from the command line or from the names of this machine, and never
//! from a record, so that nobody who can write a record can have a file read or a program run here.

use mcp_client_oauth::{
    DiscoveryOptions, IdentityProvider, NonInteractiveGrant, PreregisteredClient, RecordedGrant,
    Secret, Session, proto::private_key::PrivateKey, store::Record,
};

use crate::{
    assertion::Idp,
    error::Failure,
    servers::{GrantKind, Server},
};

/// Holds what proves to an identity provider who the client is.
#[derive(Default)]
pub(crate) struct IdpCredentials {
    pub(crate) secret: Option<Secret<String>>,
    pub(crate) key: Option<PrivateKey>,
}

/// Returns the grant of a login at `server`; none if that asks a user, or if its source is not
/// remembered. What was not given of the credentials is taken from the `record` of the last login.
pub(crate) fn grant(
    server: &Server,
    credentials: IdpCredentials,
    record: Option<&Record>,
) -> Result<Option<NonInteractiveGrant>, Failure> {
    Ok(match server.way {
        Some(GrantKind::ClientCredentials) => Some(NonInteractiveGrant::ClientCredentials),
        Some(GrantKind::Workload) => server.workload_token.as_ref().map(|source| {
            let assertion = source.to_library();
            NonInteractiveGrant::Workload { assertion }
        }),
        Some(GrantKind::Enterprise) => match &server.idp {
            Some(idp) => identity_provider(idp, credentials, record)?.map(|idp| {
                let idp = Box::new(idp);
                NonInteractiveGrant::Enterprise { idp }
            }),
            None => None,
        },
        Some(GrantKind::Device) | None => None,
    })
}

/// Gives to a session the grant by which its login goes again, if that asks no user.
pub(crate) fn with_grant(session: Session, server: &Server) -> Result<Session, Failure> {
    let record = session.record();
    let Some(grant) = grant(server, IdpCredentials::default(), Some(&record))? else {
        return Ok(session);
    };
    let mut discovery = DiscoveryOptions::default();
    discovery.legacy = server.legacy;
    discovery.quirks.clone_from(&server.quirks);
    Ok(session.with_grant(grant, &discovery))
}

/// Says that the source of a login without a person is not remembered.
pub(crate) fn not_remembered(way: GrantKind) -> Failure {
    if way == GrantKind::Enterprise {
        return Failure::usage(
            "the identity provider is not remembered on this machine",
            "add --idp and what goes with it; see `mcp-oauth login --help`",
        );
    }
    Failure::lacks(
        "the source of the JWT of the workload is not remembered on this machine",
        "name it",
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
    if let Some(RecordedGrant::Enterprise { idp: kept }) =
        record.and_then(|record| record.machine.as_ref())
        && kept.client.client_id == idp.client_id
        && kept.client.issuer == idp.issuer
    {
        let kept = kept.client.clone();
        client.client_secret = client.client_secret.or(kept.client_secret);
        client.private_key = client.private_key.or(kept.private_key);
    }
    let (issuer, endpoint) = (idp.issuer.clone(), idp.token_endpoint.as_str());
    let provider = IdentityProvider::new(issuer, endpoint, &client, subject.to_library());
    let provider = provider.map_err(|error| {
        Failure::usage(
            format!("the token endpoint of the identity provider cannot be used: {error}"),
            "name an https URL: --idp-token-endpoint https://idp.example/token",
        )
    })?;
    Ok(Some(match &idp.refresh_token {
        Some(refresh_token) => provider.with_refresh_token(refresh_token.to_library()),
        None => provider,
    }))
}
