//! `migrate`: moves the tokens to another place, or gives them another key where they are.

use std::path::{Path, PathBuf};

use mcp_client_oauth::{
    Error, TokenStore,
    store::migration::{ConflictPolicy, MigrationError, Skipped},
};
use serde_json::json;

use self::keys::{New, old_files, rekey};
use crate::{
    args::Migrate,
    config::Config,
    context::Context,
    error::{Exit, Failure},
    shell::quoted,
    store,
    store_spec::{Key, StoreLocation},
    ui::{GOOD, HEAD},
};

mod keys;

pub(super) async fn run(context: &Context, typed: &Migrate) -> Result<Exit, Failure> {
    let config = &context.config;
    let to = target(config, &typed.to)?;
    if let StoreLocation::Other(spec) = &config.place {
        return Err(Failure::usage(
            format!("there is nothing to move in `{}`", quoted(spec)),
            "mcp-oauth backends",
        ));
    }
    if let (
        StoreLocation::Files { directory, .. },
        StoreLocation::Files {
            key,
            directory: there,
        },
    ) = (&config.place, &to)
        && directory
            .as_deref()
            .zip(there.as_deref())
            .is_some_and(is_same)
    {
        return rekey(context, store::known(directory.as_deref())?, *key).await;
    }
    if let (StoreLocation::Vault(here), StoreLocation::Vault(there)) = (&config.place, &to)
        && is_same_vault(config, here, there)?
    {
        return Err(Failure::usage(
            "that is where the tokens are",
            "--to keychain, --to file, or --to vault with another mount or prefix",
        ));
    }
    move_all(context, &to, typed.force).await
}

/// Returns where to. A kind of sealed files alone means those that are there, else those that are usual.
fn target(config: &Config, spec: &str) -> Result<StoreLocation, Failure> {
    let here = match &config.place {
        StoreLocation::Files { directory, .. } => directory.as_deref(),
        StoreLocation::Vault(_) | StoreLocation::Other(_) => config.usual.as_deref(),
    };
    match StoreLocation::of_spec(spec, here) {
        StoreLocation::Other(_) | StoreLocation::Files { key: Key::Auto, .. } => {
            Err(Failure::usage(
                format!("tokens cannot be moved to `{}`", quoted(spec)),
                "--to keychain, --to file or --to vault",
            ))
        }
        place => Ok(place),
    }
}

fn is_same((here, there): (&Path, &Path)) -> bool {
    let real = |path: &Path| {
        let absolute = || std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        std::fs::canonicalize(path).unwrap_or_else(|_| absolute())
    };
    real(here) == real(there)
}

fn is_same_vault(config: &Config, here: &str, there: &str) -> Result<bool, Failure> {
    let place = |rest| {
        let options = config.vault.options(rest)?;
        Ok::<_, Failure>((options.address, options.mount, options.prefix))
    };
    Ok(place(here)? == place(there)?)
}

async fn move_all(context: &Context, to: &StoreLocation, force: bool) -> Result<Exit, Failure> {
    let config = &context.config;
    let from = context.opened.keep(from(config, to)?);
    let there = context.opened.keep(there(config, to)?);
    // A locked keychain, a wrong password or a missing policy is told before anything is copied.
    there.check_writable().await?;
    let existing = if force {
        ConflictPolicy::Replace
    } else {
        ConflictPolicy::Refuse
    };
    let spinner = context.ui.spinner("moving");
    let moved = move_between(&from, &there, existing).await;
    drop(spinner);
    let (logins, registrations, left) = moved.map_err(refused)?;
    for Skipped { what, error, .. } in &left {
        let error = Error::from(error.clone());
        context
            .ui
            .warn(format_args!("{what} was left where it is: {error}"));
    }
    let next = next(config, to);
    let document = document(logins, registrations, &left, next.as_deref());
    context.ui.result(&document, || {
        format!(
            "{GOOD}Moved{GOOD:#} {} and {} to {HEAD}{}{HEAD:#}",
            count(logins, "login"),
            count(registrations, "client registration"),
            spec(config, to)
        )
    });
    if let Some(next) = next {
        context
            .ui
            .progress(format_args!("\n{HEAD}to use them there:{HEAD:#} {next}"));
    }
    Ok(if left.is_empty() {
        Exit::Done
    } else {
        Exit::Failed
    })
}

