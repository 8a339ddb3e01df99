//! The builder of a testbed: one method for each setting.

mod grants;

use std::io;
use std::time::Duration;

use serde_json::Value;

use crate::faults::Fault;
use crate::settings::forms::{Legacy, MetadataForm, PrmForm, ProtocolEra, ResponseForm};
use crate::settings::{KnownClient, Settings};
use crate::testbed::Testbed;

impl Testbed {
    /// Starts both servers with the defaults.
    pub async fn start() -> io::Result<Self> {
        Self::builder().start().await
    }

    /// Sets up a testbed that differs from the defaults.
    pub fn builder() -> Builder {
        Builder::new()
    }
}

/// Sets up a [`Testbed`].
#[derive(Debug)]
#[must_use]
pub struct Builder {
    settings: Settings,
    metadata_chosen: bool,
    faults: Vec<Fault>,
}

impl Builder {
    fn new() -> Self {
        Self {
            settings: Settings::default(),
            metadata_chosen: false,
            faults: Vec::new(),
        }
    }

    /// Starts both servers on free ports of 127.0.0.1.
    pub async fn start(self) -> io::Result<Testbed> {
        Testbed::start_with(self.settings, self.faults).await
    }

    /// Sets the lifetime of an access token; 300 seconds by default.
    pub fn access_token_lifetime(mut self, lifetime: Duration) -> Self {
        self.settings.access_token_lifetime = lifetime;
        self
    }

    /// Sets whether the clock moves only by [`Testbed::advance`]; off by default. With it, a token of
    /// one second stays valid until the test moves the clock.
    pub fn manual_clock(mut self, on: bool) -> Self {
        self.settings.manual_clock = on;
        self
    }

    /// Sets the path of the issuer, as in `/tenant1`. The endpoints stay at the root.
    pub fn issuer_path(mut self, path: impl Into<String>) -> Self {
        self.settings.issuer_path = path.into();
        self
    }

    /// Publishes the authorization server metadata in this form only; call it again to add a form.
    pub fn metadata_at(mut self, form: MetadataForm) -> Self {
        if !self.metadata_chosen {
            self.settings.metadata_forms.clear();
        }
        self.metadata_chosen = true;
        self.settings.metadata_forms.push(form);
        self
    }

    /// Publishes no authorization server metadata.
    pub fn without_metadata(mut self) -> Self {
        self.metadata_chosen = true;
        self.settings.metadata_forms.clear();
        self
    }

    /// Sets whether clients may register (RFC 7591); on by default.
    pub fn dynamic_registration(mut self, on: bool) -> Self {
        self.settings.dynamic_registration = on;
        self
    }

    /// Sets whether each registration gets a secret, also one that requested `none`; off by default.
    pub fn confidential_registrations(mut self, on: bool) -> Self {
        self.settings.confidential_registrations = on;
        self
    }

    /// Sets whether `application_type` limits the redirect URIs as in OpenID Connect Registration 1.0
    /// §2: loopback and custom schemes only for `native`; without the field it is `web`. Off by
    /// default (MCP authorization 2026-07-28, "Application Type").
    pub fn strict_application_type(mut self, on: bool) -> Self {
        self.settings.strict_application_type = on;
        self
    }

    /// Limits each registered client to the scope of its registration (RFC 7591 §2), as the Python
    /// MCP SDK does. A registration without a scope gets `default`; django-allauth uses `openid`. Off
    /// by default.
    pub fn registered_scope_only(mut self, default: &str) -> Self {
        self.settings.registered_scope_only = Some(default.to_owned());
        self
    }

    /// Sets whether redirect URIs are compared with their ports, also on loopback. The Python MCP SDK
    /// and `FastMCP` do this, against RFC 8252 §7.3. Off by default.
    pub fn exact_redirect_uris(mut self, on: bool) -> Self {
        self.settings.exact_redirect_uris = on;
        self
    }

    /// Sets whether an https URL is accepted as a client ID; off by default. The testbed stays on
    /// loopback and fetches no document: without [`Builder::client_document`], the client is public
    /// and may use any redirect URI.
    pub fn client_id_metadata_documents(mut self, on: bool) -> Self {
        self.settings.client_id_metadata_documents = on;
        self
    }

    /// Adds the metadata document of an https URL, and accepts that URL as a client ID. The document
    /// defines the client: its `redirect_uris`, its `grant_types`, its `token_endpoint_auth_method`
    /// (`none` if absent), and with `private_key_jwt` its `jwks`.
    ///
    /// ```
    /// # use mcp_oauth_testbed::{Algorithm, KeyPair, Testbed};
    /// # fn main() -> Result<(), mcp_oauth_testbed::KeyError> {
    /// let pair = KeyPair::generate(Algorithm::Es256)?;
    /// let url = "https://app.example/client.json";
    /// let document = serde_json::json!({
    ///     "client_id": url,
    ///     "client_name": "An application",
    ///     "redirect_uris": ["http://127.0.0.1/callback"],
    ///     "token_endpoint_auth_method": "private_key_jwt",
    ///     "jwks": { "keys": [pair.public_jwk()] },
    /// });
    /// let builder = Testbed::builder().client_document(url, document);
    /// # Ok(())
    /// # }
    /// ```
    pub fn client_document(mut self, url: impl Into<String>, document: Value) -> Self {
        self.settings.client_id_metadata_documents = true;
        self.settings.client_documents.push((url.into(), document));
        self
    }

