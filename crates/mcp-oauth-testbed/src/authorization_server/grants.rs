//! The grants by their names, and which of them a client may use.

use super::parameters::Parameters;
use super::refusal::Refusal;
use crate::state::TestbedState;
use crate::state::token_store::{AllowedGrants, Client};

/// The client credentials grant (RFC 6749 §4.4).
pub(super) const CLIENT_CREDENTIALS: &str = "client_credentials";

/// The device authorization grant (RFC 8628 §3.4).
pub(super) const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// The JWT bearer grant (RFC 7523 §2.1).
pub(super) const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// A token request of a client that has authenticated.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) state: &'a TestbedState,
    pub(super) form: &'a Parameters,
    pub(super) client: Client,
    /// The thumbprint of the key that the request proves.
    pub(super) key: Option<String>,
}

/// Checks that the client may use this grant (RFC 6749 §5.2, `unauthorized_client`). The authorization
/// endpoint checks it for codes, so the exchange of a code and a refresh need no check.
pub(super) fn permit(client: &Client, grant_type: &str) -> Result<(), Refusal> {
    let non_interactive = [CLIENT_CREDENTIALS, JWT_BEARER];
    let may = match &client.grants {
        AllowedGrants::Interactive => grant_type != CLIENT_CREDENTIALS,
        AllowedGrants::NonInteractive => non_interactive.contains(&grant_type),
        AllowedGrants::Registered(listed) => listed.iter().any(|listed| listed == grant_type),
    };
    if may {
        return Ok(());
    }
    let reason = format!("the client may not use {grant_type}");
    Err(Refusal::new("unauthorized_client", reason))
}