async fn move_between(
    from: &TokenStore,
    to: &TokenStore,
    existing: ConflictPolicy,
) -> Result<(usize, usize, Vec<Skipped>), MigrationError> {
    let copied = from.copy_to(to, existing).await?;
    let (logins, registrations) = (copied.logins(), copied.registrations());
    let left = copied.delete_originals().await?;
    Ok((logins, registrations, left))
}

/// Returns the store to move from, with whatever key it has. A password that is typed may be for the other.
fn from(config: &Config, to: &StoreLocation) -> Result<TokenStore, Failure> {
    let password = match to {
        StoreLocation::Files { key: Key::File, .. } => &config.kept_password,
        _ => &config.password,
    };
    match &config.place {
        StoreLocation::Files { directory, .. } => {
            let directory = store::known(directory.as_deref())?;
            let files = old_files(directory, password)?;
            Ok(TokenStore::new(std::sync::Arc::new(files)))
        }
        place => store::elsewhere(place, &config.vault),
    }
}

/// Returns the store to move to.
fn there(config: &Config, to: &StoreLocation) -> Result<TokenStore, Failure> {
    match to {
        StoreLocation::Files { key, directory } => {
            let directory = store::known(directory.as_deref())?;
            New::of(config, *key)?.store(directory)
        }
        place => store::elsewhere(place, &config.vault),
    }
}

fn refused(error: MigrationError) -> Failure {
    match error {
        MigrationError::Storage(error) => error.into(),
        different => Failure::other(
            "conflict",
            format!("{different}; nothing was deleted"),
            Some(
                "mcp-oauth clear NAME, to keep those that are there; or the same again with \
                 --force, to replace them"
                    .to_owned(),
            ),
        ),
    }
}

/// Returns how to say where the tokens are now, if that is not where they are looked for anyway.
fn next(config: &Config, to: &StoreLocation) -> Option<String> {
    let found = match (&config.otherwise, to) {
        (
            StoreLocation::Files { key, directory },
            StoreLocation::Files {
                key: new,
                directory: there,
            },
        ) => directory == there && (*key == Key::Auto || key == new),
        (otherwise, to) => otherwise == to,
    };
    let export = || format!("export MCP_OAUTH_STORE={}", quoted(&spec(config, to)));
    let store = (!found).then(export);
    let password = match to {
        StoreLocation::Files { key, .. } => {
            keys::password_from_now_on(config, keys::kind(config, *key))
        }
        _ => None,
    };
    keys::both(store, password)
}

/// Returns the place, as `--store` takes it from anywhere.
fn spec(config: &Config, place: &StoreLocation) -> String {
    match place {
        StoreLocation::Files { key, directory } => {
            let directory = directory.clone().unwrap_or_default();
            let absolute: PathBuf = std::path::absolute(&directory).unwrap_or(directory);
            let kind = if *key == Key::Keychain {
                "keychain"
            } else {
                "file"
            };
            format!("{kind}:{}", absolute.display())
        }
        StoreLocation::Vault(rest) => match config.vault.options(rest) {
            Ok(options) => {
                let address = options.address.as_str().trim_end_matches('/');
                format!("vault:{address}/{}/{}", options.mount, options.prefix)
            }
            Err(_) => format!("vault:{rest}"),
        },
        StoreLocation::Other(spec) => spec.clone(),
    }
}

fn document(
    logins: usize,
    registrations: usize,
    left: &[Skipped],
    next: Option<&str>,
) -> serde_json::Value {
    let left = left
        .iter()
        .map(|Skipped { what, error, .. }| json!({ "what": what, "error": error.to_string() }));
    json!({
        "moved": { "logins": logins, "registrations": registrations },
        "left": left.collect::<Vec<_>>(),
        "next": next,
    })
}

fn count(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}
