//! A token store of [`mcp_client_oauth`] in HashiCorp Vault or OpenBao, shared by hosts that share nothing
//! else.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use mcp_client_oauth::{Secret, TokenStore};
//! use mcp_oauth_vault::{VaultAuth, VaultOptions, VaultStore};
//!
//! # fn example() -> Result<(), Box<dyn std::error::Error>> {
//! // With the token that `vault login` has stored:
//! let store = mcp_oauth_vault::open("vault:https://vault.example.com:8200")?;
//!
//! // With other credentials or another path:
//! let auth = VaultAuth::app_role("my-role-id", Secret::new("my-secret-id".to_owned()));
//! let mut options = VaultOptions::new("https://vault.example.com:8200".parse()?, auth);
//! options.prefix = "my-app".to_owned();
//! let store = TokenStore::new(Arc::new(VaultStore::open(&options)?));
//! # drop(store);
//! # Ok(())
//! # }
//! ```
//!
//! # In the Vault
//!
//! ```text
//! <mount>/data/<prefix>/records/<hash>   one record: its name, a series, its bytes
//! <mount>/data/<prefix>/leases/<hash>    held while a record is refreshed: owner, host
//! ```
//! The engine is KV version 2 (`kv`); its check-and-set makes every write here a compare-and-swap. This
//! client does not encrypt the values: Vault encrypts its storage, and its policies decide on access. A
//! user who may read the record can read the tokens. A path is the SHA-256 of the record's name; the name
//! is in the document. A policy must allow:
//!
//! ```text
//! path "<mount>/data/<prefix>/*"     { capabilities = ["create", "read", "update"] }
//! path "<mount>/metadata/<prefix>/*" { capabilities = ["create", "update", "list", "delete"] }
//! ```
//!
//! This is a thin client of nine calls on [`HttpClient`](mcp_client_oauth::platform::HttpClient), so that
//! the network policy, the limits and the redaction are those of the library. The crate `vaultrs` would bring
//! 164 crates, a second HTTP stack and hundreds of methods, and its status call fails on OpenBao.
//!
//! A deletion replaces the record by a tombstone, by check-and-set, and the engine is configured to keep no
//! older version: nothing of the tokens is left, and the version number goes on. A name that is used once, such
//! as that of a pending login, is removed with its version number.
//!
//! An entry with a lifetime expires by the clock of the server, and the engine deletes it then
//! (`delete_version_after`).

mod auth;
mod error;
mod http;
mod kv;
mod lease;
mod options;
mod record;
mod shared;
mod store;

pub use error::VaultError;
pub use options::{VaultAuth, VaultOptions};
pub use store::{VaultStore, open};
