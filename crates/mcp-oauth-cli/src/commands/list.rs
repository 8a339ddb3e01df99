//! `list`: the servers with the status of their tokens. A login that cannot be read hides no other.

use std::time::SystemTime;

use mcp_client_oauth::{
    error::TokenStorageError,
    store::{LoginKey, Record},
};
use serde::Serialize;

use crate::{
    context::Context,
    error::{Exit, Failure},
    logins::named_keys,
    status::{Status, moment},
    store::is_unreadable,
    ui::table,
};

/// A login, or a name without a login.
#[derive(Serialize)]
struct Row {
    name: Option<String>,
    server: String,
    account: Option<String>,
    status: &'static str,
    #[serde(skip)]
    words: String,
    expires_at: Option<String>,
    scope: Option<String>,
    error: Option<String>,
}

pub(super) async fn run(context: &Context) -> Result<Exit, Failure> {
    let store = context.store().await?;
    let now = context.platform.clock.now();
    let mut rows = Vec::new();
    for (name, key) in named_keys(context, &store).await? {
        let row = row(name, &key, store.load(&key).await, now)?;
        if let Some(error) = &row.error {
            context.ui.warn(error);
        }
        rows.push(row);
    }
    context
        .ui
        .result(&serde_json::json!({ "servers": rows }), || text(&rows));
    Ok(Exit::Done)
}

fn row(
    name: Option<String>,
    key: &LoginKey,
    loaded: Result<Option<(Record, mcp_oauth_store::Revision)>, TokenStorageError>,
    now: SystemTime,
) -> Result<Row, Failure> {
    let mut row = Row {
        name,
        server: key.server().to_string(),
        account: key.account().map(str::to_owned),
        status: "logged_out",
        words: "not logged in".to_owned(),
        expires_at: None,
        scope: None,
        error: None,
    };
    match loaded {
        Ok(None) => {}
        Ok(Some((record, _))) => {
            let status = Status::of(&record, now);
            (row.status, row.words) = (status.as_str(), status.words());
            row.expires_at = record.tokens.expires_at.map(moment);
            row.scope = record
                .tokens
                .scope
                .or(record.requested)
                .map(|scope| scope.to_string());
        }
        Err(error) if is_unreadable(&error) => return Err(error.into()),
        Err(error) => {
            (row.status, row.words) = ("unreadable", "cannot be read".to_owned());
            row.error = Some(error.to_string());
        }
    }
    Ok(row)
}

fn text(rows: &[Row]) -> String {
    if rows.is_empty() {
        return "no logins yet: mcp-oauth login NAME URL".to_owned();
    }
    let heading = ["NAME", "SERVER", "STATUS", "SCOPE"]
        .map(str::to_owned)
        .to_vec();
    let cells = rows.iter().map(|row| {
        let server = match &row.account {
            Some(account) => format!("{} ({account})", row.server),
            None => row.server.clone(),
        };
        let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        vec![
            or_dash(&row.name),
            server,
            row.words.clone(),
            or_dash(&row.scope),
        ]
    });
    table(&std::iter::once(heading).chain(cells).collect::<Vec<_>>())
}
