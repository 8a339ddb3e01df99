//! Clients over stores that no store spec describes, for `mcp_client_oauth.compat`: a key in the keychain under
//! the name of the application, a Vault with the token that the program passes.

use std::{path::PathBuf, sync::Arc};

use mcp_client_oauth::{Secret, TokenStore, error::TokenStorageError};
use mcp_oauth_store::{AutoOptions, EncryptedFileStore, KeyKind, KeySource, key_kinds};
use mcp_oauth_vault::{VaultAuth, VaultOptions, VaultStore};
use pyo3::prelude::*;

use crate::{
    client::{Client, ClientOptions},
    errors::invalid,
    headers,
    interaction::{Hooks, PythonInteraction},
    operation::Operation,
    store::{StoreOptions, off_runtime},
};

/// Returns a client over encrypted files. With `in_keychain` their key must be in the keychain; without it,
/// the best key of this machine is used, or the password.
#[pyfunction]
#[pyo3(signature = (directory, *, in_keychain, password = None, service = None, on_device_code = None))]
pub(crate) fn client_with_files(
    directory: Option<PathBuf>,
    in_keychain: bool,
    password: Option<String>,
    service: Option<String>,
    on_device_code: Option<Py<PyAny>>,
) -> Client {
    let mut options = AutoOptions::default();
    options.directory = directory;
    options.password = password.map(Secret::new);
    options.service = service;
    let label = match &options.directory {
        Some(directory) => format!("file:{}", directory.display()),
        None if in_keychain => "keychain".to_owned(),
        None => "auto".to_owned(),
    };
    let store = StoreOptions::opened_by(&label, move || files(in_keychain, options.clone()));
    client(store, on_device_code)
}

/// Returns a client over a Vault, with a token.
#[pyfunction]
#[pyo3(signature = (url, token, *, mount, prefix, namespace = None, on_device_code = None))]
pub(crate) fn client_with_vault(
    url: &str,
    token: String,
    mount: &str,
    prefix: &str,
    namespace: Option<String>,
    on_device_code: Option<Py<PyAny>>,
) -> PyResult<Client> {
    let (mount, prefix) = (mount.trim_matches('/'), prefix.trim_matches('/'));
    if mount.is_empty() || prefix.is_empty() {
        return Err(invalid(
            "vault path",
            "the mount and the prefix must not be empty",
        ));
    }
    let address = headers::url("vault_url", url)?;
    let label = format!("vault:{}", address.origin().ascii_serialization());
    let mut options = VaultOptions::new(address, VaultAuth::Token(Secret::new(token)));
    mount.clone_into(&mut options.mount);
    prefix.clone_into(&mut options.prefix);
    options.namespace = namespace;
    let store = StoreOptions::opened_by(&label, move || {
        let options = options.clone();
        off_runtime(move || Ok(TokenStore::new(Arc::new(VaultStore::open(&options)?))))
    });
    Ok(client(store, on_device_code))
}

/// Returns whether the keychain of this system is available. The user is not asked to unlock it.
#[pyfunction]
pub(crate) fn keychain_available() -> Operation {
    Operation::new(async {
        let is_keychain = |kind: &KeyKind| *kind == KeyKind::Keychain;
        let kinds = key_kinds().await;
        Ok(kinds
            .iter()
            .any(|(kind, available)| is_keychain(kind) && available.is_ok()))
    })
}

fn client(store: StoreOptions, on_device_code: Option<Py<PyAny>>) -> Client {
    let hooks = Hooks {
        show_url: None,
        show_code: on_device_code,
    };
    Client::from(ClientOptions {
        store,
        client_name: None,
        client_metadata: None,
        public_networks_only: false,
        interaction: PythonInteraction(Arc::new(hooks)),
    })
}

async fn files(in_keychain: bool, options: AutoOptions) -> Result<TokenStore, TokenStorageError> {
    if !in_keychain {
        let (files, selection) = mcp_oauth_store::auto(&options).await?;
        tracing::debug!(%selection, "selected a token store");
        return Ok(TokenStore::new(Arc::new(files)));
    }
    let directory = match options.directory {
        Some(directory) => directory,
        None => EncryptedFileStore::default_dir()?,
    };
    let key = options
        .service
        .map(|service| KeySource::Keychain { service });
    let key = key.unwrap_or_else(KeySource::keychain);
    let open = move || EncryptedFileStore::open(directory, key);
    Ok(TokenStore::new(Arc::new(off_runtime(open).await?)))
}
