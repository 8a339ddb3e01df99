//! Logins without a person: what they need beside the client.
//!
//! Where an assertion comes from is sealed in the record, and nowhere else: it may name a secret.

use mcp_client_oauth::{
    IdentityProvider, MachineGrant, Preregistered, TokenStore, error::MachineGrantError,
    proto::server_metadata::Issuer,
};

use crate::{
    args::Login,
    context::Context,
    error::Failure,
    key_file,
    servers::{Server, Way},
};

/// The grant of a way that asks nobody: as it is typed, else as the last login went.
pub(super) async fn grant(
    context: &Context,
    typed: &Login,
    server: &Server,
    store: &TokenStore,
    way: Way,
) -> Result<MachineGrant, Failure> {
    if way == Way::ClientCredentials {
        return Ok(MachineGrant::ClientCredentials);
    }
    if let Some(assertion) = typed.way.workload_token.clone() {
        return Ok(MachineGrant::Workload { assertion });
    }
    if let Some(idp) = identity_provider(context, typed)? {
        return Ok(MachineGrant::Enterprise { idp: Box::new(idp) });
    }
    let record = store.load(&server.key()).await?.map(|(record, _)| record);
    if record
        .as_ref()
        .is_some_and(|record| !store.may_read_for(record))
    {
        return Err(MachineGrantError::ForeignSource.into());
    }
    let known = record.and_then(|record| record.machine);
    match (way, known) {
        (Way::Workload, Some(machine @ MachineGrant::Workload { .. }))
        | (Way::Enterprise, Some(machine @ MachineGrant::Enterprise { .. })) => Ok(machine),
        (Way::Enterprise, _) => Err(Failure::usage(
            "which identity provider vouches is not known any more",
            "add --idp and what goes with it; see `mcp-oauth login --help`",
        )),
        _ => Err(Failure::lacks(
            "where the JWT of the workload comes from is not known any more",
            "name it",
            ("--workload-token", Some("FILE")),
        )),
    }
}

/// The definition of the arguments has all of them or none.
fn identity_provider(
    context: &Context,
    typed: &Login,
) -> Result<Option<IdentityProvider>, Failure> {
    let flags = &typed.idp;
    let subject = flags.id_token.as_ref();
    let subject = subject.or(flags.idp_refresh_token.as_ref());
    let (Some(issuer), Some(endpoint), Some(client_id), Some(subject)) = (
        &flags.idp,
        &flags.idp_token_endpoint,
        &flags.idp_client_id,
        subject,
    ) else {
        return Ok(None);
    };
    let key = flags.idp_private_key.as_deref();
    let key = key.map(key_file::read).transpose()?;
    let mut client = Preregistered::new(client_id, context.config.idp_client_secret.clone());
    client.private_key = key;
    let issuer = Issuer::new(issuer);
    let idp = IdentityProvider::new(issuer, endpoint.as_str(), &client, subject.clone());
    let idp = idp.map(|idp| match flags.idp_refresh_token.clone() {
        Some(refresh_token) => idp.with_refresh_token(refresh_token),
        None => idp,
    });
    idp.map(Some).map_err(|error| {
        Failure::usage(
            format!("the token endpoint of the identity provider cannot be used: {error}"),
            "name an https URL: --idp-token-endpoint https://idp.example/token",
        )
    })
}
