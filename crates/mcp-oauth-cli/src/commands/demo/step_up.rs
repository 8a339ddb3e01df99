//! A tool that needs a wider scope: the server requests it, the user approves, and the call succeeds.

use mcp_client_oauth::{Error, Session, flow::Scope, platform::ReqwestClient};
use mcp_oauth_testbed::Peer;
use serde_json::json;

use super::{context::DemoContext, login::arguments};
use crate::{
    context::record,
    error::Failure,
    mcp_connection::{Connection, within},
};

/// The note that is written, and read again.
const NOTE: &str = "written by the demo";

/// Calls `write_note`, which needs `notes:write`.
pub(super) async fn run(demo: &mut DemoContext) -> Result<Session, Failure> {
    demo.step("Step-up: a tool needs a wider scope");
    let limit = demo.user.timeout();
    let login = demo.client.login(&demo.server).timeout(limit);
    let session = login.on_demand().await?;
    demo.testbed.clear_requests();
    let registered = || {
        demo.testbed
            .count(Peer::AuthorizationServer, "POST", "/register")
    };
    let registered_before = registered();
    let written = write_note(session.clone(), &demo.network);
    let written = within(demo.platform(), limit, written).await;
    demo.user.rest();
    let notes = written?;
    let refused = demo.testbed.requests();
    let refused = refused.iter().any(|request| request.status == 403);
    let scope = record(&session)?.tokens.scope;
    let newly_registered = registered() - registered_before;
    demo.show(
        "scope",
        scope.as_ref().map_or_else(String::new, ToString::to_string),
    );
    demo.show("notes", notes.join("; "));
    demo.check("the server rejected the call for its scope (403)", refused)?;
    let both = "notes:read notes:write".parse::<Scope>();
    let both = both.map_err(Error::from)?;
    let wider = scope.is_some_and(|scope| both.missing_from(&scope).is_none());
    demo.check(
        "the login requested the old and the new scope together",
        wider,
    )?;
    demo.check(
        "the client was registered again for the wider scope, once",
        newly_registered == 1,
    )?;
    demo.check(
        "the call succeeded then",
        notes.iter().any(|note| note == NOTE),
    )?;
    Ok(session)
}

/// Writes a note, and reads all of them.
async fn write_note(session: Session, network: &ReqwestClient) -> Result<Vec<String>, Failure> {
    let connection = Connection::open(session, network).await?;
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
