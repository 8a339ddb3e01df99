//! `store.json`: what a store is sealed with. Written once, and never changed.

use std::{path::Path, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    directory::{Directory, corrupt},
    hex::Hex,
};
use crate::{
    error::TokenStorageError,
    secret::Secret,
    store::key::{KEY_BYTES, Kdf, KeyKind, KeySource, MasterKey, random},
};

/// Its name in the directory of the store.
pub(super) const FILE: &str = "store.json";
const FORMAT: &str = "mcp-oauth token store";
const VERSION: u64 = 1;
/// The largest that is read.
const MOST: u64 = 16 * 1024;

/// Which store this is, and how its key is told from any other. Nothing in it is secret.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct StoreHeader {
    format: String,
    version: u64,
    /// Random: a record that is moved here from another store is found out.
    pub(super) id: Hex<16>,
    pub(super) key: KeyKind,
    /// How a password becomes the key.
    pub(super) kdf: Option<Kdf>,
    /// What the key is filed under in the keychain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) service: Option<String>,
    /// What only the key of this store says about all of the above (H145).
    check: Hex<KEY_BYTES>,
}

impl StoreHeader {
    /// For a new store whose key is of that kind; [`sealed_with`](Self::sealed_with) completes it.
    pub(super) fn fresh(source: &KeySource) -> Result<Self, TokenStorageError> {
        let kdf = match source {
            KeySource::Password(_) => Some(Kdf::fresh()?),
            _ => None,
        };
        let service = match source {
            KeySource::Keychain { service } => Some(service.clone()),
            _ => None,
        };
        Ok(Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            id: Hex(random()?),
            key: source.kind(),
            kdf,
            service,
            check: Hex([0; KEY_BYTES]),
        })
    }

    /// The same, of a store that is sealed with `master`.
    pub(super) fn sealed_with(mut self, master: &MasterKey) -> Result<Self, TokenStorageError> {
        self.check = Hex(*self.expected_check(master)?.expose());
        Ok(self)
    }

    /// Reads that of a store, if it has one.
    pub(super) fn read(directory: &Directory) -> Result<Option<Self>, TokenStorageError> {
        let Some(text) = directory.read(FILE, MOST)? else {
            return Ok(None);
        };
        Self::parse(text.expose(), &directory.file(FILE)).map(Some)
    }

    fn parse(text: &[u8], path: &Path) -> Result<Self, TokenStorageError> {
        #[derive(Deserialize)]
        struct Kind {
            format: String,
            version: u64,
        }
        let unreadable = |_| corrupt(path, "it does not say how the store is sealed");
        let Kind { format, version } = serde_json::from_slice(text).map_err(unreadable)?;
        if format != FORMAT || version == 0 {
            return Err(corrupt(path, "it does not say how the store is sealed"));
        }
        if version > VERSION {
            return Err(TokenStorageError::Newer {
                place: path.display().to_string(),
                version,
            });
        }
        let header: Self = serde_json::from_slice(text).map_err(unreadable)?;
        header
            .fault()
            .map_or(Ok(()), |why| Err(corrupt(path, why)))?;
        Ok(header)
    }

    fn fault(&self) -> Option<&'static str> {
        if (self.key == KeyKind::Keychain) != self.service.is_some() {
            return Some("it does not say where in which keychain its key is");
        }
        match (self.key, &self.kdf) {
            (KeyKind::Password, Some(kdf)) => kdf.fault(),
            (KeyKind::Password, None) => Some("it does not say how the password becomes the key"),
            (_, Some(_)) => Some("it derives a key from a password that there is not"),
            (_, None) => None,
        }
    }

    /// As it is written.
    pub(super) fn text(&self) -> Result<Vec<u8>, TokenStorageError> {
        let mut text = json(self)?;
        text.push(b'\n');
        Ok(text)
    }

    /// Whether this store is sealed with `master`.
    pub(super) fn is_sealed_with(&self, master: &MasterKey) -> Result<bool, TokenStorageError> {
        Ok(self.expected_check(master)? == Secret::new(self.check.0))
    }

    fn expected_check(
        &self,
        master: &MasterKey,
    ) -> Result<Secret<[u8; KEY_BYTES]>, TokenStorageError> {
        let Self {
            format,
            version,
            id,
            key,
            kdf,
            // Wherever the key was found, the check tells whether it is the right one.
            service: _,
            check: _,
        } = self;
        let parameters = json(&(format, version, id, key, kdf))?;
        master.check(&id.0, &parameters)
    }
}

/// Text of ours as JSON, in one line.
pub(super) fn json<T: Serialize>(value: &T) -> Result<Vec<u8>, TokenStorageError> {
    let failed = |source| TokenStorageError::Backend {
        name: "file",
        source: Arc::new(source),
    };
    serde_json::to_vec(value).map_err(failed)
}
