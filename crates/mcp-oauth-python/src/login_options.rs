//! The options of a login, checked: a session that a forked process opens again needs them too.

use std::time::Duration;

use mcp_client_oauth::{
    Client as Library, Grant, Login, Secret,
    flow::{Challenge, Issuer, PrivateKey, Quirks, Scope, ServerMetadata},
    store::LoginKey,
};
use url::Url;

/// The options of a login.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a keyword argument of Python"
)]
pub(crate) struct LoginOptions {
    /// The server and the account.
    pub(crate) key: LoginKey,
    pub(crate) scope: Option<Scope>,
    pub(crate) grant: Grant,
    pub(crate) client_id: Option<String>,
    pub(crate) client_secret: Option<Secret<String>>,
    pub(crate) private_key: Option<PrivateKey>,
    pub(crate) client_issuer: Option<Issuer>,
    pub(crate) client_metadata: Option<(Url, Option<PrivateKey>)>,
    pub(crate) client_name: Option<String>,
    pub(crate) redirect_port: Option<u16>,
    pub(crate) redirect_uri: Option<Url>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) return_to: Option<String>,
    pub(crate) reauthenticate: bool,
    pub(crate) force: bool,
    pub(crate) reuse_issuer_login: bool,
    pub(crate) dpop: Option<bool>,
    pub(crate) legacy: bool,
    pub(crate) challenge: Option<Challenge>,
    pub(crate) server_metadata: Option<ServerMetadata>,
    pub(crate) quirks: Option<Quirks>,
}

impl LoginOptions {
    /// Returns options that find the stored login of `key`.
    pub(crate) fn of_stored(key: LoginKey) -> Self {
        Self {
            key,
            scope: None,
            grant: Grant::default(),
            client_id: None,
            client_secret: None,
            private_key: None,
            client_issuer: None,
            client_metadata: None,
            client_name: None,
            redirect_port: None,
            redirect_uri: None,
            timeout: None,
            return_to: None,
            reauthenticate: false,
            force: false,
            reuse_issuer_login: false,
            dpop: None,
            legacy: false,
            challenge: None,
            server_metadata: None,
            quirks: None,
        }
    }

    /// Returns a login of the library with these options.
    pub(crate) fn apply(&self, client: &Library) -> Login {
        let mut login = client
            .login(self.key.server().clone())
            .grant(self.grant.clone());
        if let Some(account) = self.key.account() {
            login = login.account(account);
        }
        if let Some(scope) = &self.scope {
            login = login.scope(scope.clone());
        }
        if let Some(timeout) = self.timeout {
            login = login.timeout(timeout);
        }
        if let Some(path) = &self.return_to {
            login = login.return_to(path);
        }
        if let Some(is_bound) = self.dpop {
            login = login.dpop(is_bound);
        }
        if self.reauthenticate {
            login = login.reauthenticate();
        }
        if self.force {
            login = login.force();
        }
        if self.reuse_issuer_login {
            login = login.reuse_issuer_login();
        }
        self.with_server(self.with_redirect(self.with_client(login)))
    }

    fn with_client(&self, mut login: Login) -> Login {
        if let Some(client_id) = &self.client_id {
            login = login.client_id(client_id);
        }
        if let Some(secret) = &self.client_secret {
            login = login.client_secret(secret.clone());
        }
        if let Some(key) = &self.private_key {
            login = login.private_key(key.clone());
        }
        if let Some(issuer) = &self.client_issuer {
            login = login.client_issuer(issuer.clone());
        }
        if let Some((url, key)) = self.client_metadata.clone() {
            login = login.client_metadata_url(url, key);
        }
        if let Some(name) = &self.client_name {
            login = login.client_name(name);
        }
        login
    }

    fn with_redirect(&self, mut login: Login) -> Login {
        if let Some(port) = self.redirect_port {
            login = login.redirect_port(port);
        }
        if let Some(uri) = &self.redirect_uri {
            login = login.redirect_uri(uri.clone());
        }
        login
    }

    fn with_server(&self, mut login: Login) -> Login {
        if self.legacy {
            login = login.legacy();
        }
        if let Some(challenge) = &self.challenge {
            login = login.challenge(challenge.clone());
        }
        if let Some(metadata) = &self.server_metadata {
            login = login.server_metadata(metadata.clone());
        }
        if let Some(quirks) = &self.quirks {
            login = login.quirks(quirks.clone());
        }
        login
    }
}
