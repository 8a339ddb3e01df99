//! `store.json`: the ID of the store, and its master key, wrapped.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{
    directory::{Directory, STORE_FILE, corrupt},
    key_wrapping::{WrappedKey, WrappingKey},
};
use crate::{
    error::TokenStorageError,
    hex::Hex,
    key::{Kdf, KeyKind, KeySource, MasterKey, random},
};

const FORMAT: &str = "mcp-oauth token store";
const VERSION: u64 = 1;
/// The size of the largest file that is read.
const MOST: u64 = 16 * 1024;

/// The ID of a store. It is random, so that a record that was copied from another store is detected. A
/// store keeps its ID, and its master key, for as long as it exists.
pub(super) type StoreId = Hex<16>;

/// The content of the file. Nothing in it is secret.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct StoreHeader {
    #[serde(flatten)]
    pub(super) parameters: Parameters,
    /// The master key, which only the key of this store opens, and only with these parameters.
    wrapped: WrappedKey,
}

/// The ID of the store, and the source of the key that opens its master key.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Parameters {
    format: String,
    version: u64,
    pub(super) id: StoreId,
    pub(super) key: KeyKind,
    /// The key derivation, for a password.
    pub(super) kdf: Option<Kdf>,
    /// The service name of the key in the keychain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) service: Option<String>,
    /// A random number that changes with the key. It is in the names of the key file and of the keychain
    /// entry, so that a new key never overwrites one that is in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) change: Option<Hex<8>>,
}

impl Parameters {
    /// Returns the parameters of a new store with a key from `source`.
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
            change: None,
        })
    }

    /// Returns the parameters of the same store with a new key from `source`.
    pub(super) fn changed(&self, source: &KeySource) -> Result<Self, TokenStorageError> {
        Ok(Self {
            id: self.id,
            change: Some(Hex(random()?)),
            ..Self::fresh(source)?
        })
    }

    /// Returns the header of a store with this master key, wrapped with `key`.
    pub(super) fn wrap(
        self,
        master: &MasterKey,
        key: &WrappingKey,
    ) -> Result<StoreHeader, TokenStorageError> {
        let wrapped = key.wrap(master, &self.id.0, &json(&self)?)?;
        Ok(StoreHeader {
            parameters: self,
            wrapped,
        })
    }

    fn fault(&self) -> Option<&'static str> {
        if (self.key == KeyKind::Keychain) != self.service.is_some() {
            return Some("the service name of its keychain entry is missing, or must not be there");
        }
        match (self.key, &self.kdf) {
            (KeyKind::Password, Some(kdf)) => kdf.fault(),
            (KeyKind::Password, None) => Some("its key derivation is missing"),
            (_, Some(_)) => Some("it has a key derivation, but no password"),
            (_, None) => None,
        }
    }
}

impl StoreHeader {
    /// Reads the header of a store, if there is one.
    pub(super) fn read(directory: &Directory) -> Result<Option<Self>, TokenStorageError> {
        let Some(text) = directory.read(STORE_FILE, MOST)? else {
            return Ok(None);
        };
        Self::parse(text.expose(), &directory.file(STORE_FILE)).map(Some)
    }

    pub(super) fn parse(text: &[u8], path: &Path) -> Result<Self, TokenStorageError> {
        #[derive(Deserialize)]
        struct Kind {
            format: String,
            version: u64,
        }
        let unreadable = |_| corrupt(path, "it is not the header of a token store");
        let Kind { format, version } = serde_json::from_slice(text).map_err(unreadable)?;
        if format != FORMAT || version == 0 {
            return Err(corrupt(path, "it is not the header of a token store"));
        }
        if version > VERSION {
            return Err(TokenStorageError::UnsupportedVersion {
                location: path.display().to_string(),
                version,
            });
        }
        let header: Self = serde_json::from_slice(text).map_err(unreadable)?;
        // A forged number of iterations could cost minutes, so it is refused before any key is tried
        // (docs/hostile.md H146).
        let fault = header.parameters.fault().or(header.wrapped.fault());
        fault.map_or(Ok(header), |why| Err(corrupt(path, why)))
    }

    /// Returns the text of the file.
    pub(super) fn text(&self) -> Result<Vec<u8>, TokenStorageError> {
        let mut text = json(self)?;
        text.push(b'\n');
        Ok(text)
    }

    /// Returns the master key, or `None` if `key` is not the key of this store.
    pub(super) fn open(&self, key: &WrappingKey) -> Result<Option<MasterKey>, TokenStorageError> {
        let Self {
            parameters,
            wrapped,
        } = self;
        key.open(wrapped, &parameters.id.0, &json(parameters)?)
    }
}

/// Writes a value as JSON, in one line.
pub(super) fn json<T: Serialize>(value: &T) -> Result<Vec<u8>, TokenStorageError> {
    serde_json::to_vec(value).map_err(TokenStorageError::of_files)
}
