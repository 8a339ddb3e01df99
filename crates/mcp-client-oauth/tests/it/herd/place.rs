//! Where a herd keeps its tokens, as the parent and as its children see it.

use std::sync::Arc;

use mcp_client_oauth::{
    TokenStore,
    store::{EncryptedFileStore, KeySource},
};
use tokio::process::Command;

use super::process::variable;
use crate::sealed::Home;

const DIRECTORY: &str = "MCP_OAUTH_TEST_DIRECTORY";
#[cfg(feature = "vault")]
const VAULT: &str = "MCP_OAUTH_TEST_VAULT_ADDRESS";

/// A store that several processes share.
pub(crate) enum Place {
    Files(Home),
    #[cfg(feature = "vault")]
    Vault(Box<test_support::bao::Bao>),
}

impl Place {
    /// The store, with nothing remembered of it.
    pub(crate) fn store(&self) -> TokenStore {
        match self {
            Self::Files(home) => files(&home.path()),
            #[cfg(feature = "vault")]
            Self::Vault(bao) => super::hosts::vault(&super::hosts::options(bao.address.as_str())),
        }
    }

    /// Tells a child where it is.
    pub(crate) fn tell(&self, child: &mut Command) {
        match self {
            Self::Files(home) => child.env(DIRECTORY, home.path()),
            #[cfg(feature = "vault")]
            Self::Vault(bao) => child.env(VAULT, bao.address.as_str()),
        };
    }
}

pub(crate) fn files(directory: &std::path::Path) -> TokenStore {
    let files = EncryptedFileStore::open(directory, KeySource::KeyFile).unwrap();
    TokenStore::new(Arc::new(files))
}

/// The store that a child was told of.
pub(crate) fn of_this_process() -> TokenStore {
    if let Some(directory) = variable(DIRECTORY) {
        return files(directory.as_ref());
    }
    #[cfg(feature = "vault")]
    if let Some(address) = variable(VAULT) {
        return super::hosts::vault(&super::hosts::options(&address));
    }
    panic!("this process was told of no store");
}
