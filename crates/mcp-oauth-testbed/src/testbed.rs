//! The running servers, and what a test does to them and sees of them.

mod assertions;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use url::Url;

use crate::faults::Fault;
use crate::middleware;
use crate::request_log::{Peer, Recorded};
use crate::serve::{self, Serving};
use crate::settings::Settings;
use crate::state::token_store::tokens::{IssuedToken, TokenFamily};
use crate::state::{Origins, TestbedState};

/// Two running servers, or three with an identity provider. Dropping it stops them.
#[derive(Debug)]
pub struct Testbed {
    world: Arc<TestbedState>,
    server_url: Url,
    mcp: Serving,
    authorization: Serving,
    /// Serves until the testbed is dropped.
    _identity_provider: Option<Serving>,
}

impl Testbed {
    /// Starts the servers that the settings ask for.
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
        let world = TestbedState::new(settings, origins, faults).map_err(io::Error::other)?;
        let world = Arc::new(world);
        Ok(Self {
            mcp: Serving::start(mcp_listener, middleware::mcp_side(&world)),
            authorization: Serving::start(as_listener, middleware::authorization_side(&world)),
            _identity_provider: provider
                .map(|(listener, _)| Serving::start(listener, middleware::provider_side(&world))),
            world,
            server_url,
        })
    }

    /// Returns the URL of the MCP server: `http://127.0.0.1:PORT/mcp`.
    pub fn server_url(&self) -> Url {
        self.server_url.clone()
    }

    /// Returns the issuer of the authorization server, without a trailing slash.
    pub fn issuer(&self) -> String {
        self.world.issuer()
    }

    /// Returns every request that either server got, in the order of arrival.
    pub fn requests(&self) -> Vec<Recorded> {
        self.world.log().requests().to_vec()
    }

    /// Returns how many requests of this method and path a server got.
    pub fn count(&self, to: Peer, method: &str, path: &str) -> usize {
        self.world.log().count(to, method, path)
    }

    /// Returns how many token requests of this `grant_type` the authorization server got.
    pub fn token_requests(&self, grant_type: &str) -> usize {
        self.world.log().token_requests(grant_type)
    }

    /// Waits until a server has got this many requests of this method and path. They have arrived,
    /// and may not be answered yet: a test waits here for a request that it holds.
    pub async fn arrived(&self, to: Peer, method: &str, path: &str, requests: usize) {
        let mut arrivals = self.world.log().arrivals();
        while self.count(to, method, path) < requests {
            if arrivals.changed().await.is_err() {
                return;
            }
        }
    }

    /// Forgets the requests so far.
    pub fn forget_requests(&self) {
        self.world.log().forget();
    }

    /// Switches a fault on.
    pub fn set_fault(&self, fault: Fault) {
        self.world.faults().add(fault);
    }

    /// Switches every fault off. Answers that are held stay so until [`Testbed::release`].
    pub fn clear_faults(&self) {
        self.world.faults().clear();
    }

    /// Lets every held answer go, and holds no more.
    pub fn release(&self) {
        self.world.release();
    }

    /// Moves the testbed's clock forward.
    pub fn advance(&self, by: Duration) {
        self.world.clock().advance(by);
    }

    /// Both servers have new nonces, and take the old ones no more (RFC 9449 §8.2).
    pub fn renew_dpop_nonces(&self) {
        self.world.nonces().renew();
    }

    /// The MCP server refuses every access token that was issued so far. Refresh tokens still work.
    pub fn revoke_access_tokens(&self) {
        self.world.ledger().tokens.revoke_access_tokens();
    }

    /// No token that was issued so far works any more.
    pub fn revoke_everything(&self) {
        self.world.ledger().tokens.revoke_everything();
    }

    /// From now on a tool needs a scope, and gets 403 `insufficient_scope` without it. The
    /// authorization server grants that scope to who asks.
    pub fn require_scope(&self, tool: impl Into<String>, scope: impl Into<String>) {
        self.world.require_scope(tool.into(), scope.into());
    }

    /// Returns the refresh token families, dead ones too, in the order in which they were founded.
    pub fn families(&self) -> Vec<TokenFamily> {
        self.world.ledger().tokens.families()
    }

    /// Returns every access token that was issued, in that order, with what each is for.
    pub fn issued_tokens(&self) -> Vec<IssuedToken> {
        self.world.ledger().tokens.issued()
    }

    /// Returns whether a refresh token was presented, and another one given for it: who has no other one
    /// has lost the login.
    pub fn is_spent(&self, refresh_token: &str) -> bool {
        self.world.ledger().tokens.is_spent(refresh_token)
    }

    /// The authorization server is gone: connections are cut, and new ones refused. Of a legacy
    /// server, whose authorization server is the MCP server, only the latter can go.
    pub async fn kill_authorization_server(&self) {
        self.authorization.stop().await;
    }

    /// Removes every client that has registered itself, as a development server does that keeps them
    /// in memory and is restarted.
    pub fn forget_registrations(&self) {
        self.world.ledger().forget_registrations();
    }

    /// The MCP server is gone: connections are cut, and new ones refused.
    pub async fn stop_mcp_server(&self) {
        self.mcp.stop().await;
    }

    /// Returns the MCP server is there again, at the same place: it has its notes, and none of its sessions.
    pub async fn start_mcp_server(&self) -> io::Result<()> {
        self.forget_sessions();
        self.world.streams().cut();
        let place = self.server_url.socket_addrs(|| None)?;
        let listener = tokio::net::TcpListener::bind(&place[..]).await?;
        self.mcp
            .restart(listener, middleware::mcp_side(&self.world));
        Ok(())
    }

    /// The MCP server knows no session any more: each gets 404.
    pub fn forget_sessions(&self) {
        self.world.service().sessions.clear();
    }

    /// The MCP server says something of its own accord; see [`Builder::streams`](crate::Builder::streams).
    pub fn say(&self, message: Value) {
        self.world.streams().say(message);
    }

    /// Every stream on which the MCP server speaks of its own accord ends.
    pub fn cut_streams(&self) {
        self.world.streams().cut();
    }

    /// Returns what was written by the tool `write_note`: its side effects, in their order.
    pub fn notes(&self) -> Vec<String> {
        self.world.service().notes.clone()
    }
}
