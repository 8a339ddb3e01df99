//! `backends`: which kinds of store there are, whether each is available here, which one is used,
//! where, and why.

use std::time::Duration;

use mcp_client_oauth::{
    TokenStore,
    error::{Error, KeychainErrorKind},
    store::{BACKENDS, EncryptedFileStore, KeyKind, key_kinds},
};
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

/// Says how long a Vault may take to say that it is there.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A kind of store.
#[derive(Serialize)]
struct Kind {
    name: &'static str,
    about: &'static str,
    /// Says whether it can be used here and now.
    available: bool,
    /// Says why not.
    problem: Option<String>,
}

/// Holds what is known of the store that is used.
#[derive(Default)]
struct Used {
    /// The kind that it is.
    kind: &'static str,
    /// Says how its files are sealed, or will be.
    sealed: Option<String>,
    /// Says why it cannot be used.
    problem: Option<String>,
}

/// Says what there is. Nothing is made, and nobody is asked for a password.
pub(super) async fn run(context: &Context) -> Exit {
    let config = &context.config;
    let keychain = keychain().await;
    let used = used(context, &keychain).await;
    let mut kinds = Vec::new();
    for name in names() {
        let problem = match name {
            "keychain" => keychain.as_ref().err().map(ToString::to_string),
            "vault" => vault_problem(context, &used).await,
            _ => None,
        };
        let (about, available) = (about(name), problem.is_none());
        kinds.push(Kind {
            name,
            about,
            available,
            problem,
        });
    }
    let directory = match &config.place {
        StoreLocation::Files { directory, .. } => {
            directory.as_ref().map(|own| own.display().to_string())
        }
        StoreLocation::Vault(_) | StoreLocation::Other(_) => None,
    };
    let names = config.names().ok().map(|file| file.display().to_string());
    let document = json!({
        "backends": kinds,
        "chosen": used.kind,
        "why": config.why,
        "directory": directory,
        "sealed": used.sealed,
        "problem": used.problem,
        "names": names,
    });
    context.ui.result(&document, || {
        let mut lines: Vec<String> = kinds.iter().map(|kind| line(kind, used.kind)).collect();
        let mut rows = vec![("chosen", format!("{} ({})", used.kind, config.why))];
        rows.extend(directory.map(|place| ("directory", place)));
        rows.extend(used.sealed.map(|sealed| ("sealed", sealed)));
        let red = |problem| format!("{BAD}{problem}{BAD:#}");
        rows.extend(used.problem.map(|problem| ("problem", red(problem))));
        rows.extend(names.map(|names| ("names", names)));
        lines.extend([String::new(), fields(&rows)]);
        lines.join("\n")
    });
    Exit::Done
}

/// Returns the best first. The keychain is a place for the key of sealed files, which a person chooses like
/// any other.
fn names() -> impl Iterator<Item = &'static str> {
    let others = BACKENDS.iter().map(|(name, _)| *name);
    // `auto` selects one of these, and is none itself.
    std::iter::once("keychain").chain(others.filter(|name| !matches!(*name, "keychain" | "auto")))
}

/// Returns a kind of store, in words.
fn about(name: &str) -> &'static str {
    match name {
        "keychain" => "files on this machine, sealed with a key in the keychain of the system",
        "file" => "files on this machine, sealed with a password or a key file (AES-256-GCM)",
        "memory" => "nothing is kept when the command ends",
        "vault" => "HashiCorp Vault or OpenBao, for several machines",
        _ => "",
    }
}

