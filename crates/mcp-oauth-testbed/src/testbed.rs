//! The running servers, and the methods for tests to control and inspect them.

mod assertions;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use url::Url;

use crate::faults::Fault;
use crate::middleware;
use crate::request_log::{Peer, RecordedRequest};
use crate::serve::{self, RunningServer};
use crate::settings::Settings;
use crate::state::token_store::tokens::{IssuedToken, TokenFamily};
use crate::state::{Origins, TestbedState};

/// Two running servers, or three with an identity provider. Dropping it stops them.
#[derive(Debug)]
pub struct Testbed {
    state: Arc<TestbedState>,
    server_url: Url,
    mcp: RunningServer,
    authorization: RunningServer,
    /// Serves until the testbed is dropped.
    _identity_provider: Option<RunningServer>,
}

impl Testbed {
    /// Starts the servers of the settings.
    pub(crate) async fn start_with(settings: Settings, faults: Vec<Fault>) -> io::Result<Self> {
        let (mcp_listener, mcp) = serve::bind().await?;
        let (as_listener, authorization) = serve::bind().await?;
        let provider = match settings.enterprise {
            Some(_) => Some(serve::bind().await?),
            None => None,
        };
        let origins = Origins {
            mcp: format!("http://{mcp}"),
            authorization: match settings.legacy {
                Some(_) => format!("http://{mcp}"),
                None => format!("http://{authorization}"),
            },
            identity_provider: provider
                .as_ref()
                .map(|(_, address)| format!("http://{address}"))
                .unwrap_or_default(),
        };
        let server_url = Url::parse(&origins.server_url()).map_err(io::Error::other)?;
        let state = TestbedState::new(settings, origins, faults).map_err(io::Error::other)?;
        let state = Arc::new(state);
        Ok(Self {
            mcp: RunningServer::start(mcp_listener, middleware::mcp_router(&state)),
            authorization: RunningServer::start(
                as_listener,
                middleware::authorization_router(&state),
            ),
            _identity_provider: provider.map(|(listener, _)| {
                RunningServer::start(listener, middleware::identity_provider_router(&state))
            }),
            state,
            server_url,
        })
    }

    /// Returns the URL of the MCP server: `http://127.0.0.1:PORT/mcp`.
    pub fn server_url(&self) -> Url {
        self.server_url.clone()
    }

    /// Returns the issuer of the authorization server, without a trailing slash.
    pub fn issuer(&self) -> String {
        self.state.issuer()
    }

    /// Returns every request that the servers received, in the order of arrival.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.state.log().requests().to_vec()
    }

    /// Returns the number of requests with this method and path that a server received.
    pub fn count(&self, to: Peer, method: &str, path: &str) -> usize {
        self.state.log().count(to, method, path)
    }

    /// Returns the number of token requests with this `grant_type` that the authorization server
    /// received.
    pub fn token_requests(&self, grant_type: &str) -> usize {
        self.state.log().token_requests(grant_type)
    }

    /// Waits until a server has received this many requests with this method and path. They may still
    /// be without a response: a test can wait for a request that it holds.
    pub async fn wait_for_requests(&self, to: Peer, method: &str, path: &str, requests: usize) {
        let mut arrivals = self.state.log().arrivals();
        while self.count(to, method, path) < requests {
            if arrivals.changed().await.is_err() {
                return;
            }
        }
    }

    /// Clears the request log.
    pub fn clear_requests(&self) {
        self.state.log().clear();
    }

    /// Switches a fault on.
    pub fn set_fault(&self, fault: Fault) {
        self.state.faults().add(fault);
    }

    /// Switches every fault off. Responses that are held stay so until [`Testbed::release`].
    pub fn clear_faults(&self) {
        self.state.faults().clear();
    }

    /// Sends every held response, and holds no more.
    pub fn release(&self) {
        self.state.release();
    }

    /// Moves the testbed's clock forward.
    pub fn advance(&self, by: Duration) {
        self.state.clock().advance(by);
    }

    /// Replaces the nonces of both servers, which then refuse the old ones (RFC 9449 §8.2).
    pub fn renew_dpop_nonces(&self) {
        self.state.nonces().renew();
    }

    /// Revokes every issued access token. Refresh tokens stay valid.
    pub fn revoke_access_tokens(&self) {
        self.state.token_store().tokens.revoke_access_tokens();
    }

    /// Revokes every issued token.
    pub fn revoke_all_tokens(&self) {
        self.state.token_store().tokens.revoke_all();
    }

    /// Makes a tool require a scope; a call without it gets 403 `insufficient_scope`. The authorization
    /// server grants that scope to clients that request it.
    pub fn require_scope(&self, tool: impl Into<String>, scope: impl Into<String>) {
        self.state.require_scope(tool.into(), scope.into());
    }

    /// Returns the refresh token families, also revoked ones, in the order of their creation.
    pub fn families(&self) -> Vec<TokenFamily> {
        self.state.token_store().tokens.families()
    }

    /// Returns every issued access token, in the order of issue.
    pub fn issued_tokens(&self) -> Vec<IssuedToken> {
        self.state.token_store().tokens.issued()
    }

    /// Returns whether a refresh token was used and replaced by another one: a client that has only
    /// this one has lost its login.
    pub fn is_spent(&self, refresh_token: &str) -> bool {
        self.state.token_store().tokens.is_spent(refresh_token)
    }

    /// Stops the authorization server: closes its connections and refuses new ones. For a legacy server,
    /// where it is part of the MCP server, use [`Testbed::stop_mcp_server`].
    pub async fn stop_authorization_server(&self) {
        self.authorization.stop().await;
    }

    /// Removes every dynamically registered client, like a restart of a server that keeps them in memory.
    pub fn remove_registrations(&self) {
        self.state.token_store().remove_registrations();
    }

    /// Stops the MCP server: closes its connections and refuses new ones.
    pub async fn stop_mcp_server(&self) {
        self.mcp.stop().await;
    }

    /// Starts the MCP server again on the same port. It keeps its notes and loses its sessions.
    pub async fn start_mcp_server(&self) -> io::Result<()> {
        self.remove_sessions();
        self.state.streams().close_all();
        let address = self.server_url.socket_addrs(|| None)?;
        let listener = tokio::net::TcpListener::bind(&address[..]).await?;
        self.mcp
            .restart(listener, middleware::mcp_router(&self.state));
        Ok(())
    }

    /// Removes every session of the MCP server: requests with their ids get 404.
    pub fn remove_sessions(&self) {
        self.state.service().sessions.clear();
    }

    /// Sends a server-initiated message; see [`Builder::streams`](crate::Builder::streams).
    pub fn send_message(&self, message: Value) {
        self.state.streams().push(message);
    }

    /// Closes every stream for server-initiated messages.
    pub fn close_streams(&self) {
        self.state.streams().close_all();
    }

    /// Returns the notes, with those that the tool `write_note` added, in their order.
    pub fn notes(&self) -> Vec<String> {
        self.state.service().notes.clone()
    }
}
