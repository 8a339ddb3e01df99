//! The file of one record: its format, and its encryption.
//!
//! ```text
//! {"format":"mcp-oauth sealed record","version":1,"name":…,"revision":…,"store":…,"cipher":…,…}\n
//! <AES-256-GCM ciphertext and tag>
//! ```
//! The first line is plaintext, so that names can be listed without the key; its exact bytes are the
//! associated data of the cipher, so that neither the name nor the revision nor the expiry nor the store can
//! be changed without the key (docs/hostile.md H143). The ciphertext is not encoded: an encoding would have
//! several spellings of the same bytes, and a changed file could be accepted.
//!
//! Each file has its own key, derived from the master key and a fresh salt by HKDF-SHA256, so no pair of
//! key and nonce is ever used twice. A whole file that was restored from an older copy is not detected:
//! it is genuine.

use std::io::{BufRead as _, BufReader, Read};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use mcp_oauth_support::Secret;
use serde::{Deserialize, Serialize};

use super::{
    header::{StoreId, json},
    master_key::Opened,
};
use crate::{
    Revision,
    error::TokenStorageError,
    expiry::Expiry,
    hex::Hex,
    key::{KEY_BYTES, MasterKey, failed, random},
};

const FORMAT: &str = "mcp-oauth sealed record";
const VERSION: u64 = 1;
const CIPHER: &str = "aes-256-gcm";
const NONCE_BYTES: usize = 12;

/// The longest first line.
pub(super) const MAX_HEADER: usize = 256 * 1024;
/// The largest file.
pub(super) const MAX_FILE: usize = 1024 * 1024;

/// The first line of the file.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct RecordHeader {
    format: String,
    version: u64,
    pub(super) name: String,
    revision: u64,
    /// The expiry, in milliseconds since 1970. Earlier versions ignore it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires: Option<u64>,
    store: StoreId,
    cipher: String,
    salt: Hex<KEY_BYTES>,
    nonce: Hex<NONCE_BYTES>,
}

/// The reason why a file cannot be used as a record.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum RecordError {
    /// It is corrupt, with the reason.
    Corrupt(&'static str),
    /// It has this version of the format.
    UnsupportedVersion(u64),
}

impl RecordError {
    pub(super) fn at(self, location: String) -> TokenStorageError {
        match self {
            Self::Corrupt(why) => TokenStorageError::Corrupt { location, why },
            Self::UnsupportedVersion(version) => {
                TokenStorageError::UnsupportedVersion { location, version }
            }
        }
    }
}

