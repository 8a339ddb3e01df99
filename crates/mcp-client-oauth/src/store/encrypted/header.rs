//! `store.json`: which store this is, and its master key, wrapped.

use std::{path::Path, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    directory::{Directory, STORE_FILE, corrupt},
    wrapping::{WrappedKey, WrappingKey},
};
use crate::{
    error::TokenStorageError,
    store::{
        hex::Hex,
        key::{Kdf, KeyKind, KeySource, MasterKey, random},
    },
};

const FORMAT: &str = "mcp-oauth token store";
const VERSION: u64 = 1;
/// The largest that is read.
const MOST: u64 = 16 * 1024;

/// Says which store this is: random, so that a record that is moved here from another store is found
/// out. A store keeps it, and its master key with it, for as long as it exists.
pub(super) type StoreId = Hex<16>;

/// The file. Nothing in it is secret.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct StoreHeader {
    #[serde(flatten)]
    pub(super) parameters: Parameters,
    /// Holds what only the key of this store opens, and only under these parameters (H145).
    wrapped: WrappedKey,
}

/// Says which store this is, and where the key is that opens its master key.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Parameters {
    format: String,
    version: u64,
    pub(super) id: StoreId,
    pub(super) key: KeyKind,
    /// Says how a password becomes the key.
    pub(super) kdf: Option<Kdf>,
    /// Holds what the key is filed under in the keychain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) service: Option<String>,
    /// Random, and another one after each change of the key: the key file and the entry in the
    /// keychain are called after it, so that none is written over one that is in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) change: Option<Hex<8>>,
}

impl Parameters {
    /// Of a new store whose key comes from `source`.
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

    /// Of the same store with a key from `source`.
    pub(super) fn changed(&self, source: &KeySource) -> Result<Self, TokenStorageError> {
        Ok(Self {
            id: self.id,
            change: Some(Hex(random()?)),
            ..Self::fresh(source)?
        })
    }

    /// Returns the file of a store with this master key.
    pub(super) fn seal(
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
            return Some("it does not say where in which keychain its key is");
        }
        match (self.key, &self.kdf) {
            (KeyKind::Password, Some(kdf)) => kdf.fault(),
            (KeyKind::Password, None) => Some("it does not say how the password becomes the key"),
            (_, Some(_)) => Some("it derives a key from a password that there is not"),
            (_, None) => None,
        }
    }
}

impl StoreHeader {
    /// Reads that of a store, if it has one.
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
        let unreadable = |_| corrupt(path, "it does not say how the store is sealed");
        let Kind { format, version } = serde_json::from_slice(text).map_err(unreadable)?;
        if format != FORMAT || version == 0 {
            return Err(corrupt(path, "it does not say how the store is sealed"));
        }
        if version > VERSION {
            return Err(TokenStorageError::UnsupportedVersion {
                place: path.display().to_string(),
                version,
            });
        }
        let header: Self = serde_json::from_slice(text).map_err(unreadable)?;
        // What would cost time or lead astray is refused before any key is tried (H146).
        let fault = header.parameters.fault().or(header.wrapped.fault());
        fault.map_or(Ok(header), |why| Err(corrupt(path, why)))
    }

    /// As it is written.
    pub(super) fn text(&self) -> Result<Vec<u8>, TokenStorageError> {
        let mut text = json(self)?;
        text.push(b'\n');
        Ok(text)
    }

    /// Returns the master key; none if `key` is not the key of this store.
    pub(super) fn open(&self, key: &WrappingKey) -> Result<Option<MasterKey>, TokenStorageError> {
        let Self {
            parameters,
            wrapped,
        } = self;
        key.open(wrapped, &parameters.id.0, &json(parameters)?)
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
