//! `stores`: the kinds of store, whether each is available here, and the location of the one that is used.

use std::time::Duration;

use mcp_client_oauth::{Error, TokenStore};
use mcp_oauth_store::{EncryptedFileStore, KeyKind, KeychainErrorKind, key_kinds};
use serde::Serialize;
use serde_json::json;

use crate::{
    config::{Config, Password},
    context::Context,
    error::{Exit, Failure},
    store,
    store_spec::{Key, StoreLocation},
    ui::{BAD, GOOD, SOFT, WARN, fields},
};

/// The longest time that a Vault may take to respond.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The kinds of store, the best first, each with its description. The keychain only holds the key of encrypted
/// files, but the user selects it like any other kind. `auto` selects one of these, and is none itself.
const KINDS: [(&str, &str); 4] = [
    (
        "keychain",
        "files on this machine, encrypted with a key in the keychain of the system",
    ),
    (
        "file",
        "files on this machine, encrypted with a password or a key file (AES-256-GCM)",
    ),
    ("memory", "in memory only, until the command ends"),
    (
        "vault",
        "HashiCorp Vault or OpenBao, shared by several machines",
    ),
];

/// A kind of store.
#[derive(Serialize)]
struct Kind {
    name: &'static str,
    about: &'static str,
    /// Says whether the store can be used here now.
    available: bool,
    /// The reason why it is not available.
    problem: Option<String>,
}

/// The store that is used.
#[derive(Default)]
struct Used {
    /// The name of its kind.
    kind: &'static str,
    /// The key that its files are encrypted with, or will be.
    encryption: Option<String>,
    /// The reason why it cannot be used.
    problem: Option<String>,
}

/// Lists the stores. It creates nothing, and does not prompt for a password.
pub(super) async fn run(context: &Context) -> Exit {
    let config = &context.config;
    let keychain = keychain().await;
    let used = used(context, &keychain).await;
    let mut kinds = Vec::new();
    for (name, about) in KINDS {
        let problem = match name {
            "keychain" => keychain.as_ref().err().map(ToString::to_string),
            "vault" => vault_problem(context, &used).await,
            _ => None,
        };
        kinds.push(Kind {
            name,
            about,
            available: problem.is_none(),
            problem,
        });
    }
    let directory = match &config.store {
        StoreLocation::Files { directory, .. } => {
            directory.as_ref().map(|own| own.display().to_string())
        }
        StoreLocation::Vault(_) | StoreLocation::Other(_) => None,
    };
    let names = config.names_file().ok();
    let names = names.map(|file| file.display().to_string());
    let document = json!({
        "stores": kinds,
        "selected": used.kind,
        "reason": config.store_reason,
        "directory": directory,
        "encryption": used.encryption,
        "problem": used.problem,
        "names": names,
    });
    context.ui.result(&document, || {
        let mut lines: Vec<String> = kinds.iter().map(|kind| line(kind, used.kind)).collect();
        let mut rows = vec![(
            "selected",
            format!("{} ({})", used.kind, config.store_reason),
        )];
        rows.extend(directory.map(|path| ("directory", path)));
        rows.extend(used.encryption.map(|text| ("encryption", text)));
        let red = |problem| format!("{BAD}{problem}{BAD:#}");
        rows.extend(used.problem.map(|problem| ("problem", red(problem))));
        rows.extend(names.map(|names| ("names", names)));
        lines.extend([String::new(), fields(&rows)]);
        lines.join("\n")
    });
    Exit::Done
}

fn line(kind: &Kind, used: &str) -> String {
    let mark = if kind.name == used {
        format!("{GOOD}*{GOOD:#}")
    } else {
        " ".to_owned()
    };
    let name = kind.name;
    let problem = kind.problem.as_ref();
    let problem =
        problem.map(|reason| format!("\n            {WARN}not available:{WARN:#} {reason}"));
    let about = kind.about;
    format!(
        "{mark} {name:10}{SOFT}{about}{SOFT:#}{}",
        problem.unwrap_or_default()
    )
}

async fn keychain() -> Result<(), KeychainErrorKind> {
    let kinds = key_kinds().await.into_iter();
    let mut found = kinds.filter(|(kind, _)| *kind == KeyKind::Keychain);
    found.next().map_or(Ok(()), |(_, known)| known)
}

/// Returns the store that is used, and its problem if it has one. A corrupt store is a problem too, and no
/// failure of this command.
async fn used(context: &Context, keychain: &Result<(), KeychainErrorKind>) -> Used {
    let config = &context.config;
    match &config.store {
        StoreLocation::Files { key, .. } => encrypted_files(config, *key, keychain),
        StoreLocation::Vault(_) => Used {
            kind: "vault",
            problem: check_vault(context, &config.store).await,
            ..Used::default()
        },
        StoreLocation::Other(spec) => {
            let name = spec.split(':').next().unwrap_or_default();
            let known = KINDS.iter().find(|(known, _)| *known == name);
            let opened = store::open_other(&config.store, &config.vault);
            Used {
                kind: known.map_or("unknown", |(known, _)| known),
                problem: opened.err().map(message_of),
                ..Used::default()
            }
        }
    }
}

