//! A connection as an MCP client, by the official `rmcp` crate with the stored tokens; for `test`,
//! `tools` and `demo`.

use std::{error::Error as StdError, future::Future, io, time::Duration};

use mcp_client_oauth::{
    Error, ServerUrl, Session,
    adapters::{
        self,
        rmcp::{ConnectError, connect},
    },
    error::{HttpError, HttpErrorKind, UntrustedText},
    platform::{Platform, ReqwestClient},
};
use rmcp::{
    RoleClient,
    model::{CallToolRequestParams, CallToolResult, ClientConfig, JsonObject, Tool},
    service::{ClientInitializeError, RunningService},
    transport::streamable_http_client::{AuthRequiredError, HttpStatusError, StreamableHttpError},
};

use crate::error::{Exit, Failure};

/// The longest time to close a connection.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// A connection to an MCP server.
#[derive(Debug)]
pub(crate) struct Connection {
    service: RunningService<RoleClient, ClientConfig>,
    server: ServerUrl,
}

impl Connection {
    pub(crate) async fn open(session: Session, network: &ReqwestClient) -> Result<Self, Failure> {
        let server = session.key().server().clone();
        let connected = connect(session, network, None).await;
        let service = connected.map_err(|error| connect_failure(error, &server))?;
        Ok(Self { service, server })
    }

    /// Returns the negotiated version of the protocol.
    pub(crate) fn protocol(&self) -> Option<String> {
        Some(
            UntrustedText::new(&self.service.peer_info()?.protocol_version.to_string()).to_string(),
        )
    }

    /// Returns the name and version that the server reports.
    pub(crate) fn server(&self) -> Option<String> {
        let info = self.service.peer_info()?;
        let own = info.server_info.as_ref()?;
        let named = format!("{} {}", own.name, own.version);
        Some(UntrustedText::new(named.trim()).to_string())
    }

    /// Returns every tool; none if the server has no `tools` capability.
    pub(crate) async fn tools(&self) -> Result<Vec<Tool>, Failure> {
        let info = self.service.peer_info();
        if info.is_some_and(|info| info.capabilities.tools.is_none()) {
            return Ok(Vec::new());
        }
        self.service
            .list_all_tools()
            .await
            .map_err(|error| service_failure("call", &error, &self.server))
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
            .map_err(|error| service_failure("call", &error, &self.server))
    }

    /// Ends the connection, and the session if there is one.
    pub(crate) async fn close(mut self) {
        // The work is done: a server that does not respond now changes nothing.
        let _ = self.service.close_with_timeout(CLOSE_TIMEOUT).await;
    }
}

/// Runs `work`, and fails if it takes longer than `limit`.
pub(crate) async fn within<T>(
    platform: &Platform,
    limit: Duration,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::select! {
        outcome = work => outcome,
        () = platform.clock.sleep(limit) => Err(Failure::Other {
            code: "timed_out",
            message: format!("the server did not respond within {} s", limit.as_secs()),
            hint: Some("try again later, or with a longer timeout: --timeout 2m".to_owned()),
            exit: Exit::Later,
        }),
    }
}

/// Returns whether one side did not accept the certificate of the other.
fn is_about_certificates(error: &HttpError) -> bool {
    matches!(
        error.cause,
        HttpErrorKind::Certificate(_) | HttpErrorKind::CertificateRequired
    )
}

fn connect_failure(error: ConnectError, server: &ServerUrl) -> Failure {
    match error {
        ConnectError::Authorization(error) => error.into(),
        ConnectError::Mcp(error) => service_failure("connect to", &*error, server),
        other => mcp_failure("connect to", &other, server),
    }
}

/// Returns the failure of an `action` on the server.
fn service_failure(action: &str, error: &(dyn StdError + 'static), server: &ServerUrl) -> Failure {
    match adapters::rmcp::cause_of(error, server) {
        // The other failures of the network are described below.
        Some(Error::Http(http)) if !is_about_certificates(&http) => {}
        Some(cause) => return cause.into(),
        None => {}
    }
    match reason(error) {
        Some(Reason::Refused) => {
            Failure::TokenRefused(format!("{server} rejected the token and the refreshed one"))
        }
        Some(Reason::Unreachable) => Failure::Other {
            code: "http",
            message: format!("cannot reach {server}: {}", innermost(error)),
            hint: Some("check the URL and the network, then try again".to_owned()),
            exit: Exit::Later,
        },
        None => mcp_failure(action, error, server),
    }
}

/// The reason of a failed connection, as far as the hint depends on it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Reason {
    /// HTTP 401 for the token and for the refreshed one.
    Refused,
    /// The network failed, or the server is busy.
    Unreachable,
}

fn reason(error: &(dyn StdError + 'static)) -> Option<Reason> {
    causes(error).find_map(|cause| {
        if cause.is::<AuthRequiredError>() {
            return Some(Reason::Refused);
        }
        match status(cause) {
            Some(401) => Some(Reason::Refused),
            Some(429 | 502..=504) => Some(Reason::Unreachable),
            _ => cause.is::<io::Error>().then_some(Reason::Unreachable),
        }
    })
}

fn status(cause: &(dyn StdError + 'static)) -> Option<u16> {
    if let Some(error) = cause.downcast_ref::<HttpStatusError>() {
        return Some(error.status);
    }
    let error = cause.downcast_ref::<reqwest::Error>()?;
    error.status().map(|status| status.as_u16())
}

fn causes<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| cause_of(*error))
}

/// Returns the cause of an error. `rmcp` does not return every cause as the source of its error.
fn cause_of<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    match error.downcast_ref() {
        Some(ClientInitializeError::TransportError { error, .. }) => Some(&*error.error),
        Some(ClientInitializeError::LegacyFallbackFailed { fallback, .. }) => Some(&**fallback),
        _ => match error.downcast_ref() {
            Some(StreamableHttpError::<reqwest::Error>::Client(error)) => Some(error),
            _ => error.source(),
        },
    }
}

/// Returns the last cause of the chain, which is the error of the operating system.
fn innermost(error: &(dyn StdError + 'static)) -> UntrustedText {
    let text = causes(error).last().map(ToString::to_string);
    UntrustedText::new(&text.unwrap_or_default())
}

/// Returns the failure of an MCP error. Its text may come from the server, so it is escaped.
fn mcp_failure(action: &str, error: &dyn StdError, server: &ServerUrl) -> Failure {
    Failure::other(
        "mcp",
        format!(
            "cannot {action} the MCP server {server}: {}",
            UntrustedText::new(&error.to_string())
        ),
        Some("to see each step, run the same command with -v".to_owned()),
    )
}
