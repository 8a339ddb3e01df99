//! Steps 3 and 4: the ways to get tokens, one file each.

use crate::{error::AuthorizationError, proto::server_metadata::ServerMetadata};

mod authorization_code;
mod client_credentials;
mod device_code;
mod enterprise;
mod loopback;
mod redirect_uri;
mod request;
mod tokens;
mod workload;

pub use authorization_code::exchange;
pub(crate) use authorization_code::throwaway_url;
pub use redirect_uri::{CallbackReceiver, RedirectTarget};
pub use request::{Grant, GrantRequest, LOGIN_TIMEOUT};

/// Every grant, in the order in which they are tried. Who names a way without a person means it.
pub const GRANTS: &[&dyn Grant] = &[
    &client_credentials::ClientCredentialsGrant,
    &workload::WorkloadGrant,
    &enterprise::EnterpriseGrant,
    &authorization_code::AuthorizationCodeGrant,
    &device_code::DeviceCodeGrant,
];

/// Returns the grant that was asked for by name, else the first that fits and need not be named.
///
/// # Errors
/// [`AuthorizationError::NoGrant`], [`AuthorizationError::NoDeviceEndpoint`].
pub fn select(
    request: &GrantRequest<'_>,
    wanted: Option<&str>,
) -> Result<&'static dyn Grant, AuthorizationError> {
    first(&request.discovery().metadata, wanted, |grant| {
        grant.fits(request)
    })
}

/// Returns the same before there is a request: which grant it will be, so that nothing is bound or
/// registered that it does not need, or for no grant at all.
///
/// # Errors
/// [`AuthorizationError::NoGrant`], [`AuthorizationError::NoDeviceEndpoint`].
pub fn select_for_server(
    server: &ServerMetadata,
    wanted: Option<&str>,
) -> Result<&'static dyn Grant, AuthorizationError> {
    first(server, wanted, |grant| grant.is_offered_by(server))
}

fn first(
    server: &ServerMetadata,
    wanted: Option<&str>,
    fits: impl Fn(&dyn Grant) -> bool,
) -> Result<&'static dyn Grant, AuthorizationError> {
    let is_wanted = |grant: &&dyn Grant| match wanted {
        Some(name) => name == grant.name(),
        None => !grant.must_be_named(),
    };
    let all = || GRANTS.iter().copied().filter(|grant| fits(*grant));
    all().find(is_wanted).ok_or_else(|| {
        if wanted.is_none_or(|name| name == device_code::NAME) && server.lacks_device_endpoint() {
            return AuthorizationError::NoDeviceEndpoint(server.issuer.clone());
        }
        let named = all().find(|grant| wanted.is_none() && grant.must_be_named());
        AuthorizationError::NoGrant {
            issuer: server.issuer.clone(),
            wanted: wanted.map(str::to_owned),
            must_be_named: named.map(Grant::name),
        }
    })
}
