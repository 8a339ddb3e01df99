//! The store of several hosts: a Vault, for the tests that start an OpenBao.

use std::sync::Arc;

use mcp_client_oauth::{Secret, TokenStore};
use mcp_oauth_vault::{VaultAuth, VaultOptions, VaultStore};
use test_support::bao::ROOT;

pub(crate) fn vault(options: &VaultOptions) -> TokenStore {
    TokenStore::new(Arc::new(VaultStore::open(options).unwrap()))
}

/// Returns the options for the address that a child process receives.
pub(crate) fn options(address: &str) -> VaultOptions {
    let token = Secret::new(ROOT.to_owned());
    VaultOptions::new(address.parse().unwrap(), VaultAuth::Token(token))
}
