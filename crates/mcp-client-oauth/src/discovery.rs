//! Step 1: discovery of the authorization server of an MCP server
//! (RFC 9728, RFC 8414, OpenID Connect Discovery 1.0; MCP authorization, Authorization Server Discovery).

use std::time::{Duration, SystemTime};

use http::{HeaderValue, header};
use mcp_oauth_support::UntrustedText;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::{
    error::{Attempt, DiscoveryError, Error},
    platform::{AddressSpace, METADATA_DEADLINE, Platform, Request, Response},
    proto::{
        challenge::Challenge,
        endpoint::EndpointUrl,
        resource_metadata::{self, Resource, ResourceMetadata},
        scope::{self, Scope},
        server_metadata::{Issuer, ServerMetadata},
        token::AuthScheme,
    },
    quirks::Quirks,
    server_url::ServerUrl,
};

mod fetch;
mod legacy;

use fetch::{Budget, Document, Fetched};

/// Holds what discovery found about a server: everything that the later steps need.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Discovery {
    /// The MCP server, as the user named it.
    #[serde(deserialize_with = "ServerUrl::deserialize_allow_http")]
    pub server: ServerUrl,
    /// The resource that tokens are requested for, as the server publishes it.
    pub resource: Resource,
    /// Its authorization server.
    pub metadata: ServerMetadata,
    /// The scope of the challenge (MCP authorization, Scope Selection Strategy).
    pub challenged_scope: Option<Scope>,
    /// The scopes that the resource lists.
    pub listed_scope: Option<Scope>,
    /// The number of scopes that the resource lists beyond the limits of this client (1,024 scopes, 16 KiB):
    /// these are requested only if the caller names them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub scopes_left_out: usize,
    /// Says whether the resource requires tokens that are bound to a key (RFC 9449), by its metadata or by
    /// the scheme `DPoP` of its challenge.
    #[serde(default, rename = "wants_dpop")]
    pub requires_dpop: bool,
    /// The quirks of the server: those of the options, and the known ones of its provider.
    #[serde(default, skip_serializing_if = "Quirks::is_empty")]
    pub quirks: Quirks,
    /// The address space that the authorization server may be in.
    #[serde(rename = "reach")]
    pub address_space: AddressSpace,
    /// The source of this discovery.
    pub source: DiscoverySource,
    /// The time until which it may be used again without a request.
    pub fresh_until: SystemTime,
}

/// The source of a [`Discovery`].
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum DiscoverySource {
    /// From protected resource metadata at this URL.
    Metadata(Url),
    /// By the rules of 2025-03-26. Where the server has no metadata, the default endpoints are used and
    /// PKCE is assumed.
    Legacy,
    /// From the caller ([`DiscoveryOptions::manual`]).
    Manual,
}

/// Holds the options of discovery.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct DiscoveryOptions {
    /// The challenge that made discovery necessary; without one it is requested from the server.
    pub challenge: Option<Challenge>,
    /// Says whether a server without protected resource metadata is treated as one of the revision
    /// 2025-03-26: its own origin is then its authorization server (MCP authorization 2025-03-26,
    /// Fallbacks for Servers without Metadata Discovery). False unless the caller sets it.
    pub legacy: bool,
    /// The metadata of the authorization server, if the caller provides it: then no request is sent.
    pub manual: Option<ServerMetadata>,
    /// The quirks of the server, in addition to the known ones of its provider.
    pub quirks: Quirks,
}

impl Discovery {
    /// Creates the discovery of a server from given metadata, for when discovery is impossible.
    pub(crate) fn manual(server: ServerUrl, metadata: ServerMetadata) -> Self {
        Self {
            quirks: Quirks::for_issuer(&metadata.issuer),
            resource: Resource::from(server.resource_identifier()),
            address_space: AddressSpace::of_server(&server),
            server,
            metadata,
            challenged_scope: None,
            listed_scope: None,
            scopes_left_out: 0,
            requires_dpop: false,
            source: DiscoverySource::Manual,
            fresh_until: SystemTime::UNIX_EPOCH,
        }
    }

