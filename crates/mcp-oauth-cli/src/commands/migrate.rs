//! `migrate`: moves the tokens to another store, or encrypts them with another key.

use std::path::{Path, PathBuf};

use mcp_client_oauth::{Error, TokenStore};
use mcp_oauth_store::{ConflictPolicy, MigrationError, Skipped};
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
    if let StoreLocation::Other(spec) = &config.store {
        return Err(Failure::usage(
            format!(
                "cannot move tokens from `{}`: it is not encrypted files or a Vault",
                quoted(spec)
            ),
            "to see the stores: mcp-oauth stores",
        ));
    }
    if let (
        StoreLocation::Files { directory, .. },
        StoreLocation::Files {
            key,
            directory: new_directory,
        },
    ) = (&config.store, &to)
        && directory
            .as_deref()
            .zip(new_directory.as_deref())
            .is_some_and(is_same)
    {
        return rekey(
            context,
            store::required_directory(directory.as_deref())?,
            *key,
        )
        .await;
    }
    if let (StoreLocation::Vault(here), StoreLocation::Vault(there)) = (&config.store, &to)
        && is_same_vault(config, here, there)?
    {
        return Err(Failure::usage(
            "cannot move the tokens: they are already in this Vault",
            "use --to keychain, --to file, or --to vault with another mount or prefix",
        ));
    }
    move_all(context, &to, typed.overwrite).await
}

/// Parses the target. A kind of encrypted files without a directory means the directory in use, else the
/// default one.
fn target(config: &Config, spec: &str) -> Result<StoreLocation, Failure> {
    let here = match &config.store {
        StoreLocation::Files { directory, .. } => directory.as_deref(),
        StoreLocation::Vault(_) | StoreLocation::Other(_) => config.default_directory.as_deref(),
    };
    match StoreLocation::parse(spec, here) {
        StoreLocation::Other(_) | StoreLocation::Files { key: Key::Auto, .. } => {
            Err(Failure::usage(
                format!(
                    "cannot move tokens to `{}`: it is not a keychain, a file or a Vault store",
                    quoted(spec)
                ),
                "use --to keychain, --to file or --to vault",
            ))
        }
        location => Ok(location),
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
    let location = |rest| {
        let options = config.vault.options(rest)?;
        Ok::<_, Failure>((options.address, options.mount, options.prefix))
    };
    Ok(location(here)? == location(there)?)
}

async fn move_all(context: &Context, to: &StoreLocation, overwrite: bool) -> Result<Exit, Failure> {
    let config = &context.config;
    let source = context.opened.keep(open_source(config, to)?);
    let target = context.opened.keep(open_target(config, to)?);
    // A locked keychain, a wrong password or a missing policy is reported before anything is copied.
    target.check_writable().await?;
    let policy = if overwrite {
        ConflictPolicy::Replace
    } else {
        ConflictPolicy::Refuse
    };
    let spinner = context.ui.spinner("moving");
    let moved = move_between(&source, &target, policy).await;
    drop(spinner);
    let (logins, registrations, skipped) = moved.map_err(refused)?;
    for Skipped { what, error, .. } in &skipped {
        let error = Error::from(error.clone());
        context
            .ui
            .warn(format_args!("{what} was not moved: {error}"));
    }
    let next = next(config, to);
    let document = document(logins, registrations, &skipped, next.as_deref());
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
            .progress(format_args!("\n{HEAD}to use the new store:{HEAD:#} {next}"));
    }
    Ok(if skipped.is_empty() {
        Exit::Done
    } else {
        Exit::Failed
    })
}

async fn move_between(
    from: &TokenStore,
    to: &TokenStore,
    policy: ConflictPolicy,
) -> Result<(usize, usize, Vec<Skipped>), MigrationError> {
    let copied = mcp_oauth_store::copy(from.backend(), to.backend(), policy).await?;
    let (logins, registrations) = (copied.logins, copied.registrations);
    let skipped = copied.delete_originals().await?;
    Ok((logins, registrations, skipped))
}

/// Opens the store to move from, with its own key. With `--to file` the typed password is for the target.
fn open_source(config: &Config, to: &StoreLocation) -> Result<TokenStore, Failure> {
    let password = match to {
        StoreLocation::Files { key: Key::File, .. } => &config.configured_password,
        _ => &config.password,
    };
    match &config.store {
        StoreLocation::Files { directory, .. } => {
            let directory = store::required_directory(directory.as_deref())?;
            let files = old_files(directory, password)?;
            Ok(TokenStore::new(std::sync::Arc::new(files)))
        }
        location => store::open_other(location, &config.vault),
    }
}

/// Opens the store to move to.
fn open_target(config: &Config, to: &StoreLocation) -> Result<TokenStore, Failure> {
    match to {
        StoreLocation::Files { key, directory } => {
            let directory = store::required_directory(directory.as_deref())?;
            New::of(config, *key)?.store(directory)
        }
        location => store::open_other(location, &config.vault),
    }
}

fn refused(error: MigrationError) -> Failure {
    match error {
        MigrationError::Storage(error) => error.into(),
        different => Failure::other(
            "conflict",
            format!("{different}; nothing was deleted"),
            Some(
                "to replace the logins of the new store, run the same command with --overwrite; to keep \
                 them, remove those here: mcp-oauth logout --local NAME"
                    .to_owned(),
            ),
        ),
    }
}

/// Returns the command that selects the new store, if it is not selected already.
fn next(config: &Config, to: &StoreLocation) -> Option<String> {
    let found = match (&config.configured_store, to) {
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

/// Returns a location in the syntax of `--store`, valid in every working directory.
fn spec(config: &Config, location: &StoreLocation) -> String {
    match location {
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
    skipped: &[Skipped],
    next: Option<&str>,
) -> serde_json::Value {
    let skipped = skipped
        .iter()
        .map(|Skipped { what, error, .. }| json!({ "what": what, "error": error.to_string() }));
    json!({
        "moved": { "logins": logins, "registrations": registrations },
        "skipped": skipped.collect::<Vec<_>>(),
        "next": next,
    })
}

fn count(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}
