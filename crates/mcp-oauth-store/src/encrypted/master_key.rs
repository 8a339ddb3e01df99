//! The master key of a store: decrypted with the key from the source, or created with the store.

use mcp_oauth_support::Secret;

use super::{
    directory::{Directory, KEY_FILE, STORE_FILE, corrupt},
    header::{Parameters, StoreHeader, StoreId},
    key_wrapping::WrappingKey,
};
use crate::{
    error::{KeychainErrorKind, TokenStorageError},
    key::{KEY_BYTES, KeyKind, KeySource, MasterKey},
    keychain::Entry,
};

/// The ID and the master key of a store. Both stay the same for as long as the store exists.
pub(super) struct Opened {
    pub(super) id: StoreId,
    pub(super) master: MasterKey,
}

/// Checks that a store is encrypted with that kind of key.
pub(super) fn check_kind(
    directory: &Directory,
    header: &StoreHeader,
    source: &KeySource,
) -> Result<(), TokenStorageError> {
    let path = directory.path().to_owned();
    match header.parameters.key {
        kind if kind == source.kind() => Ok(()),
        KeyKind::Password => Err(TokenStorageError::PasswordNeeded(path)),
        _ => Err(TokenStorageError::OtherKey(path)),
    }
}

/// Fetches the key of an existing store. With a password this is slow, and fails if it is wrong.
pub(super) fn open(
    directory: &Directory,
    header: &StoreHeader,
    source: &KeySource,
) -> Result<Opened, TokenStorageError> {
    check_kind(directory, header, source)?;
    let parameters = &header.parameters;
    let key = match (source, &parameters.kdf) {
        (KeySource::Keychain { .. }, _) => in_keychain(directory, parameters)?,
        (KeySource::Password(password), Some(kdf)) => WrappingKey::derive(password, kdf),
        // `StoreHeader::read` refuses such a store.
        (KeySource::Password(_), None) => return Err(no_parameters(directory)),
        (KeySource::KeyFile, _) => {
            key_file(directory, parameters)?.ok_or_else(|| no_key_file(directory, parameters))?
        }
        (KeySource::Provided(key), _) => WrappingKey::new(key.clone()),
    };
    match header.open(&key)? {
        Some(master) => Ok(Opened {
            id: parameters.id,
            master,
        }),
        None => Err(wrong_key(directory, parameters, source)),
    }
}

/// Creates the keys and the store. Only for the holder of the write lock, so that processes that create
/// the store at the same time agree on one key. The wrapping key is stored before `store.json` uses it.
pub(super) fn create(
    directory: &Directory,
    source: &KeySource,
    has_records: bool,
) -> Result<Opened, TokenStorageError> {
    if has_records {
        // With a new key no existing record could be read.
        return Err(no_parameters(directory));
    }
    let parameters = Parameters::fresh(source)?;
    let (id, master) = (parameters.id, MasterKey::generate()?);
    let key = new_key(directory, &parameters, source)?;
    let header = parameters.wrap(&master, &key)?;
    // If this fails, an entry in the keychain is left that no store uses. It is not deleted: the
    // file may have been written all the same, and then it is the key of a store.
    directory.create(STORE_FILE, &header.text()?)?;
    Ok(Opened { id, master })
}

/// Returns the wrapping key of a new store, or of one that gets another key. It has been stored when this
/// returns.
pub(super) fn new_key(
    directory: &Directory,
    parameters: &Parameters,
    source: &KeySource,
) -> Result<WrappingKey, TokenStorageError> {
    match (source, &parameters.kdf) {
        (KeySource::Keychain { .. }, _) => into_keychain(directory, parameters),
        (KeySource::Password(password), Some(kdf)) => Ok(WrappingKey::derive(password, kdf)),
        // `Parameters::fresh` creates no such store.
        (KeySource::Password(_), None) => Err(no_parameters(directory)),
        // A process that was killed may have left one, which can be used.
        (KeySource::KeyFile, _) => key_file(directory, parameters)?
            .map_or_else(|| into_key_file(directory, parameters), Ok),
        (KeySource::Provided(key), _) => Ok(WrappingKey::new(key.clone())),
    }
}