    /// Returns the issuer of the tokens.
    pub fn issuer(&self) -> &Issuer {
        &self.metadata.issuer
    }

    /// Checks that the issuer supports PKCE with S256, before a code is requested (MCP authorization,
    /// Authorization Code Protection). It is assumed of a server of 2025-03-26 without metadata, which
    /// cannot list it, and of a server that is known to support it ([`Quirks::assume_pkce`]).
    ///
    /// # Errors
    /// [`DiscoveryError::PkceUnlisted`], [`DiscoveryError::PkceUnsupported`].
    pub(crate) fn require_pkce(&self) -> Result<(), DiscoveryError> {
        let is_listed = self.metadata.code_challenge_methods_supported.is_some();
        let is_known = self.quirks.assume_pkce == Some(true) && !is_listed;
        if is_known || self.metadata.supports_pkce() {
            return Ok(());
        }
        let issuer = self.issuer().clone();
        Err(if is_listed {
            DiscoveryError::PkceUnsupported(issuer)
        } else {
            DiscoveryError::PkceUnlisted(issuer)
        })
    }

    /// Returns the value of the parameter `resource` (RFC 8707); none where the server requires none.
    pub(crate) fn resource_parameter(&self) -> Option<&Resource> {
        self.quirks.resource_parameter(&self.resource)
    }

    /// Returns the scope that a login requests: `requested` if there is one, else the one that the challenge
    /// and the metadata suggest.
    pub(crate) fn scope_to_request(&self, requested: Option<&Scope>) -> Option<Scope> {
        scope::select(
            requested,
            self.challenged_scope.as_ref(),
            self.listed_scope.as_ref(),
            self.metadata.scopes_supported.as_ref(),
        )
    }

    /// Returns whether it may be used again at `now`. It may not if `challenge` contradicts it.
    pub(crate) fn is_fresh(&self, now: SystemTime, challenge: Option<&Challenge>) -> bool {
        let named = challenge.and_then(|challenge| challenge.resource_metadata.as_deref());
        let contradicted = match (&self.source, named) {
            (DiscoverySource::Metadata(url), Some(named)) => url.as_str() != named,
            (_, Some(_)) => true,
            (_, None) => false,
        };
        now < self.fresh_until && !contradicted
    }

    /// Returns the same discovery, marked as stale because a response contradicts it: the next use repeats
    /// discovery.
    #[must_use]
    pub(crate) fn invalidated(mut self) -> Self {
        self.fresh_until = SystemTime::UNIX_EPOCH;
        self
    }

    /// Returns the same discovery with these quirks.
    #[must_use]
    pub(crate) fn with_quirks(mut self, quirks: &Quirks) -> Self {
        let known = Quirks::for_issuer(self.issuer());
        let configured = quirks.clone().bound_as_in(&self.quirks);
        self.quirks = configured.or(known).bind_issuer(self.issuer());
        self
    }

    /// Returns the same discovery with the scope and the scheme of a later challenge.
    #[must_use]
    pub(crate) fn with_challenge(mut self, challenge: Option<&Challenge>) -> Self {
        if let Some(challenge) = challenge {
            self.challenged_scope.clone_from(&challenge.scope);
            self.requires_dpop |= challenge.scheme == AuthScheme::DPoP;
        }
        self
    }
}