/// Returns the encrypted files of the store, with their encryption.
fn encrypted_files(config: &Config, key: Key, keychain: &Result<(), KeychainErrorKind>) -> Used {
    let location = &config.store;
    let StoreLocation::Files {
        directory: Some(directory),
        ..
    } = location
    else {
        let opened = store::open_other(location, &config.vault);
        let problem = opened.err().map(message_of);
        return Used {
            kind: kind_of(None, key),
            problem,
            ..Used::default()
        };
    };
    match EncryptedFileStore::key_kind(directory) {
        Err(error) => Used {
            kind: kind_of(None, key),
            problem: Some(error.to_string()),
            encryption: None,
        },
        Ok(Some(kind)) => Used {
            kind: kind_of(Some(kind), key),
            encryption: Some(match kind {
                KeyKind::KeyFile => format!("with a {kind}: {}", directory.join("key").display()),
                KeyKind::Keychain => "with a key in the keychain of the system".to_owned(),
                _ => format!("with a {kind}"),
            }),
            problem: mismatch(config, key, kind),
        },
        Ok(None) => new_files(config, key, keychain),
    }
}

fn kind_of(kind: Option<KeyKind>, key: Key) -> &'static str {
    match (kind, key) {
        (Some(KeyKind::Keychain), _) | (None, Key::Keychain) => "keychain",
        _ => "file",
    }
}

/// Returns why the existing store cannot be opened with the requested key.
fn mismatch(config: &Config, key: Key, kind: KeyKind) -> Option<String> {
    let given = !matches!(config.password, Password::Ask);
    let reason = match (kind, key) {
        (KeyKind::Password, Key::Auto | Key::File) => return None,
        (_, Key::Auto | Key::File) if given => "a password is given, but the store has none",
        (KeyKind::Keychain, Key::File) => "a password or a key file was requested",
        (KeyKind::Password | KeyKind::KeyFile, Key::Keychain) => "the keychain was requested",
        (KeyKind::Provided, _) => "only the application that created it has its key",
        _ => return None,
    };
    Some(format!("cannot open the store: {reason}"))
}

/// Returns the encryption of a store that does not exist yet.
fn new_files(config: &Config, key: Key, keychain: &Result<(), KeychainErrorKind>) -> Used {
    let given = !matches!(config.password, Password::Ask);
    let (kind, with, problem) = match (key, keychain) {
        (Key::Keychain, keychain) => ("keychain", "a key in the keychain", keychain.as_ref().err()),
        (Key::Auto | Key::File, _) if given => ("file", "your password", None),
        (Key::File, _) => ("file", "a key file", None),
        (Key::Auto, Ok(()) | Err(KeychainErrorKind::Locked(_))) => {
            ("keychain", "a key in the keychain", None)
        }
        (Key::Auto, Err(KeychainErrorKind::Absent(_))) => (
            "file",
            "a key file, because no keychain is available (for more protection, use a password: \
             --password-file FILE)",
            None,
        ),
        (Key::Auto, Err(cause)) => ("keychain", "a key in the keychain", Some(cause)),
    };
    Used {
        kind,
        encryption: Some(format!("not created yet; it will be encrypted with {with}")),
        problem: problem.map(ToString::to_string),
    }
}

/// Returns why no Vault is available: neither the one that is used nor the one of the environment.
async fn vault_problem(context: &Context, used: &Used) -> Option<String> {
    if let StoreLocation::Vault(_) = &context.config.store {
        return used.problem.clone();
    }
    if context.config.vault.has_address() {
        return check_vault(context, &StoreLocation::Vault(String::new())).await;
    }
    Some("no Vault address configured: export VAULT_ADDR=https://HOST:8200".to_owned())
}

/// Returns why the Vault cannot be used, if it cannot.
async fn check_vault(context: &Context, location: &StoreLocation) -> Option<String> {
    let opened = store::open_other(location, &context.config.vault);
    let store: TokenStore = match opened {
        Ok(store) => context.opened.keep(store),
        Err(failure) => return Some(message_of(failure)),
    };
    tokio::select! {
        ready = store.check_writable() => ready.err().map(|error| Error::from(error).to_string()),
        () = context.platform.clock.sleep(TIMEOUT) => {
            Some(format!("no response within {} s", TIMEOUT.as_secs()))
        }
    }
}

fn message_of(failure: Failure) -> String {
    failure.render(None).message
}
