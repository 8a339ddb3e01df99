//! The token store of a store spec, such as `auto`, `file:DIR`, `keychain`, `vault:URL` or `memory`.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use mcp_client_oauth::{Secret, TokenStore, error::TokenStorageError};
use mcp_oauth_store::{AutoOptions, EncryptedFileStore, KeySource};
use pyo3::{exceptions::PyValueError, prelude::*};
use tokio::task::spawn_blocking;

/// Opens a token store: each process does so once.
type Open =
    Box<dyn Fn() -> BoxFuture<'static, Result<TokenStore, TokenStorageError>> + Send + Sync>;

/// A token store that is not opened yet.
pub(crate) struct StoreOptions {
    label: String,
    open: Open,
}

impl StoreOptions {
    /// Parses a store spec, without opening the store.
    ///
    /// # Errors
    /// `ValueError` if there is no such store, or it has no password.
    pub(crate) fn new(spec: &str, password: Option<String>) -> PyResult<Self> {
        let (kind, rest) = split(spec);
        let has_password = match kind {
            "auto" | "file" => true,
            "keychain" | "vault" | "memory" => false,
            _ => {
                return Err(PyValueError::new_err(format!(
                    "unknown store `{kind}`; use \"auto\", \"file:DIR\", \"keychain\", \
                     \"vault:URL\" or \"memory\""
                )));
            }
        };
        if password.is_some() && !has_password {
            return Err(PyValueError::new_err(format!(
                "a password is given, but the store `{kind}` has none; use \"auto\" or \"file:DIR\""
            )));
        }
        let (kind, rest) = (kind.to_owned(), rest.to_owned());
        let password = password.map(Secret::new);
        Ok(Self::opened_by(spec, move || {
            open(kind.clone(), rest.clone(), password.clone())
        }))
    }

    /// Creates options with a function that opens the store, and a label for `repr`.
    pub(crate) fn opened_by<F>(label: &str, open: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<TokenStore, TokenStorageError>> + Send + 'static,
    {
        Self {
            label: label.to_owned(),
            open: Box::new(move || Box::pin(open())),
        }
    }

    /// Opens the store. Nothing is created before the first login.
    pub(crate) async fn open(&self) -> Result<TokenStore, TokenStorageError> {
        (self.open)().await
    }

    /// Returns the label.
    pub(crate) fn label(&self) -> &str {
        &self.label
    }
}

async fn open(
    kind: String,
    rest: String,
    password: Option<Secret<String>>,
) -> Result<TokenStore, TokenStorageError> {
    let Some(password) = password else {
        let spec = format!("{kind}:{rest}");
        return off_runtime(move || {
            if kind == "vault" {
                mcp_oauth_vault::open(&spec)
            } else {
                TokenStore::open(&spec)
            }
        })
        .await;
    };
    let directory = match rest.as_str() {
        "" => EncryptedFileStore::default_dir()?,
        directory => directory.into(),
    };
    if kind == "auto" {
        let mut options = AutoOptions::default();
        options.directory = Some(directory);
        options.password = Some(password);
        let (files, selection) = mcp_oauth_store::auto(&options).await?;
        tracing::debug!(%selection, "selected a token store");
        return Ok(TokenStore::new(Arc::new(files)));
    }
    let open = move || EncryptedFileStore::open(directory, KeySource::Password(password));
    Ok(TokenStore::new(Arc::new(off_runtime(open).await?)))
}

fn split(spec: &str) -> (&str, &str) {
    spec.split_once(':').unwrap_or((spec, ""))
}

/// Opens files on a thread that may block.
async fn off_runtime<T: Send + 'static>(
    open: impl FnOnce() -> Result<T, TokenStorageError> + Send + 'static,
) -> Result<T, TokenStorageError> {
    spawn_blocking(open)
        .await
        .map_err(|source| TokenStorageError::Backend {
            location: "the token store".to_owned(),
            source: Arc::new(source),
            is_temporary: false,
        })?
}