fn line(kind: &Kind, used: &str) -> String {
    let mark = if kind.name == used {
        format!("{GOOD}*{GOOD:#}")
    } else {
        " ".to_owned()
    };
    let name = kind.name;
    let problem = kind.problem.as_ref();
    let problem = problem.map(|why| format!("\n            {WARN}not available:{WARN:#} {why}"));
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

/// Returns which kind of store is used, and what is wrong with it. A damaged store is told like everything
/// else that is known of it.
async fn used(context: &Context, keychain: &Result<(), KeychainErrorKind>) -> Used {
    let config = &context.config;
    match &config.place {
        StoreLocation::Files { key, .. } => sealed(config, *key, keychain),
        StoreLocation::Vault(_) => Used {
            kind: "vault",
            problem: answer(context, &config.place).await,
            ..Used::default()
        },
        StoreLocation::Other(spec) => {
            let name = spec.split(':').next().unwrap_or_default();
            let known = names().find(|known| *known == name);
            let opened = store::elsewhere(&config.place, &config.vault);
            Used {
                kind: known.unwrap_or("unknown"),
                problem: opened.err().map(in_words),
                ..Used::default()
            }
        }
    }
}

/// Returns how the files are sealed, or will be.
fn sealed(config: &Config, key: Key, keychain: &Result<(), KeychainErrorKind>) -> Used {
    let place = &config.place;
    let StoreLocation::Files {
        directory: Some(directory),
        ..
    } = place
    else {
        let problem = store::elsewhere(place, &config.vault).err().map(in_words);
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
            sealed: None,
        },
        Ok(Some(kind)) => Used {
            kind: kind_of(Some(kind), key),
            sealed: Some(match kind {
                KeyKind::KeyFile => format!("with a {kind}: {}", directory.join("key").display()),
                KeyKind::Keychain => "with a key in the keychain of the system".to_owned(),
                _ => format!("with a {kind}"),
            }),
            problem: mismatch(config, key, kind),
        },
        Ok(None) => future(config, key, keychain),
    }
}

fn kind_of(kind: Option<KeyKind>, key: Key) -> &'static str {
    match (kind, key) {
        (Some(KeyKind::Keychain), _) | (None, Key::Keychain) => "keychain",
        _ => "file",
    }
}

/// Returns why a store that is there is not opened as it was asked for.
fn mismatch(config: &Config, key: Key, kind: KeyKind) -> Option<String> {
    let given = !matches!(config.password, Password::Ask);
    let why = match (kind, key) {
        (KeyKind::Password, Key::Auto | Key::File) => return None,
        (_, Key::Auto | Key::File) if given => "a password is given, and it has none",
        (KeyKind::Keychain, Key::File) => "files with a password or a key file were asked for",
        (KeyKind::Password | KeyKind::KeyFile, Key::Keychain) => "the keychain was asked for",
        (KeyKind::Provided, _) => "only the application that made it has its key",
        _ => return None,
    };
    Some(format!("it is not opened: {why}"))
}

/// Returns what a store that is not made yet will be like.
fn future(config: &Config, key: Key, keychain: &Result<(), KeychainErrorKind>) -> Used {
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
            "a key file, because no keychain answers (give a password for more: --password-file \
             FILE)",
            None,
        ),
        (Key::Auto, Err(cause)) => ("keychain", "a key in the keychain", Some(cause)),
    };
    Used {
        kind,
        sealed: Some(format!("not made yet; it will be sealed with {with}")),
        problem: problem.map(ToString::to_string),
    }
}

/// Returns why no Vault can be used, if that is so: the one that is used, or that the environment names.
async fn vault_problem(context: &Context, used: &Used) -> Option<String> {
    if let StoreLocation::Vault(_) = &context.config.place {
        return used.problem.clone();
    }
    if context.config.vault.name_one() {
        return answer(context, &StoreLocation::Vault(String::new())).await;
    }
    Some("none is named: export VAULT_ADDR=https://HOST:8200".to_owned())
}

/// Returns why the Vault is not ready, if it is not.
async fn answer(context: &Context, place: &StoreLocation) -> Option<String> {
    let opened = store::elsewhere(place, &context.config.vault);
    let store: TokenStore = match opened {
        Ok(store) => context.opened.keep(store),
        Err(failure) => return Some(in_words(failure)),
    };
    tokio::select! {
        ready = store.check_writable() => ready.err().map(|error| Error::from(error).to_string()),
        () = context.platform.clock.sleep(TIMEOUT) => {
            Some(format!("no answer within {} seconds", TIMEOUT.as_secs()))
        }
    }
}

fn in_words(failure: Failure) -> String {
    failure.told(None).message
}
