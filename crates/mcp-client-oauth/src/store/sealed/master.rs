//! The master key of a store: fetched from where it is, or made with the store.

use super::{
    directory::{Directory, corrupt},
    header::{self, StoreHeader},
};
use crate::{
    error::TokenStorageError,
    secret::Secret,
    store::key::{KEY_BYTES, Kdf, KeyKind, KeySource, MasterKey},
};

/// The name of the key file in the directory of the store.
const KEY_FILE: &str = "key";

/// A store and its key, which fit each other.
pub(super) struct Opened {
    pub(super) header: StoreHeader,
    pub(super) master: MasterKey,
}

/// Whether a store is sealed with that kind of key.
pub(super) fn check_kind(
    directory: &Directory,
    header: &StoreHeader,
    source: &KeySource,
) -> Result<(), TokenStorageError> {
    let path = directory.path().to_owned();
    match header.key {
        kind if kind == source.kind() => Ok(()),
        KeyKind::Password => Err(TokenStorageError::PasswordNeeded(path)),
        _ => Err(TokenStorageError::OtherKey(path)),
    }
}

/// Fetches the key of an existing store. With a password this is slow, and tells a wrong one.
pub(super) fn open(
    directory: &Directory,
    header: StoreHeader,
    source: &KeySource,
) -> Result<Opened, TokenStorageError> {
    check_kind(directory, &header, source)?;
    let master = match (source, &header.kdf) {
        (KeySource::Password(password), Some(kdf)) => MasterKey::derive(password, kdf),
        // `StoreHeader::read` lets no such store through.
        (KeySource::Password(_), None) => return Err(no_parameters(directory)),
        (KeySource::KeyFile, _) => key_file(directory)?.ok_or_else(|| no_key_file(directory))?,
        (KeySource::Given(key), _) => MasterKey::new(key.clone()),
    };
    if header.is_sealed_with(&master)? {
        return Ok(Opened { header, master });
    }
    Err(wrong_key(directory, source))
}

/// Makes the key and the store. Only for the holder of the write lock, so that many first writers
/// agree (H147). The key is on the disk before anything says that it is used.
pub(super) fn create(
    directory: &Directory,
    source: &KeySource,
    has_records: bool,
) -> Result<Opened, TokenStorageError> {
    if has_records {
        // A new key would put an end to every record that is there (H144).
        return Err(no_parameters(directory));
    }
    let (master, kdf) = match source {
        KeySource::Password(password) => {
            let kdf = Kdf::fresh()?;
            (MasterKey::derive(password, &kdf), Some(kdf))
        }
        KeySource::KeyFile => (
            key_file(directory)?.map_or_else(|| new_key(directory), Ok)?,
            None,
        ),
        KeySource::Given(key) => (MasterKey::new(key.clone()), None),
    };
    let header = StoreHeader::fresh(source.kind(), kdf, &master)?;
    directory.create(header::FILE, &header.text()?)?;
    Ok(Opened { header, master })
}

fn key_file(directory: &Directory) -> Result<Option<MasterKey>, TokenStorageError> {
    let most = u64::try_from(KEY_BYTES).unwrap_or(u64::MAX);
    let Some(bytes) = directory.read(KEY_FILE, most)? else {
        return Ok(None);
    };
    let mut key = Secret::new([0; KEY_BYTES]);
    if bytes.expose().len() != KEY_BYTES {
        return Err(corrupt(&directory.file(KEY_FILE), "a key has 32 bytes"));
    }
    key.expose_mut().copy_from_slice(bytes.expose());
    Ok(Some(MasterKey::new(key)))
}

fn new_key(directory: &Directory) -> Result<MasterKey, TokenStorageError> {
    let master = MasterKey::generate()?;
    directory.create(KEY_FILE, master.expose())?;
    Ok(master)
}

fn wrong_key(directory: &Directory, source: &KeySource) -> TokenStorageError {
    let path = directory.path().to_owned();
    match source {
        KeySource::Password(_) => TokenStorageError::WrongPassword(path),
        KeySource::Given(_) => TokenStorageError::OtherKey(path),
        KeySource::KeyFile => corrupt(
            &directory.file(KEY_FILE),
            "it is not the key that the store is sealed with",
        ),
    }
}

fn no_key_file(directory: &Directory) -> TokenStorageError {
    corrupt(
        &directory.file(KEY_FILE),
        "it is gone, and nothing in the store opens without it",
    )
}

/// The file that says how the store is sealed is gone, but its records are there.
pub(super) fn no_parameters(directory: &Directory) -> TokenStorageError {
    corrupt(
        &directory.file(header::FILE),
        "it is gone, and the records do not open without it",
    )
}
