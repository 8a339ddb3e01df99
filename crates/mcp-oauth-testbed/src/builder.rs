//! Sets up a testbed, switch by switch.

mod grants;

use std::io;
use std::time::Duration;

use serde_json::Value;

use crate::faults::Fault;
use crate::settings::forms::{Answers, Legacy, MetadataForm, PrmForm, Wire};
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

    /// Returns how long an access token is good; 300 seconds by default.
    pub fn access_token_lifetime(mut self, lifetime: Duration) -> Self {
        self.settings.access_token_lifetime = lifetime;
        self
    }

    /// Returns whether time passes by [`Testbed::advance`] alone; off by default. With it, a token of one
    /// second is good for as long as the test likes.
    pub fn clock_stands_still(mut self, on: bool) -> Self {
        self.settings.clock_stands_still = on;
        self
    }

    /// A path for the issuer, as in `/tenant1`. The endpoints stay at the root.
    pub fn issuer_path(mut self, path: impl Into<String>) -> Self {
        self.settings.issuer_path = path.into();
        self
    }

    /// Publishes the authorization server metadata in this form alone; call it again for another.
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

    /// Returns whether clients may register (RFC 7591); on by default.
    pub fn dynamic_registration(mut self, on: bool) -> Self {
        self.settings.dynamic_registration = on;
        self
    }

    /// Returns whether each registration gets a secret, also one that asked for `none`; off by default.
    pub fn confidential_registrations(mut self, on: bool) -> Self {
        self.settings.confidential_registrations = on;
        self
    }

    /// Returns whether `application_type` rules the redirect URIs as in OpenID Connect Registration 1.0
    /// §2: loopback and custom schemes for `native` alone, and `web` when none is said. Off by
    /// default (`spec-checklist` D9).
    pub fn strict_application_type(mut self, on: bool) -> Self {
        self.settings.strict_application_type = on;
        self
    }

    /// Limits each client that registers to the scope of its registration (RFC 7591 §2), as the
    /// Python MCP SDK does; one that names none has `default`: django-allauth gives it `openid`. Off
    /// by default.
    pub fn registered_scope_only(mut self, default: &str) -> Self {
        self.settings.registered_scope_only = Some(default.to_owned());
        self
    }

    /// Compares redirect URIs with their ports, also on loopback, as the Python MCP SDK and `FastMCP` do
    /// against RFC 8252 §7.3. Off by default.
    pub fn exact_redirect_uris(mut self, on: bool) -> Self {
        self.settings.exact_redirect_uris = on;
        self
    }

    /// Returns whether an https URL is accepted as a client id; off by default. The document is not
    /// fetched, for the testbed stays on loopback: a client whose document it was not given by
    /// [`Builder::client_document`] is a public one, with any redirect URI.
    pub fn client_id_metadata_documents(mut self, on: bool) -> Self {
        self.settings.client_id_metadata_documents = on;
        self
    }

    /// Returns what the authorization server would find at an https URL, which is accepted as a client id
    /// from then on. The document rules the client: its `redirect_uris`, its `grant_types`, its
    /// `token_endpoint_auth_method` (`none` if it has none), and with `private_key_jwt` its `jwks`.
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

    /// A client that the authorization server knows beforehand; any redirect URI of the accepted
    /// kinds is good for it. With a secret it authenticates by `client_secret_basic` or
    /// `client_secret_post`.
    pub fn client(mut self, id: impl Into<String>, secret: Option<&str>) -> Self {
        let secret = secret.map(str::to_owned);
        self.settings.clients.push(KnownClient {
            id: id.into(),
            secret,
        });
        self
    }

    /// The `token_endpoint_auth_methods_supported`: of `none`, `client_secret_basic` and
    /// `client_secret_post`, which are all on by default, and `private_key_jwt`, which is on as
    /// soon as a client has a key.
    pub fn client_auth_methods(mut self, methods: &[&str]) -> Self {
        self.settings.client_auth_methods = methods.iter().map(|&method| method.into()).collect();
        self
    }

    /// Returns whether the authorization server lists `offline_access`; off by default. It is granted only
    /// where it is listed (`spec-checklist` H3).
    pub fn offline_access(mut self, on: bool) -> Self {
        self.settings.offline_access = on;
        self
    }

    /// Returns whether `iss` is promised in the metadata and sent in the callback (RFC 9207); on by
    /// default.
    pub fn iss_parameter(mut self, on: bool) -> Self {
        self.settings.iss_parameter = on;
        self
    }

    /// Returns whether there are refresh tokens at all; on by default (`spec-checklist` H4).
    pub fn issue_refresh_tokens(mut self, on: bool) -> Self {
        self.settings.issue_refresh_tokens = on;
        self
    }

    /// Returns whether each refresh spends its refresh token; on by default. When off, a refresh answer
    /// has no `refresh_token`, and the old one stays good.
    pub fn rotate_refresh_tokens(mut self, on: bool) -> Self {
        self.settings.rotate_refresh_tokens = on;
        self
    }

    /// Returns whether a refresh ends the access tokens of its family (H113); off by default.
    pub fn refresh_ends_old_access_tokens(mut self, on: bool) -> Self {
        self.settings.refresh_ends_old_access_tokens = on;
        self
    }

    /// `scopes_supported` of the protected resource metadata: `notes:read` by default.
    pub fn scopes_supported(mut self, scopes: Option<Vec<&str>>) -> Self {
        self.settings.scopes_supported =
            scopes.map(|scopes| scopes.into_iter().map(str::to_owned).collect());
        self
    }

    /// The `scope` of the 401 challenge; absent by default.
    pub fn challenge_scope(mut self, scope: Option<&str>) -> Self {
        self.settings.challenge_scope = scope.map(str::to_owned);
        self
    }

    /// Returns where the protected resource metadata is; [`PrmForm::Header`] by default.
    pub fn prm_at(mut self, form: PrmForm) -> Self {
        self.settings.prm = form;
        self
    }

    /// The `resource` of the protected resource metadata, which the authorization server then asks
    /// for; the server URL by default.
    pub fn resource(mut self, resource: impl Into<String>) -> Self {
        self.settings.resource = Some(resource.into());
        self
    }

    /// One more resource that the authorization server issues tokens for; call it again for
    /// another. From then on a client may ask for several resources at once (RFC 8707 §2.1), and
    /// names one of those it was granted in each token request (§2.2).
    pub fn also_issues_for(mut self, resource: impl Into<String>) -> Self {
        self.settings.other_resources.push(resource.into());
        self
    }

    /// A login is good for every resource of the authorization server, whichever it asked for, as
    /// at servers that leave the choice to the person.
    pub fn one_login_for_all_resources(mut self) -> Self {
        self.settings.one_login_for_all = true;
        self
    }

    /// One more issuer in `authorization_servers`, after ours. For another order, set the field by
    /// [`Fault::PrmField`].
    pub fn other_authorization_server(mut self, issuer: impl Into<String>) -> Self {
        self.settings
            .other_authorization_servers
            .push(issuer.into());
        self
    }

    /// Returns whether the tool `write_note` needs `notes:write`; off by default.
    pub fn step_up(mut self, on: bool) -> Self {
        self.settings.step_up = on;
        self
    }

    /// A server without OAuth: no 401, and no metadata.
    pub fn open(mut self, on: bool) -> Self {
        self.settings.open = on;
        self
    }

    /// A server of the revision 2025-03-26.
    pub fn legacy(mut self, legacy: Legacy) -> Self {
        self.settings.legacy = Some(legacy);
        self
    }

    /// Returns which revisions the MCP server speaks; all by default.
    pub fn wire(mut self, wire: Wire) -> Self {
        self.settings.wire = wire;
        self
    }

    /// Returns how the MCP server answers; by default an event stream if the client accepts one.
    pub fn answers(mut self, answers: Answers) -> Self {
        self.settings.answers = Some(answers);
        self
    }

    /// Returns whether the stateful wire has a stream for what the server says of its own accord
    /// ([`Testbed::say`]); off by default.
    pub fn streams(mut self, on: bool) -> Self {
        self.settings.streams = on;
        self
    }

    /// A fault that is on from the start.
    pub fn fault(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }
}
