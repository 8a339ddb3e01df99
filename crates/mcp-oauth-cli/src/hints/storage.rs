//! The hints for errors of the token store.

use std::path::Path;

use mcp_client_oauth::{
    Error, Remedy,
    error::{HttpErrorKind, TokenStorageError},
};
use mcp_oauth_store::{EncryptedFileStore, KeyKind, KeychainErrorKind};
use mcp_oauth_vault::VaultError;

use super::{general::general_hint, subject::Subject, typed::LOCAL_LOGOUT};
use crate::shell::quoted;

pub(super) fn hint(cause: &TokenStorageError, subject: &Subject) -> String {
    if let Some(cause) = VaultError::of(cause) {
        return vault(cause);
    }
    match cause {
        TokenStorageError::PasswordNeeded(_) | TokenStorageError::WrongPassword(_) => {
            "give the password in a file (--password-file FILE) or in MCP_OAUTH_PASSWORD".to_owned()
        }
        TokenStorageError::OtherKey(store) => other_key(store, subject),
        TokenStorageError::Keychain { store, cause } => keychain(store, cause, subject),
        TokenStorageError::Io { action, .. } if action.contains("Vault token") => {
            format!("{NEW_TOKEN}, or log in to Vault: vault login")
        }
        TokenStorageError::Io { action, .. } if action.contains("CA bundle") => {
            "export VAULT_CACERT=FILE, a PEM file that can be read".to_owned()
        }
        TokenStorageError::Corrupt { location, .. } => corrupt(Path::new(location), subject),
        TokenStorageError::UnsupportedVersion { .. } => "update mcp-oauth".to_owned(),
        TokenStorageError::Insecure { path, .. } => format!(
            "check its owner and its permissions: ls -ld {}",
            quoted(&path.display().to_string())
        ),
        // The store that was typed does not exist, so it is not repeated.
        TokenStorageError::UnknownBackend(_) => "to see the stores: mcp-oauth stores".to_owned(),
        TokenStorageError::NoDirectory => "choose a directory: --data-dir DIR".to_owned(),
        other => match Error::from(other.clone()).remedy() {
            Remedy::Retry => general_hint(Remedy::Retry, subject),
            _ => format!(
                "{}  (shows which store is used, and where)",
                subject.plain("stores")
            ),
        },
    }
}

/// Returns the hint for another key, by the kind of key that the store has: the error does not have it.
fn other_key(store: &Path, subject: &Subject) -> String {
    let migrate = |to| {
        subject
            .plain("migrate")
            .without_store()
            .with_value("--to", to)
    };
    let to_password = migrate("file").with_value("--password-file", "FILE");
    match EncryptedFileStore::key_kind(store) {
        Ok(Some(KeyKind::KeyFile)) => format!(
            "its key is in a file: leave out the password and `keychain`; or change its key: {}, or \
             {to_password}",
            migrate("keychain")
        ),
        Ok(Some(KeyKind::Keychain)) => format!(
            "its key is in the keychain: leave out the password and `file`; or change its key: {}, or \
             {to_password}",
            migrate("file")
        ),
        Ok(Some(KeyKind::Password)) => format!(
            "it has a password: leave out `keychain`; or change its key: {}",
            migrate("keychain")
        ),
        _ => {
            "it belongs to another application; choose another directory: --data-dir DIR".to_owned()
        }
    }
}

fn keychain(store: &Path, cause: &KeychainErrorKind, subject: &Subject) -> String {
    let directory = store.display().to_string();
    // Files that are encrypted with a key of the keychain are unreadable without it, and are not replaced.
    let exists = matches!(EncryptedFileStore::key_kind(store), Ok(Some(_)));
    let alternative = if exists {
        let other = format!("file:{directory}.files");
        let login = subject.login().with_value("--store", other);
        format!("or log in again, with another store: {login}")
    } else {
        let login = subject.login().with_value("--store", "file");
        format!("or keep the key in a file: {login}")
    };
    match cause {
        KeychainErrorKind::Absent(_) => format!("start a keychain, and try again; {alternative}"),
        KeychainErrorKind::Locked(_) => {
            format!("unlock the keychain, and try again; {alternative}")
        }
        KeychainErrorKind::Denied(_) => {
            format!("allow mcp-oauth to access the keychain, and try again; {alternative}")
        }
        KeychainErrorKind::EntryGone { .. } | KeychainErrorKind::OtherKey { .. } => format!(
            "restore the entry, or abandon the whole store: {}, and log in again",
            move_away(&directory)
        ),
        _ => format!(
            "{}  (checks the keychain again); {alternative}",
            subject.plain("stores")
        ),
    }
}