/// Removes the key file or the keychain entry that no store uses any more. If that fails, a warning names
/// it: it still opens older copies of the store.
pub(super) fn remove_key(directory: &Directory, parameters: &Parameters) {
    match parameters.key {
        KeyKind::Keychain => {
            let entry = entry(parameters);
            if let Err(cause) = entry.delete() {
                let Entry { service, account } = entry;
                tracing::warn!(
                    "cannot remove the unused keychain entry `{account}` of the service \
                     `{service}`: {cause}"
                );
            }
        }
        KeyKind::KeyFile => {
            let name = key_file_name(parameters);
            if let Err(error) = directory.remove(&name) {
                let path = directory.file(&name);
                let path = path.display();
                tracing::warn!("cannot remove the unused key file {path}: {error}");
            }
        }
        KeyKind::Password | KeyKind::Provided => {}
    }
}

/// Returns the entry of a store in the keychain.
fn entry(parameters: &Parameters) -> Entry {
    let Parameters { id, change, .. } = parameters;
    Entry {
        // `Parameters` has it for each store with a key in the keychain.
        service: parameters.service.clone().unwrap_or_default(),
        account: change.map_or_else(|| id.to_string(), |change| format!("{id}-{change}")),
    }
}

/// Returns the name of the key file in the directory of the store. `store.json` cannot name a file
/// elsewhere.
fn key_file_name(parameters: &Parameters) -> String {
    parameters.change.map_or_else(
        || KEY_FILE.to_owned(),
        |change| format!("{KEY_FILE}-{change}"),
    )
}

fn in_keychain(
    directory: &Directory,
    parameters: &Parameters,
) -> Result<WrappingKey, TokenStorageError> {
    let entry = entry(parameters);
    let found = entry.read().and_then(|key| key.ok_or_else(|| entry.gone()));
    found
        .map(WrappingKey::new)
        .map_err(keychain_error(directory))
}

fn into_keychain(
    directory: &Directory,
    parameters: &Parameters,
) -> Result<WrappingKey, TokenStorageError> {
    let key = WrappingKey::generate()?;
    let written = entry(parameters).write(key.secret());
    written.map_err(keychain_error(directory))?;
    Ok(key)
}

fn keychain_error(directory: &Directory) -> impl FnOnce(KeychainErrorKind) -> TokenStorageError {
    let store = directory.path().to_owned();
    move |cause| TokenStorageError::Keychain { store, cause }
}

fn key_file(
    directory: &Directory,
    parameters: &Parameters,
) -> Result<Option<WrappingKey>, TokenStorageError> {
    let name = key_file_name(parameters);
    let most = u64::try_from(KEY_BYTES).unwrap_or(u64::MAX);
    let Some(bytes) = directory.read(&name, most)? else {
        return Ok(None);
    };
    let mut key = Secret::new([0; KEY_BYTES]);
    if bytes.expose().len() != KEY_BYTES {
        return Err(corrupt(&directory.file(&name), "a key has 32 bytes"));
    }
    key.expose_mut().copy_from_slice(bytes.expose());
    Ok(Some(WrappingKey::new(key)))
}

fn into_key_file(
    directory: &Directory,
    parameters: &Parameters,
) -> Result<WrappingKey, TokenStorageError> {
    let key = WrappingKey::generate()?;
    directory.create(&key_file_name(parameters), key.secret().expose())?;
    Ok(key)
}

fn wrong_key(
    directory: &Directory,
    parameters: &Parameters,
    source: &KeySource,
) -> TokenStorageError {
    let path = directory.path().to_owned();
    match source {
        KeySource::Keychain { .. } => keychain_error(directory)(entry(parameters).other_key()),
        KeySource::Password(_) => TokenStorageError::WrongPassword(path),
        KeySource::Provided(_) => TokenStorageError::OtherKey(path),
        KeySource::KeyFile => corrupt(
            &directory.file(&key_file_name(parameters)),
            "it is not the key that the store is encrypted with",
        ),
    }
}

fn no_key_file(directory: &Directory, parameters: &Parameters) -> TokenStorageError {
    corrupt(
        &directory.file(&key_file_name(parameters)),
        "it is missing, and the store cannot be decrypted without it",
    )
}

/// Returns the error of a store that has records, but no `store.json`.
pub(super) fn no_parameters(directory: &Directory) -> TokenStorageError {
    corrupt(
        &directory.file(STORE_FILE),
        "it is missing, and the records cannot be decrypted without it",
    )
}
