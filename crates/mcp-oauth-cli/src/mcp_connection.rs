//! A connection as an MCP client, by the official `rmcp` crate with our tokens; for `test`,
//! `tools` and `demo`.

use std::{error::Error as StdError, future::Future, io, sync::Arc, time::Duration};

use mcp_client_oauth::{
    Error, ServerUrl, TokenSource,
    error::HttpError,
    mcp::{
        ConnectError, authorization_error, connect_with_http_client, default_lifecycle,
        network_cause,
    },
    platform::{Platform, ReqwestClient},
    proto::untrusted_text::UntrustedText,
};
use rmcp::{
    RoleClient,
    model::{CallToolRequestParams, CallToolResult, ClientConfig, JsonObject, Tool},
    service::{ClientInitializeError, RunningService},
    transport::streamable_http_client::{AuthRequiredError, HttpStatusError, StreamableHttpError},
};

use crate::error::{Exit, Failure};

/// Says how long the farewell to a server may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// A server that we are connected to.
#[derive(Debug)]
pub(crate) struct Connection {
    service: RunningService<RoleClient, ClientConfig>,
    server: ServerUrl,
}

impl Connection {
    pub(crate) async fn open(
        source: Arc<dyn TokenSource>,
        network: &ReqwestClient,
    ) -> Result<Self, Failure> {
        let server = source.server().clone();
        let connected = connect_with_http_client(source, network, default_lifecycle()).await;
        let service = connected.map_err(|error| connect_failure(error, &server))?;
        Ok(Self { service, server })
    }

    /// Returns the revision of the protocol that both sides speak.
    pub(crate) fn protocol(&self) -> Option<String> {
        Some(
            UntrustedText::new(&self.service.peer_info()?.protocol_version.to_string()).to_string(),
        )
    }

    /// Name and version of the server, in its own words.
    pub(crate) fn server(&self) -> Option<String> {
        let info = self.service.peer_info()?;
        let own = info.server_info.as_ref()?;
        let named = format!("{} {}", own.name, own.version);
        Some(UntrustedText::new(named.trim()).to_string())
    }

    /// Returns every tool; none if the server says that it has no tools.
    pub(crate) async fn tools(&self) -> Result<Vec<Tool>, Failure> {
        let info = self.service.peer_info();
        if info.is_some_and(|info| info.capabilities.tools.is_none()) {
            return Ok(Vec::new());
        }
        self.service
            .list_all_tools()
            .await
            .map_err(|error| service_failure(&error, &self.server))
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
            .map_err(|error| service_failure(&error, &self.server))
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

fn connect_failure(error: ConnectError, server: &ServerUrl) -> Failure {
    match error {
        ConnectError::Authorization(error) => error.into(),
        ConnectError::Mcp(error) => service_failure(&*error, server),
        other => mcp_failure(&other),
    }
}

fn service_failure(error: &(dyn StdError + 'static), server: &ServerUrl) -> Failure {
    if let Some(own) = authorization_error(error) {
        return own.clone().into();
    }
    let http = network_cause(error).map(|cause| HttpError::new(server.as_url(), cause));
    if let Some(http) = http.filter(HttpError::is_about_certificates) {
        return Error::from(http).into();
    }
    match reason(error) {
        Some(Reason::Refused) => {
            Failure::TokenRefused(format!("{server} refuses the token, and a fresh one too"))
        }
        Some(Reason::Unreachable) => Failure::Other {
            code: "http",
            message: format!("{server} cannot be reached: {}", innermost(error)),
            hint: Some("check the URL and the network, then try again".to_owned()),
            exit: Exit::Later,
        },
        None => mcp_failure(error),
    }
}

/// Says why a connection failed, as far as that decides what helps.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Reason {
    /// A 401 that stayed.
    Refused,
    /// The network, or a server that is busy.
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

/// `rmcp` does not name every cause as the source of its error.
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

/// Returns the last cause in a chain says what the system said.
fn innermost(error: &(dyn StdError + 'static)) -> UntrustedText {
    let text = causes(error).last().map(ToString::to_string);
    UntrustedText::new(&text.unwrap_or_default())
}

/// Returns what a server or the transport says may have been written by a stranger.
fn mcp_failure(error: &dyn StdError) -> Failure {
    Failure::other(
        "mcp",
        format!(
            "the MCP server cannot be used: {}",
            UntrustedText::new(&error.to_string())
        ),
        Some("see what happens: the same command with -v".to_owned()),
    )
}
