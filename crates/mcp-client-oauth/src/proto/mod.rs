//! The protocol messages: pure functions from messages to values and back.
//!
//! Nothing here awaits, reads a clock or uses a socket; only [`pkce`], [`authorization::State`],
//! [`id_token::Nonce`], [`private_key::JwtId`] and [`dpop`] generate random bytes. Untrusted input is
//! parsed once, here, into a type that has only valid values.

mod access_token;
pub mod assertion;
pub mod authorization;
pub mod authorize_parameters;
pub mod cache_control;
pub mod challenge;
pub mod client_auth;
pub mod device;
pub mod dpop;
pub mod endpoint;
pub mod event_stream;
pub mod id_token;
pub mod oauth_error;
pub mod pkce;
pub mod private_key;
pub mod registration;
pub mod resource_metadata;
pub mod revocation;
pub mod scope;
mod serde_lenient;
pub mod server_metadata;
pub mod token;
pub mod token_exchange;
mod unix_seconds;
pub mod unknown_client;
pub mod untrusted_text;
