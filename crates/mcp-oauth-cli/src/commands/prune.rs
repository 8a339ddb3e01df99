//! `prune`: removes the logins that have expired and cannot be refreshed, and no others.

use mcp_client_oauth::{
    TokenStore,
    error::TokenStorageError,
    store::{LoginKey, Record},
};
use serde::Serialize;
use serde_json::json;

use crate::{
    context::Context,
    error::{Exit, Failure},
    logins::named_keys,
    status::Status,
    ui::{GOOD, HEAD},
};

/// A login that was removed, or that cannot be read.
#[derive(Serialize)]
struct Login {
    /// Every name of the login.
    names: Vec<String>,
    server: String,
    account: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Removes the expired logins. Each record is read again under its lock, because another process may just
/// have logged in again. A corrupt record may be restored from a copy: it is reported and kept.
pub(super) async fn run(context: &Context) -> Result<Exit, Failure> {
    let store = context.store().await?;
    let (mut removed, mut unreadable) = (Vec::new(), Vec::new());
    for (names, key) in logins(context, &store).await? {
        match remove_expired(context, &store, &key).await {
            Ok(true) => removed.push(Login::new(names, &key, None)),
            Ok(false) => {}
            Err(
                error @ (TokenStorageError::Corrupt { .. }
                | TokenStorageError::UnsupportedVersion { .. }),
            ) => {
                context.ui.warn(&error);
                unreadable.push(Login::new(names, &key, Some(error.to_string())));
            }
            Err(error) => return Err(error.into()),
        }
    }
    let document = json!({ "removed": removed, "unreadable": unreadable });
    context.ui.result(&document, || text(&removed));
    Ok(Exit::Done)
}

/// Returns each login that there may be, with all its names.
async fn logins(
    context: &Context,
    store: &TokenStore,
) -> Result<Vec<(Vec<String>, LoginKey)>, Failure> {
    let mut logins: Vec<(Vec<String>, LoginKey)> = Vec::new();
    for (name, key) in named_keys(context, store).await? {
        match logins.iter_mut().find(|(_, known)| *known == key) {
            Some((names, _)) => names.extend(name),
            None => logins.push((name.into_iter().collect(), key)),
        }
    }
    Ok(logins)
}

async fn remove_expired(
    context: &Context,
    store: &TokenStore,
    key: &LoginKey,
) -> Result<bool, TokenStorageError> {
    let is_expired = |record: &Record| {
        let status = Status::of(record, context.platform.clock.now());
        matches!(status, Status::Expired(_))
    };
    match store.load(key).await? {
        Some((record, _)) if is_expired(&record) => {}
        _ => return Ok(false),
    }
    let mut lock = store.lock(key).await?;
    if lock.record().is_some_and(is_expired) {
        store.delete(&mut lock).await
    } else {
        Ok(false)
    }
}

impl Login {
    fn new(names: Vec<String>, key: &LoginKey, error: Option<String>) -> Self {
        Self {
            names,
            server: key.server().to_string(),
            account: key.account().map(str::to_owned),
            error,
        }
    }
}

fn text(removed: &[Login]) -> String {
    if removed.is_empty() {
        return "No login has expired".to_owned();
    }
    let lines = removed.iter().map(|login| {
        let Login {
            server, account, ..
        } = login;
        let server = match account {
            Some(account) => format!("{server} ({account})"),
            None => server.clone(),
        };
        let names = if login.names.is_empty() {
            String::new()
        } else {
            format!("{HEAD}{}{HEAD:#}, ", login.names.join(", "))
        };
        format!("{GOOD}Removed{GOOD:#} the expired login of {names}{server}")
    });
    lines.collect::<Vec<_>>().join("\n")
}
