//! The file of one record: bytes in, values out.
//!
//! ```text
//! {"format":"mcp-oauth sealed record","version":1,"name":…,"revision":…,"store":…,"cipher":…,…}\n
//! <AES-256-GCM ciphertext and tag>
//! ```
//! The first line is plain, so that names can be listed without the key; its exact bytes are the
//! associated data of the cipher, so that neither the name nor the revision nor the store can be
//! changed without the key (H143). What follows is raw: an encoding would have several spellings
//! of the same bytes, and a changed file could pass for the one that was written.
//!
//! Each file has a key of its own, made of the master key and a fresh salt by HKDF-SHA256, so no
//! pair of key and nonce is ever used twice. What this cannot find is a whole file that was put
//! back from an older copy: it is genuine.

use std::io::{BufRead as _, BufReader, Read};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use serde::{Deserialize, Serialize};

use super::{
    header::{StoreId, json},
    master::Opened,
};
use crate::{
    error::TokenStorageError,
    secret::Secret,
    store::{
        Revision,
        hex::Hex,
        key::{KEY_BYTES, MasterKey, failed, random},
    },
};

const FORMAT: &str = "mcp-oauth sealed record";
const VERSION: u64 = 1;
const CIPHER: &str = "aes-256-gcm";
const NONCE_BYTES: usize = 12;

/// The longest first line.
pub(super) const MOST_HEADER: usize = 256 * 1024;
/// The largest file.
pub(super) const MOST_FILE: usize = 1024 * 1024;

/// The first line of the file.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct RecordHeader {
    format: String,
    version: u64,
    pub(super) name: String,
    revision: u64,
    store: StoreId,
    cipher: String,
    salt: Hex<KEY_BYTES>,
    nonce: Hex<NONCE_BYTES>,
}

/// Says why a file is no record of ours.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Damage {
    /// Holds what is wrong with it.
    Corrupt(&'static str),
    /// The version of the format.
    Newer(u64),
}

impl Damage {
    pub(super) fn at(self, place: String) -> TokenStorageError {
        match self {
            Self::Corrupt(why) => TokenStorageError::Corrupt { place, why },
            Self::Newer(version) => TokenStorageError::UnsupportedVersion { place, version },
        }
    }
}

impl RecordHeader {
    /// For a new content: with a fresh salt and nonce.
    pub(super) fn fresh(
        store: StoreId,
        name: &str,
        revision: Revision,
    ) -> Result<Self, TokenStorageError> {
        Ok(Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            name: name.to_owned(),
            revision: revision.number(),
            store,
            cipher: CIPHER.to_owned(),
            salt: Hex(random()?),
            nonce: Hex(random()?),
        })
    }

    pub(super) fn revision(&self) -> Revision {
        Revision::new(self.revision)
    }

    /// Reads the first line of a file, and no more than it can be.
    pub(super) fn read(file: impl Read) -> std::io::Result<Result<Self, Damage>> {
        let mut line = Vec::new();
        let most = u64::try_from(MOST_HEADER).unwrap_or(u64::MAX) + 1;
        // Most first lines have less than a kilobyte.
        BufReader::with_capacity(1024, file.take(most)).read_until(b'\n', &mut line)?;
        Ok(split(&line).and_then(|(header, _)| Self::parse(header)))
    }

    fn parse(line: &[u8]) -> Result<Self, Damage> {
        #[derive(Deserialize)]
        struct Kind {
            format: String,
            version: u64,
        }
        let unreadable = |_| Damage::Corrupt("its first line is none of ours");
        let Kind { format, version } = serde_json::from_slice(line).map_err(unreadable)?;
        if format != FORMAT || version == 0 {
            return Err(Damage::Corrupt("its first line is none of ours"));
        }
        if version > VERSION {
            return Err(Damage::Newer(version));
        }
        let header: Self = serde_json::from_slice(line).map_err(unreadable)?;
        if header.cipher == CIPHER {
            Ok(header)
        } else {
            Err(Damage::Corrupt(
                "it is sealed with a cipher that we do not know",
            ))
        }
    }

    /// Returns whether this is the record `name` of `store`: files may have changed places.
    fn belongs(&self, store: StoreId, name: &str) -> Result<(), Damage> {
        if self.name != name {
            return Err(Damage::Corrupt("it is the file of another record"));
        }
        if self.store != store {
            return Err(Damage::Corrupt("it is the file of another store"));
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

/// Returns the bytes of a file; none if they would be more than a file may have.
pub(super) fn seal(
    header: &RecordHeader,
    master: &MasterKey,
    content: &Secret<Vec<u8>>,
) -> Result<Option<Vec<u8>>, TokenStorageError> {
    let mut line = json(header)?;
    line.push(b'\n');
    let cipher = header.cipher(master)?;
    let size = line.len() + content.expose().len() + cipher.algorithm().tag_len();
    if line.len() > MOST_HEADER || size > MOST_FILE {
        return Ok(None);
    }
    // Room for all of it: a buffer that grows would leave a copy of the plain content behind.
    let mut file = Vec::with_capacity(size);
    file.extend_from_slice(&line);
    file.extend_from_slice(content.expose());
    let aad = Aad::from(&line[..line.len() - 1]);
    let sealed = cipher.seal_in_place_separate_tag(header.nonce(), aad, &mut file[line.len()..]);
    file.extend_from_slice(sealed.map_err(failed)?.as_ref());
    Ok(Some(file))
}

/// Returns what is in the file of the record `name`. Nothing of it is believed before the tag fits.
pub(super) fn unseal(
    file: &[u8],
    Opened { id, master }: &Opened,
    name: &str,
) -> Result<(Revision, Secret<Vec<u8>>), Damage> {
    let altered =
        Damage::Corrupt("it was changed since it was written, or sealed with another key");
    let (line, sealed) = split(file)?;
    let header = RecordHeader::parse(line)?;
    header.belongs(*id, name)?;
    let Ok(cipher) = header.cipher(master) else {
        return Err(altered);
    };
    let mut content = Secret::new(sealed.to_vec());
    let opened = cipher.open_in_place(header.nonce(), Aad::from(line), content.expose_mut());
    let Ok(size) = opened.map(|plain| plain.len()) else {
        return Err(altered);
    };
    content.expose_mut().truncate(size);
    Ok((header.revision(), content))
}

/// Returns the first line, without its end, and what follows.
fn split(file: &[u8]) -> Result<(&[u8], &[u8]), Damage> {
    let end = file
        .iter()
        .take(MOST_HEADER)
        .position(|byte| *byte == b'\n');
    let end = end.ok_or(Damage::Corrupt("it has no first line of ours"))?;
    Ok((&file[..end], &file[end + 1..]))
}
