//! The store of the worker processes, opened by the parent and by its children.

use std::sync::Arc;

use mcp_client_oauth::TokenStore;
use mcp_oauth_store::{EncryptedFileStore, KeySource};
use tokio::process::Command;

use super::process::env_var;
use crate::{
    encrypted::Home,
    vault::{options, vault},
};

const DIRECTORY: &str = "MCP_OAUTH_TEST_DIRECTORY";
const VAULT: &str = "MCP_OAUTH_TEST_VAULT_ADDRESS";

/// A store that several processes share.
pub(crate) enum SharedStore {
    Files(Home),
    Vault(Box<test_support::bao::Bao>),
}

impl SharedStore {
    /// Opens the store again, without any cached state.
    pub(crate) fn store(&self) -> TokenStore {
        match self {
            Self::Files(home) => files(&home.path()),
            Self::Vault(bao) => vault(&options(bao.address.as_str())),
        }
    }

    /// Sets the environment variables from which a child opens the store.
    pub(crate) fn set_env(&self, child: &mut Command) {
        match self {
            Self::Files(home) => child.env(DIRECTORY, home.path()),
            Self::Vault(bao) => child.env(VAULT, bao.address.as_str()),
        };
    }
}

pub(crate) fn files(directory: &std::path::Path) -> TokenStore {
    let files = EncryptedFileStore::open(directory, KeySource::KeyFile).unwrap();
    TokenStore::new(Arc::new(files))
}

/// Opens the store that the environment of this process names.
pub(crate) fn of_this_process() -> TokenStore {
    if let Some(directory) = env_var(DIRECTORY) {
        return files(directory.as_ref());
    }
    if let Some(address) = env_var(VAULT) {
        return vault(&options(&address));
    }
    panic!("the environment names no store");
}
