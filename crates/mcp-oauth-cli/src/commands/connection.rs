//! A connection as an MCP client, by the official `rmcp` crate with our tokens; for `test`,
//! `tools` and `demo`.

use std::{error::Error as StdError, future::Future, sync::Arc, time::Duration};

use mcp_client_oauth::{
    TokenSource,
    mcp::{ConnectError, authorization_error, connect},
    platform::Platform,
    proto::foreign::Foreign,
};
use rmcp::{
    RoleClient,
    model::{CallToolRequestParams, CallToolResult, JsonObject, Tool},
    service::RunningService,
};

use crate::exit::{Exit, Failure};

/// How long the farewell to a server may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// A server that we are connected to.
#[derive(Debug)]
pub(crate) struct Connection {
    service: RunningService<RoleClient, ()>,
}

impl Connection {
    pub(crate) async fn open(source: Arc<dyn TokenSource>) -> Result<Self, Failure> {
        let service = connect(source).await.map_err(connect_failure)?;
        Ok(Self { service })
    }

    /// The revision of the protocol that both sides speak.
    pub(crate) fn protocol(&self) -> Option<String> {
        Some(Foreign::new(&self.service.peer_info()?.protocol_version.to_string()).to_string())
    }

    /// Name and version of the server, in its own words.
    pub(crate) fn server(&self) -> Option<String> {
        let info = self.service.peer_info()?;
        let own = info.server_info.as_ref()?;
        Some(Foreign::new(&format!("{} {}", own.name, own.version)).to_string())
    }

    /// Every tool; none if the server says that it has no tools.
    pub(crate) async fn tools(&self) -> Result<Vec<Tool>, Failure> {
        let info = self.service.peer_info();
        if info.is_some_and(|info| info.capabilities.tools.is_none()) {
            return Ok(Vec::new());
        }
        self.service
            .list_all_tools()
            .await
            .map_err(|error| service_failure(&error))
    }

    /// Calls a tool.
    pub(crate) async fn call(
        &self,
        tool: &'static str,
        arguments: JsonObject,
    ) -> Result<CallToolResult, Failure> {
        let params = CallToolRequestParams::new(tool).with_arguments(arguments);
        self.service
            .call_tool(params)
            .await
            .map_err(|error| service_failure(&error))
    }

    /// Ends the connection, and the session if the server has given one.
    pub(crate) async fn close(mut self) {
        // A server that does not answer any more is none of our business now.
        let _ = self.service.close_with_timeout(FAREWELL).await;
    }
}

/// Gives `work` so long and no longer.
pub(crate) async fn within<T>(
    platform: &Platform,
    limit: Duration,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::select! {
        outcome = work => outcome,
        () = platform.clock.sleep(limit) => Err(Failure::Other {
            code: "timed_out",
            message: format!("the server has not answered within {} seconds", limit.as_secs()),
            hint: Some("try again later, or give it more time: --timeout 2m".to_owned()),
            exit: Exit::Later,
        }),
    }
}

fn connect_failure(error: ConnectError) -> Failure {
    match error {
        ConnectError::Authorization(error) => error.into(),
        ConnectError::Mcp(error) => service_failure(&*error),
        other => mcp_failure(&other),
    }
}

fn service_failure(error: &(dyn StdError + 'static)) -> Failure {
    let own = authorization_error(error).cloned();
    own.map_or_else(|| mcp_failure(error), Into::into)
}

/// What a server or the transport says may have been written by a stranger.
fn mcp_failure(error: &dyn StdError) -> Failure {
    Failure::other(
        "mcp",
        format!(
            "the MCP server cannot be used: {}",
            Foreign::new(&error.to_string())
        ),
        Some("see what happens: the same command with -v".to_owned()),
    )
}
