//! What to do about a token store that fails.

use std::path::Path;

use mcp_client_oauth::{
    Error, Remedy,
    error::{HttpErrorKind, KeychainErrorKind, TokenStorageError, VaultErrorKind},
    store::{EncryptedFileStore, KeyKind},
};

use super::{general::general_hint, subject::Subject};
use crate::shell::quoted;

pub(super) fn hint(cause: &TokenStorageError, subject: &Subject) -> String {
    match cause {
        TokenStorageError::PasswordNeeded(_) | TokenStorageError::WrongPassword(_) => {
            "give the password in a file (--password-file FILE) or in MCP_OAUTH_PASSWORD".to_owned()
        }
        TokenStorageError::OtherKey(store) => other_key(store, subject),
        TokenStorageError::Keychain { store, cause } => keychain(store, cause, subject),
        TokenStorageError::Vault { cause, .. } => vault(cause),
        TokenStorageError::Io { action, .. } if action.contains("Vault token") => {
            format!("{NEW_TOKEN}, or log in there: vault login")
        }
        TokenStorageError::Io { action, .. } if action.contains("CA bundle") => {
            "export VAULT_CACERT=FILE, a PEM file that can be read".to_owned()
        }
        TokenStorageError::Corrupt { place, .. } => corrupt(Path::new(place), subject),
        TokenStorageError::UnsupportedVersion { .. } => "update mcp-oauth".to_owned(),
        TokenStorageError::Insecure { path, .. } => format!(
            "see who owns it and who may write there: ls -ld {}",
            quoted(&path.display().to_string())
        ),
        // The name that was typed is no kind of store, so it is not repeated.
        TokenStorageError::UnknownBackend(_) => "mcp-oauth backends".to_owned(),
        TokenStorageError::NoDirectory => "choose a place: --data-dir DIR".to_owned(),
        other => match Error::from(other.clone()).remedy() {
            Remedy::Retry => general_hint(Remedy::Retry, subject),
            _ => format!(
                "{}  (shows which store is used, and where)",
                subject.plain("backends")
            ),
        },
    }
}

/// By the key that the store has: the error knows only that it is another one.
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
            "its key is in a file: leave out the password and `keychain`; or give it another key: \
             {}, or {to_password}",
            migrate("keychain")
        ),
        Ok(Some(KeyKind::Keychain)) => format!(
            "its key is in the keychain: leave out the password and `file`; or give it another \
             key: {}, or {to_password}",
            migrate("file")
        ),
        Ok(Some(KeyKind::Password)) => format!(
            "it has a password: leave out `keychain`; or give it another key: {}",
            migrate("keychain")
        ),
        _ => {
            "it belongs to another application; choose another directory: --data-dir DIR".to_owned()
        }
    }
}

fn keychain(store: &Path, cause: &KeychainErrorKind, subject: &Subject) -> String {
    let directory = store.display().to_string();
    // What is sealed with a key in the keychain cannot be had without it, and is not given up.
    let exists = matches!(EncryptedFileStore::key_kind(store), Ok(Some(_)));
    let otherwise = if exists {
        let other = format!("file:{directory}.files");
        let login = subject.login().with_value("--store", other);
        format!("or log in again with another store: {login}")
    } else {
        let login = subject.login().with_value("--store", "file");
        format!("or keep the key in a file: {login}")
    };
    match cause {
        KeychainErrorKind::Absent(_) => format!("start a keychain, and try again; {otherwise}"),
        KeychainErrorKind::Locked(_) => format!("unlock the keychain, and try again; {otherwise}"),
        KeychainErrorKind::Denied(_) => {
            format!("allow it to mcp-oauth, and try again; {otherwise}")
        }
        KeychainErrorKind::EntryGone { .. } | KeychainErrorKind::OtherKey { .. } => format!(
            "restore the entry, or give the whole store up: {}, and log in again",
            give_up(&directory)
        ),
        _ => format!(
            "{}  (asks the keychain again); {otherwise}",
            subject.plain("backends")
        ),
    }
}

const NEW_TOKEN: &str = "export VAULT_TOKEN=…";
const NEW_ADDRESS: &str = "export VAULT_ADDR=https://HOST:8200, or --store vault:https://HOST:8200";

