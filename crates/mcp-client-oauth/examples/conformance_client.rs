//! A client for the public conformance suite, which `conformance/run` starts. It connects to the server
//! that is its last argument, logs in if the server requires it, and calls the tools.
//!
//! It does the same for every scenario. It reads from its environment what an application has in its
//! settings: the revision of the specification, and the pre-registered client.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example prints its results"
)]

use std::{error::Error as StdError, process::ExitCode, sync::Arc, time::Duration};

use async_trait::async_trait;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use mcp_client_oauth::{
    IdentityProvider, InteractiveSession, LoginOptions, NonInteractiveGrant, PreregisteredClient,
    Secret, ServerUrl, TokenStore,
    mcp::connect_with_lifecycle,
    platform::{AddressSpace, AssertionSource, Interaction, Platform, Request},
    proto::{challenge::Challenge, private_key::PrivateKey, server_metadata::Issuer},
};
use rmcp::{
    ServiceError,
    model::ClientConfig,
    service::{
        ClientInitializeError, ClientLifecycleMode, ClientServiceExt, RoleClient, RunningService,
    },
    transport::StreamableHttpClientTransport,
};
use serde_json::Value;
use url::Url;

#[path = "support/tools.rs"]
mod tools;

use tools::{Failure, TOOLS, call, lifecycle};