const NEW_TOKEN: &str = "export VAULT_TOKEN=…";
const NEW_ADDRESS: &str = "export VAULT_ADDR=https://HOST:8200, or --store vault:https://HOST:8200";

fn vault(cause: &VaultError) -> String {
    match cause {
        VaultError::Address(_) | VaultError::Malformed(_) | VaultError::Refused { .. } => {
            NEW_ADDRESS.to_owned()
        }
        VaultError::Path(_) => "--store vault:https://HOST:8200/MOUNT/PREFIX".to_owned(),
        VaultError::Unreachable(HttpErrorKind::Connect(_)) => {
            "check VAULT_ADDR and the network".to_owned()
        }
        VaultError::Unreachable(HttpErrorKind::Certificate(_)) => {
            "if an authority of your own network signed it: export VAULT_CACERT=FILE".to_owned()
        }
        VaultError::Sealed => "its operator must run: vault operator unseal".to_owned(),
        VaultError::Uninitialized => "its operator must run: vault operator init".to_owned(),
        VaultError::Redirect(_) => "export VAULT_ADDR= the address of the active node".to_owned(),
        VaultError::Denied { .. } | VaultError::Token(_) => format!(
            "{NEW_TOKEN} with a valid token and a policy that allows it; see: vault token lookup"
        ),
        VaultError::AppRole { .. } => {
            "export VAULT_ROLE_ID=… and VAULT_SECRET_ID=… of an existing role".to_owned()
        }
        VaultError::NoMount(mount) => format!(
            "vault secrets enable -path={} -version=2 kv; or use another mount: \
             --store vault:https://HOST:8200/MOUNT",
            quoted(mount.trim_end_matches('/'))
        ),
        VaultError::NotKv2 { .. } => {
            "use the mount of a KV version 2 engine: --store vault:https://HOST:8200/MOUNT"
                .to_owned()
        }
        _ => "try the same command again later".to_owned(),
    }
}

/// Returns the hint for a corrupt file. A record can be removed alone. Without the files that every record
/// depends on, none can be read; those are never deleted, because they may be restored from a copy.
fn corrupt(path: &Path, subject: &Subject) -> String {
    let of_all = path
        .file_name()
        .and_then(|name| name.to_str())
        .is_some_and(|name| name == "store.json" || name == "key" || name.starts_with("key-"));
    match path.parent() {
        Some(directory) if of_all => {
            let directory = directory.display().to_string();
            format!(
                "restore it from a copy, or abandon the whole store: {}, and log in again",
                move_away(&directory)
            )
        }
        _ => format!(
            "restore it from a copy, or remove it: {}, and log in again",
            subject.command(LOCAL_LOGOUT)
        ),
    }
}

/// Returns the command that moves a store away: it is never deleted, because its key may be restored.
fn move_away(directory: &str) -> String {
    format!(
        "mv {} {}",
        quoted(directory),
        quoted(&format!("{directory}.corrupt"))
    )
}

#[cfg(test)]
mod tests {
    use mcp_client_oauth::error::UntrustedText;

    use super::*;
    use crate::error::Failure;

    #[test]
    fn the_hint_for_a_corrupt_store_does_not_remove_one_record() {
        let hint = |path: &str| {
            let (path, why) = (path.to_owned(), "it was changed");
            Failure::from(TokenStorageError::Corrupt {
                location: path,
                why,
            })
            .render(Some(&Subject::named("notes")))
            .hint
            .unwrap()
        };
        for file in ["store.json", "key", "key-0f3a"] {
            let hint = hint(&format!("/a b/tokens/{file}"));
            assert!(
                hint.contains("mv '/a b/tokens' '/a b/tokens.corrupt'"),
                "{hint}"
            );
            assert!(!hint.contains("logout"), "{hint}");
        }
        assert!(hint("/a/tokens/x.enc").contains("mcp-oauth logout --local notes"));
    }

    #[test]
    fn the_hint_for_a_missing_keychain_entry_is_not_a_login() {
        let path = Path::new("/nowhere/tokens");
        let gone = KeychainErrorKind::EntryGone {
            service: "s".to_owned(),
            account: "a".to_owned(),
        };
        let hint = |cause| keychain(path, &cause, &Subject::named("notes"));
        assert!(hint(gone).contains("mv /nowhere/tokens /nowhere/tokens.corrupt"));
        for cause in [
            KeychainErrorKind::Absent(UntrustedText::new("why")),
            KeychainErrorKind::Locked(UntrustedText::new("why")),
            KeychainErrorKind::Denied(UntrustedText::new("why")),
            KeychainErrorKind::Failed(UntrustedText::new("why")),
        ] {
            let hint = hint(cause);
            assert!(
                hint.contains("mcp-oauth login notes --store file"),
                "{hint}"
            );
        }
    }
}