/// Finds the authorization server of `server`.
///
/// Unless the challenge is known already, one request without a token is sent. The metadata is requested at
/// its first well-known URL at the same time, which saves a round trip.
///
/// # Errors
/// [`Error::Discovery`] with every URL that was tried and what was received, or [`Error::Http`].
pub async fn discover(
    platform: &Platform,
    server: &ServerUrl,
    options: &DiscoveryOptions,
) -> Result<Discovery, Error> {
    if let Some(metadata) = &options.manual {
        return Ok(Discovery::manual(server.clone(), metadata.clone())
            .with_quirks(&options.quirks)
            .with_challenge(options.challenge.as_ref()));
    }
    let mut search = Search::new(platform, server, &options.quirks);
    let probed = search.request_challenge(options.challenge.clone()).await?;
    let Some((url, resource, lifetime)) = search.find_resource(&probed).await? else {
        return search.without_metadata(&probed, options.legacy).await;
    };
    warn_of_scopes(server, &probed, &resource);
    let (metadata, server_lifetime) = search.find_server(&url, &resource).await?;
    let quirks = options.quirks.clone();
    Ok(Discovery {
        server: server.clone(),
        quirks: quirks
            .or(Quirks::for_issuer(&metadata.issuer))
            .bind_issuer(&metadata.issuer),
        resource: resource.resource,
        metadata,
        requires_dpop: resource.dpop_bound_access_tokens_required || probed.is_dpop(),
        challenged_scope: probed.challenge.and_then(|challenge| challenge.scope),
        listed_scope: resource.scopes_supported,
        scopes_left_out: resource.scopes_left_out,
        address_space: search.address_space,
        source: DiscoverySource::Metadata(url),
        fresh_until: platform.clock.now() + lifetime.min(server_lifetime),
    })
}

