//! The builder of a client.

use std::sync::Arc;

use url::Url;

use super::state::Client;
use crate::{
    client_registration::IdentityOptions,
    error::Error,
    platform::{Clock, HttpClient, Interaction, Platform},
    proto::private_key::PrivateKey,
    store::TokenStore,
};

/// Builds a [`Client`]. Each part is optional.
///
/// ```no_run
/// # async fn run() -> Result<(), mcp_client_oauth::Error> {
/// use mcp_client_oauth::{Client, TokenStore};
///
/// let client = Client::builder()
///     .store(TokenStore::memory())
///     .client_name("My App")
///     .build()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until it is built"]
pub struct ClientBuilder {
    platform: Platform,
    store: Option<TokenStore>,
    identity: IdentityOptions,
    is_public_only: bool,
}

impl Client {
    /// Creates a client with the best local store ([`TokenStore::open`]`("auto:")`), the user's browser and the network
    /// of the system. Nothing is stored before the first login.
    ///
    /// # Errors
    /// [`Error::TokenStorage`] if the store that exists needs a password, or cannot be read.
    #[cfg(feature = "encrypted-file")]
    pub async fn new() -> Result<Self, Error> {
        Self::builder().build().await
    }

    /// Returns a builder, to set the store, the name of the application, or an interface to the outside.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }
}

impl ClientBuilder {
    /// Sets the store of the tokens. Without it, the best local store is used ([`TokenStore::open`]`("auto:")`).
    pub fn store(mut self, store: TokenStore) -> Self {
        self.store = Some(store);
        self
    }

    /// Sets the name of the application, which the consent page shows after dynamic registration.
    pub fn client_name(mut self, name: impl Into<String>) -> Self {
        self.identity.client_name = name.into();
        self
    }

    /// Sets the `https` URL of the client metadata document that the application hosts, and its private key
    /// if the document has a public one (MCP authorization, Client ID Metadata Documents). A server that
    /// supports such documents needs no registration.
    pub fn client_metadata_url(mut self, url: Url, key: Option<PrivateKey>) -> Self {
        self.identity.document = Some(url);
        self.identity.document_key = key;
        self
    }

    /// Sets the HTTP client.
    pub fn http_client(mut self, http: impl HttpClient + 'static) -> Self {
        self.platform.http = Arc::new(http);
        self
    }

    /// Limits every request of this client and its sessions to public addresses with https: for an
    /// application that lets its users type server URLs, such as a web form. Without it, a server URL may
    /// be at any address, because the user of a desktop application named it.
    ///
    /// A server URL on loopback, in a private network (RFC 1918, RFC 6598, unique local IPv6), on a
    /// link-local address or on one of instance metadata is refused before a request is sent, and a name
    /// when its address is connected to, for each connection. The same is true for a stored login, for
    /// every URL that a server names, and for those of a [`Grant`](crate::Grant).
    ///
    /// Behind an HTTP proxy of the environment the proxy resolves names, so it has to refuse private
    /// addresses itself. So does an HTTP client of your own that sends requests with the tokens of a
    /// session ([`Session::send`](crate::Session::send)).
    ///
    /// ```no_run
    /// # async fn run() -> Result<(), mcp_client_oauth::Error> {
    /// use mcp_client_oauth::{Client, TokenStore};
    ///
    /// let client = Client::builder()
    ///     .store(TokenStore::memory())
    ///     .public_networks_only()
    ///     .build()
    ///     .await?;
    /// let refused = client.login("https://169.254.169.254/latest").await;
    /// assert!(refused.is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn public_networks_only(mut self) -> Self {
        self.is_public_only = true;
        self
    }

    /// Sets the clock, for tests.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.platform.clock = Arc::new(clock);
        self
    }

    /// Sets the interaction with the user: how a URL is opened and a code is shown.
    ///
    /// Without it, the browser is opened and nothing is shown; a program in a terminal sets
    /// [`Terminal`](crate::platform::Terminal).
    pub fn interaction(mut self, interaction: impl Interaction + 'static) -> Self {
        self.platform.interaction = Arc::new(interaction);
        self
    }

    /// Builds the client.
    ///
    /// # Errors
    /// [`Error::TokenStorage`] if no store is set and the local one needs a password or cannot be read.
    pub async fn build(self) -> Result<Client, Error> {
        let store = match self.store {
            Some(store) => store,
            None => local_store().await?,
        };
        // Now, and not when the option was set: the HTTP client may have been set after it.
        let platform = if self.is_public_only {
            self.platform.public_networks_only()
        } else {
            self.platform
        };
        Ok(Client::from_parts(platform, store, self.identity))
    }
}

#[cfg(feature = "encrypted-file")]
async fn local_store() -> Result<TokenStore, Error> {
    let (files, selection) =
        mcp_oauth_store::auto(&mcp_oauth_store::AutoOptions::default()).await?;
    tracing::debug!(%selection, "selected a token store");
    Ok(TokenStore::new(Arc::new(files)))
}

#[cfg(not(feature = "encrypted-file"))]
async fn local_store() -> Result<TokenStore, Error> {
    Ok(std::future::ready(TokenStore::open("auto:")).await?)
}