fn vault(cause: &VaultErrorKind) -> String {
    match cause {
        VaultErrorKind::Address(_)
        | VaultErrorKind::Malformed(_)
        | VaultErrorKind::Refused { .. } => NEW_ADDRESS.to_owned(),
        VaultErrorKind::Path(_) => "--store vault:https://HOST:8200/MOUNT/PREFIX".to_owned(),
        VaultErrorKind::Unreachable(HttpErrorKind::Connect(_)) => {
            "check VAULT_ADDR and the network".to_owned()
        }
        VaultErrorKind::Unreachable(HttpErrorKind::Certificate(_)) => {
            "if its certificate is of an authority of your own: export VAULT_CACERT=FILE".to_owned()
        }
        VaultErrorKind::Sealed => "whoever runs it must: vault operator unseal".to_owned(),
        VaultErrorKind::Uninitialized => "whoever runs it must: vault operator init".to_owned(),
        VaultErrorKind::Redirect(_) => {
            "export VAULT_ADDR= the address of the active node".to_owned()
        }
        VaultErrorKind::Denied { .. } | VaultErrorKind::Token(_) => format!(
            "{NEW_TOKEN} of one that is valid, with a policy that allows it; see: vault token lookup"
        ),
        VaultErrorKind::AppRole { .. } => {
            "export VAULT_ROLE_ID=… and VAULT_SECRET_ID=… of a role that is there".to_owned()
        }
        VaultErrorKind::NoMount(mount) => format!(
            "vault secrets enable -path={} -version=2 kv; or name another: \
             --store vault:https://HOST:8200/MOUNT",
            quoted(mount.trim_end_matches('/'))
        ),
        VaultErrorKind::NotKv2 { .. } => {
            "name the mount of a KV version 2 engine: --store vault:https://HOST:8200/MOUNT"
                .to_owned()
        }
        _ => "try the same command again later".to_owned(),
    }
}

/// Returns a record can be given up alone. Without the files that every record depends on none of them
/// opens; they are never deleted by us, because a copy may come back.
fn corrupt(place: &Path, subject: &Subject) -> String {
    let of_all = place
        .file_name()
        .and_then(|name| name.to_str())
        .is_some_and(|name| name == "store.json" || name == "key" || name.starts_with("key-"));
    match place.parent() {
        Some(directory) if of_all => {
            let directory = directory.display().to_string();
            format!(
                "restore it from a copy, or give the whole store up: {}, and log in again",
                give_up(&directory)
            )
        }
        _ => format!(
            "restore it from a copy, or give it up: {}, and log in again",
            subject.command("clear")
        ),
    }
}

/// Moves a store out of the way: it is never deleted by us, because a key may come back.
fn give_up(directory: &str) -> String {
    format!(
        "mv {} {}",
        quoted(directory),
        quoted(&format!("{directory}.damaged"))
    )
}

#[cfg(test)]
mod tests {
    use mcp_client_oauth::proto::untrusted_text::UntrustedText;

    use super::*;
    use crate::error::Failure;

    #[test]
    fn damage_of_the_whole_store_is_not_mended_by_clearing_one_record() {
        let hint = |place: &str| {
            let (place, why) = (place.to_owned(), "it was changed");
            Failure::from(TokenStorageError::Corrupt { place, why })
                .told(Some(&Subject::named("notes")))
                .hint
                .unwrap()
        };
        for file in ["store.json", "key", "key-0f3a"] {
            let hint = hint(&format!("/a b/tokens/{file}"));
            assert!(
                hint.contains("mv '/a b/tokens' '/a b/tokens.damaged'"),
                "{hint}"
            );
            assert!(!hint.contains("clear"), "{hint}");
        }
        assert!(hint("/a/tokens/x.sealed").contains("mcp-oauth clear notes"));
    }

    #[test]
    fn a_key_that_is_gone_is_not_replaced_by_a_login() {
        let place = Path::new("/nowhere/tokens");
        let gone = KeychainErrorKind::EntryGone {
            service: "s".to_owned(),
            account: "a".to_owned(),
        };
        let hint = |cause| keychain(place, &cause, &Subject::named("notes"));
        assert!(hint(gone).contains("mv /nowhere/tokens /nowhere/tokens.damaged"));
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