/// Warns of scopes that are left out: a login without them may succeed, and its token may then be refused
/// for some requests.
fn warn_of_scopes(server: &ServerUrl, probed: &ProbeResponse, resource: &ResourceMetadata) {
    let challenge = probed.challenge.as_ref();
    if let Some(error) = challenge.and_then(|challenge| challenge.unusable_scope) {
        tracing::warn!(%server, %error, "the scope in the server's challenge is ignored");
    }
    if resource.scopes_left_out > 0 {
        let left_out = resource.scopes_left_out;
        tracing::warn!(
            %server, left_out,
            "the server lists too many scopes; those that were left out are not requested unless \
             they are named"
        );
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// Holds the response to a request without a token.
struct ProbeResponse {
    status: u16,
    challenge: Option<Challenge>,
    /// Says whether the response is a web page.
    html: bool,
    /// The metadata that was requested at the same time, at the first well-known URL.
    early: Option<(Url, Result<Fetched, Error>)>,
}

impl ProbeResponse {
    fn is_dpop(&self) -> bool {
        let challenge = self.challenge.as_ref();
        challenge.is_some_and(|challenge| challenge.scheme == AuthScheme::DPoP)
    }

    /// Returns whether the response is not that of an MCP server. An MCP server that requires a token
    /// sends 401 (MCP authorization, Error Handling), and one that requires none accepts the request. A
    /// web server has no such path, or does not accept the method: Python's `http.server` responds to
    /// `POST` with 501.
    fn is_not_mcp(&self) -> bool {
        let is_page = self.html && (200..300).contains(&self.status);
        self.challenge.is_none() && (is_page || matches!(self.status, 404 | 405 | 410 | 501))
    }
}

struct Search<'a> {
    platform: &'a Platform,
    server: &'a ServerUrl,
    quirks: &'a Quirks,
    address_space: AddressSpace,
    budget: Budget,
    tried: Vec<Attempt>,
}

impl<'a> Search<'a> {
    fn new(platform: &'a Platform, server: &'a ServerUrl, quirks: &'a Quirks) -> Self {
        let address_space = AddressSpace::of_server(server);
        Self {
            platform,
            server,
            quirks,
            address_space,
            budget: Budget::default(),
            tried: Vec::new(),
        }
    }

    /// Gets the challenge (step 1a), and with it the address space of the server. A known challenge
    /// that is empty is requested again: some HTTP clients return only the first of several header lines.
    async fn request_challenge(
        &mut self,
        known: Option<Challenge>,
    ) -> Result<ProbeResponse, Error> {
        if let Some(challenge) = known.filter(|known| *known != Challenge::default()) {
            return Ok(ProbeResponse {
                status: 401,
                challenge: Some(challenge),
                html: false,
                early: None,
            });
        }
        let first = resource_metadata::well_known_urls(self.server)
            .into_iter()
            .next();
        let early = async {
            match first {
                Some(url) => Some((url.clone(), self.fetch_from_server(url).await)),
                None => None,
            }
        };
        let (response, early) = tokio::join!(self.platform.http.send(probe(self.server)), early);
        let response = response?;
        if let Some(remote) = response.remote {
            self.address_space = self.address_space.max(AddressSpace::of(remote));
        }
        Ok(ProbeResponse {
            status: response.status.as_u16(),
            challenge: Challenge::from_headers(response.status, &response.headers),
            html: is_web_page(&response),
            early,
        })
    }

    /// Finds the metadata of the resource (step 1b): at the URL of the challenge, else at the well-known
    /// URLs (RFC 9728 §3.1, §5.1).
    async fn find_resource(
        &mut self,
        probed: &ProbeResponse,
    ) -> Result<Option<(Url, ResourceMetadata, Duration)>, Error> {
        let named = probed
            .challenge
            .as_ref()
            .and_then(|c| c.resource_metadata.as_deref());
        let named = named.map(|text| self.named_url(text)).transpose()?;
        let mut urls: Vec<Url> = named.into_iter().collect();
        for url in resource_metadata::well_known_urls(self.server) {
            if !urls.contains(&url) {
                urls.push(url);
            }
        }
        for url in urls {
            let fetched = match &probed.early {
                Some((requested, early)) if *requested == url => early.clone(),
                _ => self.fetch_from_server(url).await,
            }?;
            self.record_address_space(&fetched);
            if let Some(document) = self.note(fetched) {
                let metadata =
                    ResourceMetadata::parse(&document.body, self.server).map_err(|cause| {
                        DiscoveryError::ResourceMetadata {
                            url: document.url.clone(),
                            cause,
                        }
                    })?;
                return Ok(Some((document.url, metadata, document.lifetime)));
            }
        }
        Ok(None)
    }

    /// Finds the metadata of the first authorization server that has some (step 1c). One that does not
    /// respond is skipped; metadata that fails its checks ends the search (RFC 9728 §7.6).
    async fn find_server(
        &mut self,
        url: &Url,
        resource: &ResourceMetadata,
    ) -> Result<(ServerMetadata, Duration), Error> {
        let mut failure = DiscoveryError::NoAuthorizationServer(url.clone()).into();
        for issuer in &resource.authorization_servers {
            match self.server_metadata(issuer).await {
                Err(
                    error @ (Error::Http(_)
                    | Error::Discovery(DiscoveryError::NoServerMetadata { .. })),
                ) => failure = error,
                outcome => return outcome,
            }
        }
        Err(failure)
    }

    async fn server_metadata(
        &mut self,
        issuer: &Issuer,
    ) -> Result<(ServerMetadata, Duration), Error> {
        let urls = issuer
            .well_known_urls(self.address_space)
            .map_err(|cause| DiscoveryError::Unsafe {
                url: UntrustedText::new(issuer.as_str()),
                cause,
            })?;
        self.tried.clear();
        for url in urls {
            let fetched = self.fetch(url, self.address_space).await?;
            if let Some(document) = self.note(fetched) {
                let (body, other) = (&document.body, self.quirks.names_in_metadata(issuer));
                let metadata =
                    ServerMetadata::parse_with_aliases(body, issuer, &other, self.address_space);
                let metadata = metadata.map_err(|cause| DiscoveryError::ServerMetadata {
                    url: document.url,
                    cause,
                })?;
                return Ok((metadata, document.lifetime));
            }
        }
        let tried = std::mem::take(&mut self.tried);
        Err(DiscoveryError::NoServerMetadata {
            issuer: issuer.clone(),
            tried,
        }
        .into())
    }

    /// Classifies a server without resource metadata: it requires no token, or it is of 2025-03-26, or
    /// it is broken.
    async fn without_metadata(
        mut self,
        probed: &ProbeResponse,
        legacy: bool,
    ) -> Result<Discovery, Error> {
        let (server, status, tried) = (
            self.server.clone(),
            probed.status,
            std::mem::take(&mut self.tried),
        );
        let not_mcp = |server, tried| DiscoveryError::NotMcp {
            server,
            status,
            html: probed.html,
            tried,
        };
        if probed.challenge.is_none() && (200..300).contains(&status) {
            if probed.is_not_mcp() {
                return Err(not_mcp(server, tried).into());
            }
            return Err(DiscoveryError::NotProtected {
                server,
                status,
                tried,
            }
            .into());
        }
        if !legacy && probed.is_not_mcp() {
            return Err(not_mcp(server, tried).into());
        }
        if !legacy {
            return Err(self.report_legacy_metadata(probed, tried).await.into());
        }
        let (metadata, lifetime) = match self.legacy_metadata().await? {
            Some((_, metadata, lifetime)) => (metadata, lifetime),
            None => (self.legacy_endpoints()?, Duration::ZERO),
        };
        Ok(Discovery {
            challenged_scope: probed.challenge.as_ref().and_then(|c| c.scope.clone()),
            requires_dpop: probed.is_dpop(),
            address_space: self.address_space,
            source: DiscoverySource::Legacy,
            fresh_until: self.platform.clock.now() + lifetime,
            ..Discovery::manual(server, metadata).with_quirks(self.quirks)
        })
    }

    /// Parses and checks a URL of the challenge.
    fn named_url(&self, text: &str) -> Result<Url, DiscoveryError> {
        let address_space = if self.is_of_server(text) {
            AddressSpace::for_server(self.server)
        } else {
            self.address_space
        };
        EndpointUrl::parse(text, address_space)
            .map(|endpoint| endpoint.as_url().clone())
            .map_err(|cause| DiscoveryError::Unsafe {
                url: UntrustedText::new(text),
                cause,
            })
    }

    fn is_of_server(&self, text: &str) -> bool {
        Url::parse(text).is_ok_and(|url| url.origin() == self.server.as_url().origin())
    }

    /// Fetches a URL that may be at the server's own origin. The user named that origin, so it may be in
    /// any address space.
    async fn fetch_from_server(&self, url: Url) -> Result<Fetched, Error> {
        let own = url.origin() == self.server.as_url().origin();
        let named = AddressSpace::for_server(self.server);
        self.fetch(url, if own { named } else { self.address_space })
            .await
    }

    async fn fetch(&self, url: Url, address_space: AddressSpace) -> Result<Fetched, Error> {
        if !self.budget.spend() {
            return Err(DiscoveryError::DiscoveryLoop(self.server.clone()).into());
        }
        fetch::fetch(self.platform, url, address_space).await
    }

    fn record_address_space(&mut self, fetched: &Fetched) {
        if let Some(remote) = fetched.remote
            && fetched.requested.origin() == self.server.as_url().origin()
        {
            self.address_space = self.address_space.max(AddressSpace::of(remote));
        }
    }

    /// Returns the document, or records what was received instead.
    fn note(&mut self, fetched: Fetched) -> Option<Document> {
        if fetched.document.is_none() {
            self.tried.push(Attempt {
                url: fetched.requested,
                status: fetched.status,
                html: fetched.html,
                redirect: fetched.redirect,
                unusable: None,
            });
        }
        fetched.document
    }
}

/// Returns whether the response to the request without a token is a web page, by its type alone: its
/// body is not read.
fn is_web_page(response: &Response) -> bool {
    let kind = response.header(header::CONTENT_TYPE).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("text/html") || kind.eq_ignore_ascii_case("application/xhtml+xml")
}

/// Returns the request without a token: an `initialize`, to which servers of every revision respond
/// with their challenge. Only status and headers of the response are read.
fn probe(server: &ServerUrl) -> Request {
    const INITIALIZE: &str = concat!(
        r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","#,
        r#""capabilities":{},"clientInfo":{"name":"mcp-client-oauth","version":""#,
        env!("CARGO_PKG_VERSION"),
        r#""}}}"#
    );
    let address_space = AddressSpace::for_server(server);
    let mut request = Request::json(server.as_url().clone(), address_space, INITIALIZE);
    let both = HeaderValue::from_static("application/json, text/event-stream");
    request.headers.insert(header::ACCEPT, both);
    request.deadline = METADATA_DEADLINE;
    request.head_only = true;
    request
}