impl RecordHeader {
    /// Returns the header of a new content, with a fresh salt and nonce.
    pub(super) fn fresh(
        store: StoreId,
        name: &str,
        revision: Revision,
        expiry: Expiry,
    ) -> Result<Self, TokenStorageError> {
        Ok(Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            name: name.to_owned(),
            revision: revision.number(),
            expires: expiry.as_millis(),
            store,
            cipher: CIPHER.to_owned(),
            salt: Hex(random()?),
            nonce: Hex(random()?),
        })
    }

    pub(super) fn revision(&self) -> Revision {
        Revision::new(self.revision)
    }

    pub(super) fn expiry(&self) -> Expiry {
        Expiry::from_millis(self.expires)
    }

    /// Reads the first line of a file, up to its maximum length.
    pub(super) fn read(file: impl Read) -> std::io::Result<Result<Self, RecordError>> {
        let mut line = Vec::new();
        let most = u64::try_from(MAX_HEADER).unwrap_or(u64::MAX) + 1;
        // Most first lines have less than a kilobyte.
        BufReader::with_capacity(1024, file.take(most)).read_until(b'\n', &mut line)?;
        Ok(split(&line).and_then(|(header, _)| Self::parse(header)))
    }

    fn parse(line: &[u8]) -> Result<Self, RecordError> {
        #[derive(Deserialize)]
        struct Kind {
            format: String,
            version: u64,
        }
        let unreadable = |_| RecordError::Corrupt("its first line is not that of a record");
        let Kind { format, version } = serde_json::from_slice(line).map_err(unreadable)?;
        if format != FORMAT || version == 0 {
            return Err(RecordError::Corrupt(
                "its first line is not that of a record",
            ));
        }
        if version > VERSION {
            return Err(RecordError::UnsupportedVersion(version));
        }
        let header: Self = serde_json::from_slice(line).map_err(unreadable)?;
        if header.cipher == CIPHER {
            Ok(header)
        } else {
            Err(RecordError::Corrupt(
                "it is encrypted with an unsupported cipher",
            ))
        }
    }

    /// Checks that this is the record `name` of `store`: files may have been swapped or copied.
    fn check_identity(&self, store: StoreId, name: &str) -> Result<(), RecordError> {
        if self.name != name {
            return Err(RecordError::Corrupt("it is the file of another record"));
        }
        if self.store != store {
            return Err(RecordError::Corrupt("it is the file of another store"));
        }
        Ok(())
    }

    fn cipher(&self, master: &MasterKey) -> Result<LessSafeKey, TokenStorageError> {
        let key = master.subkey(&self.salt.0, FORMAT)?;
        UnboundKey::new(&AES_256_GCM, key.expose())
            .map(LessSafeKey::new)
            .map_err(failed)
    }

    fn nonce(&self) -> Nonce {
        Nonce::assume_unique_for_key(self.nonce.0)
    }
}

/// Returns the bytes of a file, or `None` if it would be too large.
pub(super) fn encrypt(
    header: &RecordHeader,
    master: &MasterKey,
    content: &Secret<Vec<u8>>,
) -> Result<Option<Vec<u8>>, TokenStorageError> {
    let mut line = json(header)?;
    line.push(b'\n');
    let cipher = header.cipher(master)?;
    let size = line.len() + content.expose().len() + cipher.algorithm().tag_len();
    if line.len() > MAX_HEADER || size > MAX_FILE {
        return Ok(None);
    }
    // The buffer never grows, which would leave a copy of the plaintext in memory.
    let mut file = Vec::with_capacity(size);
    file.extend_from_slice(&line);
    file.extend_from_slice(content.expose());
    let aad = Aad::from(&line[..line.len() - 1]);
    let tag = cipher.seal_in_place_separate_tag(header.nonce(), aad, &mut file[line.len()..]);
    file.extend_from_slice(tag.map_err(failed)?.as_ref());
    Ok(Some(file))
}

/// Returns the first line and the content in the file of the record `name`. Both are authenticated.
pub(super) fn decrypt(
    file: &[u8],
    Opened { id, master }: &Opened,
    name: &str,
) -> Result<(RecordHeader, Secret<Vec<u8>>), RecordError> {
    let altered = RecordError::Corrupt(
        "it was changed since it was written, or is encrypted with another key",
    );
    let (line, ciphertext) = split(file)?;
    let header = RecordHeader::parse(line)?;
    header.check_identity(*id, name)?;
    let Ok(cipher) = header.cipher(master) else {
        return Err(altered);
    };
    let mut content = Secret::new(ciphertext.to_vec());
    let opened = cipher.open_in_place(header.nonce(), Aad::from(line), content.expose_mut());
    let Ok(size) = opened.map(|plain| plain.len()) else {
        return Err(altered);
    };
    content.expose_mut().truncate(size);
    Ok((header, content))
}

/// Returns the first line, without its end, and the rest of the file.
fn split(file: &[u8]) -> Result<(&[u8], &[u8]), RecordError> {
    let end = file.iter().take(MAX_HEADER).position(|byte| *byte == b'\n');
    let end = end.ok_or(RecordError::Corrupt(
        "its first line is missing or too long",
    ))?;
    Ok((&file[..end], &file[end + 1..]))
}
