//! `test`: connects as an MCP client, and reports whether it works.

use serde_json::json;

use crate::{
    args::Connect,
    context::Context,
    error::{Exit, Failure},
    mcp_connection::{Connection, within},
    ui::{GOOD, HEAD, fields},
};

pub(super) async fn run(context: &Context, typed: &Connect) -> Result<Exit, Failure> {
    let target = context.target_at(&typed.target, typed.url.as_deref())?;
    let session = context.session(&target).await?;
    let spinner = context.ui.spinner("connecting");
    let outcome = within(&context.platform, typed.timeout, async {
        let connection = Connection::open(session, &context.network).await?;
        let tools = connection.tools().await?;
        Ok((connection, tools.len()))
    });
    let outcome = outcome.await;
    drop(spinner);
    let (connection, tools) = outcome?;
    let (server, protocol) = (connection.server(), connection.protocol());
    connection.close().await;
    let document = json!({
        "ok": true,
        "server": target.key.server().as_str(),
        "implementation": server,
        "protocol": protocol,
        "tools": tools,
    });
    context.ui.result(&document, || {
        let name = &target.typed;
        let rows = [
            ("server", target.key.server().to_string()),
            (
                "implementation",
                server.unwrap_or_else(|| "not reported".to_owned()),
            ),
            (
                "protocol",
                protocol.unwrap_or_else(|| "not reported".to_owned()),
            ),
            ("tools", tools.to_string()),
        ];
        format!(
            "{GOOD}Connected{GOOD:#} to {HEAD}{name}{HEAD:#}\n{}",
            fields(&rows)
        )
    });
    Ok(Exit::Done)
}
