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
    store::key::{KEY_BYTES, Kdf, KeyKind, MasterKey, random},
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
    /// What only the key of this store says about all of the above (H145).
    check: Hex<KEY_BYTES>,
}

impl StoreHeader {
    /// For a new store, sealed with `master`.
    pub(super) fn fresh(
        key: KeyKind,
        kdf: Option<Kdf>,
        master: &MasterKey,
    ) -> Result<Self, TokenStorageError> {
        let (format, id) = (FORMAT.to_owned(), Hex(random()?));
        let mut header = Self {
            format,
            version: VERSION,
            id,
            key,
            kdf,
            check: Hex([0; KEY_BYTES]),
        };
        header.check = Hex(*header.expected_check(master)?.expose());
        Ok(header)
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
