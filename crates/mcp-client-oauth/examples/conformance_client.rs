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
    AssertionSource, Client, Grant, IdentityProvider, Login, Secret, ServerUrl, TokenStore,
    adapters::rmcp::connect,
    flow::{Challenge, Issuer, PreregisteredClient, PrivateKey},
    platform::{AddressSpace, Interaction, Platform, Request, ReqwestClient},
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
    let client = Client::builder()
        .store(TokenStore::memory())
        .interaction(Arc::new(Browser(Platform::default())))
        .client_metadata_url(DOCUMENT.parse()?, None)
        .build()
        .await?;
    let login = settings.apply(client.login(server).challenge(challenge))?;
    let session = login.on_demand().await?;
    let network = ReqwestClient::default();
    use_tools(connect(session, &network, Some(settings.lifecycle())).await?).await
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

    /// Returns the login with these settings.
    fn apply(&self, mut login: Login) -> Result<Login, Failure> {
        if self.revision == "2025-03-26" {
            login = login.legacy();
        }
        if let Some(id) = self.known("client_id") {
            login = login.client_id(id);
            if let Some(secret) = self.known("client_secret") {
                login = login.client_secret(Secret::new(secret.to_owned()));
            }
            if let Some(key) = self.known("private_key_pem") {
                login = login.private_key(PrivateKey::from_pem(key)?);
            }
            if let Some(issuer) = self.known("issuer") {
                login = login.client_issuer(Issuer::from(issuer));
            }
        }
        Ok(login.grant(self.grant()?))
    }

    /// Returns the non-interactive grant that the settings have the credentials for, else the browser. A
    /// client ID without an issuer is for client credentials.
    fn grant(&self) -> Result<Grant, Failure> {
        let given = |text: &str| AssertionSource::Provided(Secret::new(text.to_owned()));
        if let Some(jwt) = self.known("valid_jwt") {
            let assertion = given(jwt);
            return Ok(Grant::WorkloadIdentity { assertion });
        }
        if let (Some(endpoint), Some(token)) =
            (self.known("idp_token_endpoint"), self.known("idp_id_token"))
        {
            let issuer = Issuer::from(self.known("idp_issuer").unwrap_or_default());
            let client =
                PreregisteredClient::new(self.known("idp_client_id").unwrap_or_default(), None);
            let idp = IdentityProvider::new(issuer, endpoint, &client, given(token))?;
            return Ok(Grant::Enterprise { idp: Box::new(idp) });
        }
        Ok(match (self.known("client_id"), self.known("issuer")) {
            (Some(_), None) => Grant::ClientCredentials,
            _ => Grant::Browser,
        })
    }

    fn known(&self, name: &str) -> Option<&str> {
        self.context[name].as_str()
    }
}
