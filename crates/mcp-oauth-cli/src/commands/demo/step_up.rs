//! A tool that needs a wider scope: the server says so, a person approves, the call goes through.

use std::sync::Arc;

use mcp_client_oauth::{InteractiveSession, LoginOptions, Session, platform::ReqwestClient};
use mcp_oauth_testbed::Peer;
use serde_json::json;

use super::{context::DemoContext, login::arguments};
use crate::{
    error::Failure,
    mcp_connection::{Connection, within},
};

/// Holds what is written, and must be found again.
const NOTE: &str = "written by the demo";

/// Calls `write_note`, which needs `notes:write`.
pub(super) async fn run(stage: &mut DemoContext) -> Result<Session, Failure> {
    stage.step("Step-up: a tool needs a wider scope");
    let mut options = LoginOptions::default();
    options.timeout = stage.person.timeout();
    let (platform, store) = (stage.platform.clone(), stage.store.clone());
    let source = InteractiveSession::open(platform, store, stage.server.clone(), options).await?;
    stage.testbed.forget_requests();
    let registered = || {
        stage
            .testbed
            .count(Peer::AuthorizationServer, "POST", "/register")
    };
    let registered_before = registered();
    let limit = stage.person.timeout();
    let written = within(
        &stage.platform,
        limit,
        write_note(source.clone(), &stage.network),
    )
    .await;
    stage.person.rest();
    let notes = written?;
    let refused = stage.testbed.requests();
    let refused = refused.iter().any(|request| request.status == 403);
    let session = source
        .session()
        .ok_or_else(|| Failure::other("demo", "the step-up has left no login behind", None))?;
    let scope = session.record().tokens.scope;
    let newly_registered = registered() - registered_before;
    stage.show(
        "scope",
        scope.as_ref().map_or_else(String::new, ToString::to_string),
    );
    stage.show("notes", notes.join("; "));
    stage.prove("the server refused the call for its scope (403)", refused)?;
    let wider =
        scope.is_some_and(|scope| scope.contains("notes:read") && scope.contains("notes:write"));
    stage.prove(
        "the login asked for the old and the new scope together",
        wider,
    )?;
    stage.prove(
        "the client was registered again for the wider scope, once",
        newly_registered == 1,
    )?;
    stage.prove(
        "the call went through then",
        notes.iter().any(|note| note == NOTE),
    )?;
    Ok(session)
}

/// Writes a note, and reads all of them.
async fn write_note(
    source: InteractiveSession,
    network: &ReqwestClient,
) -> Result<Vec<String>, Failure> {
    let connection = Connection::open(Arc::new(source), network).await?;
    connection
        .call("write_note", arguments(&json!({ "text": NOTE })))
        .await?;
    let listed = connection.call("list_notes", arguments(&json!({}))).await;
    connection.close().await;
    let notes = listed?
        .structured_content
        .and_then(|mut content| serde_json::from_value(content.get_mut("notes")?.take()).ok());
    Ok(notes.unwrap_or_default())
}
