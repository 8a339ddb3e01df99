//! Steps 3 and 4: the grants, one file each.

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

/// Every grant, in the order in which they are tried. A non-interactive grant is first: it fits only if
/// the caller passed it.
pub const GRANTS: &[&dyn Grant] = &[
    &client_credentials::ClientCredentialsGrant,
    &workload::WorkloadGrant,
    &enterprise::EnterpriseGrant,
    &authorization_code::AuthorizationCodeGrant,
    &device_code::DeviceCodeGrant,
];

/// Returns the grant that was requested by name, else the first that fits and need not be named.
///
/// # Errors
/// [`AuthorizationError::NoGrant`], [`AuthorizationError::NoDeviceEndpoint`].
pub fn select(
    request: &GrantRequest<'_>,
    requested: Option<&str>,
) -> Result<&'static dyn Grant, AuthorizationError> {
    first(&request.discovery().metadata, requested, |grant| {
        grant.fits(request)
    })
}

/// Selects a grant as [`select`] does, but before there is a request: the caller binds a port and registers
/// a client only if the grant needs them.
///
/// # Errors
/// [`AuthorizationError::NoGrant`], [`AuthorizationError::NoDeviceEndpoint`].
pub fn select_for_server(
    server: &ServerMetadata,
    requested: Option<&str>,
) -> Result<&'static dyn Grant, AuthorizationError> {
    first(server, requested, |grant| grant.is_offered_by(server))
}

fn first(
    server: &ServerMetadata,
    requested: Option<&str>,
    fits: impl Fn(&dyn Grant) -> bool,
) -> Result<&'static dyn Grant, AuthorizationError> {
    let is_requested = |grant: &&dyn Grant| match requested {
        Some(name) => name == grant.name(),
        None => !grant.must_be_named(),
    };
    let all = || GRANTS.iter().copied().filter(|grant| fits(*grant));
    all().find(is_requested).ok_or_else(|| {
        if requested.is_none_or(|name| name == device_code::NAME) && server.lacks_device_endpoint()
        {
            return AuthorizationError::NoDeviceEndpoint(server.issuer.clone());
        }
        let named = all().find(|grant| requested.is_none() && grant.must_be_named());
        AuthorizationError::NoGrant {
            issuer: server.issuer.clone(),
            requested: requested.map(str::to_owned),
            must_be_named: named.map(Grant::name),
        }
    })
}