/// The time limit: the suite cannot stop a client that hangs.
const DEADLINE: Duration = Duration::from_secs(25);
/// The number of pages that the browser follows until it is redirected to the listener.
const PAGES: usize = 8;
/// The metadata document of this client, for servers that support one.
const DOCUMENT: &str = "https://conformance-test.local/client-metadata.json";

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = tokio::time::timeout(DEADLINE, run()).await;
    match outcome.unwrap_or_else(|late| Err(late.into())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Failure> {
    let server = std::env::args().next_back().unwrap_or_default().parse()?;
    visit(&server, &Settings::from_environment()?).await
}

/// Uses the server without a token, and logs in if it requires one.
async fn visit(server: &ServerUrl, settings: &Settings) -> Result<(), Failure> {
    let refused = match use_openly(server, settings).await {
        Ok(()) => return Ok(()),
        Err(error) => error,
    };
    let challenge = challenge(&*refused).ok_or(refused)?;
    let platform = Platform::system();
    let browser = Arc::new(Browser(platform.clone()));
    let mut options = settings.login()?;
    options.discovery.challenge = Some(challenge);
    let source = InteractiveSession::open(
        platform.with_interaction(browser),
        TokenStore::memory(),
        server.clone(),
        options,
    )
    .await?;
    use_tools(connect_with_lifecycle(Arc::new(source), settings.lifecycle()).await?).await
}

async fn use_openly(server: &ServerUrl, settings: &Settings) -> Result<(), Failure> {
    let transport = StreamableHttpClientTransport::from_uri(server.as_str());
    let client = ClientConfig::default().serve_with_lifecycle(transport, settings.lifecycle());
    use_tools(client.await?).await
}

/// Lists the tools, and calls the first ones.
async fn use_tools(client: RunningService<RoleClient, ClientConfig>) -> Result<(), Failure> {
    for tool in client.list_all_tools().await?.into_iter().take(TOOLS) {
        client.call_tool(call(&tool)).await?;
        println!("called {}", tool.name);
    }
    client.cancel().await?;
    Ok(())
}

/// Returns the challenge of the server, if it made the request fail.
fn challenge(error: &(dyn StdError + 'static)) -> Option<Challenge> {
    let header = match error.downcast_ref::<ServiceError>() {
        Some(error) => error.auth_challenge(),
        None => error
            .downcast_ref::<ClientInitializeError>()
            .and_then(ClientInitializeError::auth_challenge),
    };
    let value = HeaderValue::from_str(header?).ok()?;
    let headers = HeaderMap::from_iter([(header::WWW_AUTHENTICATE, value)]);
    Challenge::from_headers(StatusCode::UNAUTHORIZED, &headers)
}

/// Acts as the user's browser: opens the page and follows its redirects to the listener.
struct Browser(Platform);

#[async_trait]
impl Interaction for Browser {
    async fn open(&self, url: &Url) {
        let (platform, mut at) = (self.0.clone(), url.clone());
        tokio::spawn(async move {
            for _ in 0..PAGES {
                let request = Request::new(Method::GET, at.clone(), AddressSpace::Loopback);
                let response = match platform.http.send(request).await {
                    Ok(response) => response,
                    Err(error) => return eprintln!("the browser failed: {error}"),
                };
                let next = response.header(header::LOCATION).map(|to| at.join(to));
                let Some(Ok(next)) = next.filter(|_| response.status.is_redirection()) else {
                    return;
                };
                at = next;
            }
        });
    }
}

/// Holds what an application has in its settings.
struct Settings {
    /// The revision of the specification that the server supports.
    revision: String,
    /// The configuration of the client.
    context: Value,
}

impl Settings {
    #[expect(
        clippy::disallowed_methods,
        reason = "the suite passes the settings in the environment"
    )]
    fn from_environment() -> Result<Self, Failure> {
        let variable = |name| std::env::var(name).unwrap_or_default();
        let context = variable("MCP_CONFORMANCE_CONTEXT");
        Ok(Self {
            revision: variable("MCP_CONFORMANCE_PROTOCOL_VERSION"),
            context: match context.as_str() {
                "" => Value::Null,
                text => serde_json::from_str(text)?,
            },
        })
    }

    fn lifecycle(&self) -> ClientLifecycleMode {
        lifecycle(&self.revision)
    }

    fn login(&self) -> Result<LoginOptions, Failure> {
        let mut options = LoginOptions::default();
        options.discovery.legacy = self.revision == "2025-03-26";
        options.identity.document = Some(DOCUMENT.parse()?);
        options.identity.preregistered = self.known("client_id").map(|id| {
            let secret = self
                .known("client_secret")
                .map(|text| Secret::new(text.to_owned()));
            let mut client = PreregisteredClient::new(id, secret);
            client.issuer = self.known("issuer").map(Issuer::new);
            client
        });
        if let Some(key) = self.known("private_key_pem") {
            let key = PrivateKey::from_pem(key)?;
            let client = options.identity.preregistered.take();
            options.identity.preregistered = client.map(|client| client.with_private_key(key));
        }
        options.non_interactive = self.non_interactive()?;
        Ok(options)
    }

    /// Returns the non-interactive grant that the settings have the credentials for, if any. A client ID
    /// without an issuer is for client credentials.
    fn non_interactive(&self) -> Result<Option<NonInteractiveGrant>, Failure> {
        let given = |text: &str| AssertionSource::Provided(Secret::new(text.to_owned()));
        if let Some(jwt) = self.known("valid_jwt") {
            let assertion = given(jwt);
            return Ok(Some(NonInteractiveGrant::Workload { assertion }));
        }
        if let (Some(endpoint), Some(token)) =
            (self.known("idp_token_endpoint"), self.known("idp_id_token"))
        {
            let issuer = Issuer::new(self.known("idp_issuer").unwrap_or_default());
            let client =
                PreregisteredClient::new(self.known("idp_client_id").unwrap_or_default(), None);
            let idp = IdentityProvider::new(issuer, endpoint, &client, given(token))?;
            return Ok(Some(NonInteractiveGrant::Enterprise { idp: Box::new(idp) }));
        }
        let is_client_credentials =
            self.known("client_id").is_some() && self.known("issuer").is_none();
        Ok(is_client_credentials.then_some(NonInteractiveGrant::ClientCredentials))
    }

    fn known(&self, name: &str) -> Option<&str> {
        self.context[name].as_str()
    }
}
