//! The protocol messages: pure functions from messages to values and back.
//!
//! Nothing here awaits, reads a clock or uses a socket; only [`pkce`], [`authorization::State`],
//! [`id_token::Nonce`], [`browser_secret`], [`private_key::JwtId`] and [`dpop`] generate random bytes. Untrusted input is
//! parsed once, here, into a type that has only valid values.

mod access_token;
pub(crate) mod assertion;
pub(crate) mod authorization;
pub(crate) mod authorize_parameters;
pub(crate) mod browser_secret;
pub(crate) mod cache_control;
pub(crate) mod challenge;
pub(crate) mod client_auth;
pub(crate) mod device;
pub(crate) mod dpop;
pub(crate) mod endpoint;
pub(crate) mod id_token;
pub(crate) mod oauth_error;
pub(crate) mod pkce;
pub(crate) mod private_key;
#[cfg(test)]
mod properties;
pub(crate) mod registration;
pub(crate) mod resource_metadata;
pub(crate) mod revocation;
pub(crate) mod scope;
mod serde_lenient;
pub(crate) mod server_metadata;
pub(crate) mod token;
pub(crate) mod token_exchange;
mod unix_seconds;
pub(crate) mod unknown_client;
