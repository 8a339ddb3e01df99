//! `clear --expired`: forgets what is good for nothing any more, and nothing else.

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

/// A login that was forgotten, or could not be looked at.
#[derive(Serialize)]
struct Login {
    /// Every name that stands for it.
    names: Vec<String>,
    server: String,
    account: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Returns each record is looked at once more under its lock: somebody may just have logged in again. One
/// that is damaged may be a good one: it is named, and left.
pub(super) async fn clear(context: &Context) -> Result<Exit, Failure> {
    let store = context.store().await?;
    let (mut forgotten, mut unreadable) = (Vec::new(), Vec::new());
    for (names, key) in logins(context, &store).await? {
        match forget_expired(context, &store, &key).await {
            Ok(true) => forgotten.push(Login::new(names, &key, None)),
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
    let document = json!({ "forgotten": forgotten, "unreadable": unreadable });
    context.ui.result(&document, || text(&forgotten));
    Ok(Exit::Done)
}

/// Returns each login that there may be, with every name of it.
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

async fn forget_expired(
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

fn text(forgotten: &[Login]) -> String {
    if forgotten.is_empty() {
        return "No login has expired".to_owned();
    }
    let lines = forgotten.iter().map(|login| {
        let Login {
            server, account, ..
        } = login;
        let whose = match account {
            Some(account) => format!("{server} ({account})"),
            None => server.clone(),
        };
        let names = if login.names.is_empty() {
            String::new()
        } else {
            format!("{HEAD}{}{HEAD:#}, ", login.names.join(", "))
        };
        format!("{GOOD}Forgot{GOOD:#} the expired tokens of {names}{whose}")
    });
    lines.collect::<Vec<_>>().join("\n")
}