    /// Adds a pre-registered client, which may use any acceptable redirect URI. With a secret it
    /// authenticates by `client_secret_basic` or `client_secret_post`.
    pub fn client(mut self, id: impl Into<String>, secret: Option<&str>) -> Self {
        let secret = secret.map(str::to_owned);
        self.settings.clients.push(KnownClient {
            id: id.into(),
            secret,
        });
        self
    }

    /// Sets `token_endpoint_auth_methods_supported`. By default it lists `none`,
    /// `client_secret_basic` and `client_secret_post`; `private_key_jwt` is added as soon as a client
    /// has a key.
    pub fn client_auth_methods(mut self, methods: &[&str]) -> Self {
        self.settings.client_auth_methods = methods.iter().map(|&method| method.into()).collect();
        self
    }

    /// Sets whether the authorization server lists `offline_access`; off by default. It is granted only
    /// if it is listed (MCP authorization 2026-07-28, "Refresh Tokens").
    pub fn offline_access(mut self, on: bool) -> Self {
        self.settings.offline_access = on;
        self
    }

    /// Sets whether `iss` is announced in the metadata and sent in the callback (RFC 9207); on by
    /// default.
    pub fn iss_parameter(mut self, on: bool) -> Self {
        self.settings.iss_parameter = on;
        self
    }

    /// Sets whether refresh tokens are issued; on by default. A client must not rely on them (MCP
    /// authorization 2026-07-28, "Refresh Tokens").
    pub fn issue_refresh_tokens(mut self, on: bool) -> Self {
        self.settings.issue_refresh_tokens = on;
        self
    }

    /// Sets whether refresh tokens are rotated; on by default. When off, a refresh response has no
    /// `refresh_token`, and the old one stays valid.
    pub fn rotate_refresh_tokens(mut self, on: bool) -> Self {
        self.settings.rotate_refresh_tokens = on;
        self
    }

    /// Sets whether a refresh revokes the earlier access tokens of its family (see
    /// `docs/hostile.md H113`); off by default.
    pub fn refresh_ends_old_access_tokens(mut self, on: bool) -> Self {
        self.settings.refresh_ends_old_access_tokens = on;
        self
    }

    /// Sets `scopes_supported` of the protected resource metadata; `notes:read` by default.
    pub fn scopes_supported(mut self, scopes: Option<Vec<&str>>) -> Self {
        self.settings.scopes_supported =
            scopes.map(|scopes| scopes.into_iter().map(str::to_owned).collect());
        self
    }

    /// Sets the `scope` of the 401 challenge; absent by default.
    pub fn challenge_scope(mut self, scope: Option<&str>) -> Self {
        self.settings.challenge_scope = scope.map(str::to_owned);
        self
    }

    /// Sets the location of the protected resource metadata; [`PrmForm::Header`] by default.
    pub fn prm_at(mut self, form: PrmForm) -> Self {
        self.settings.prm = form;
        self
    }

    /// Sets the `resource` of the protected resource metadata, which the authorization server then
    /// requires; the server URL by default.
    pub fn resource(mut self, resource: impl Into<String>) -> Self {
        self.settings.resource = Some(resource.into());
        self
    }

    /// Adds a resource that the authorization server issues tokens for; call it again to add another.
    /// A client may then request several resources at once (RFC 8707 §2.1), and names one of the
    /// granted resources in each token request (§2.2).
    pub fn additional_resource(mut self, resource: impl Into<String>) -> Self {
        self.settings.additional_resources.push(resource.into());
        self
    }

    /// Grants every resource of the authorization server at each login, whatever the client
    /// requested, as servers do that let the user choose the resources.
    pub fn one_login_for_all_resources(mut self) -> Self {
        self.settings.one_login_for_all = true;
        self
    }

    /// Adds an issuer to `authorization_servers`, after the testbed's own. For another order, set the
    /// field by [`Fault::PrmField`].
    pub fn additional_authorization_server(mut self, issuer: impl Into<String>) -> Self {
        self.settings
            .additional_authorization_servers
            .push(issuer.into());
        self
    }

    /// Sets whether the tool `write_note` needs `notes:write`; off by default.
    pub fn step_up(mut self, on: bool) -> Self {
        self.settings.step_up = on;
        self
    }

    /// Sets whether the server works without OAuth: no 401, and no metadata.
    pub fn unprotected(mut self, on: bool) -> Self {
        self.settings.unprotected = on;
        self
    }

    /// Makes the MCP server one of the revision 2025-03-26.
    pub fn legacy(mut self, legacy: Legacy) -> Self {
        self.settings.legacy = Some(legacy);
        self
    }

    /// Sets the protocol revisions that the MCP server supports; all by default.
    pub fn protocol_era(mut self, era: ProtocolEra) -> Self {
        self.settings.protocol_era = era;
        self
    }

    /// Sets the form of the MCP server's responses; by default an event stream if the client accepts
    /// one.
    pub fn response_form(mut self, form: ResponseForm) -> Self {
        self.settings.response_form = Some(form);
        self
    }

    /// Sets whether the stateful revisions have a `GET` stream for server-initiated messages
    /// ([`Testbed::send_message`]); off by default.
    pub fn streams(mut self, on: bool) -> Self {
        self.settings.streams = on;
        self
    }

    /// Switches a fault on from the start.
    pub fn fault(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }
}
