//! The options of a login, and the login with these options.

use std::time::Duration;

use mcp_client_oauth::{
    Client, Grant, Login,
    flow::{PreregisteredClient, PrivateKey},
};

use crate::servers::Server;

/// The options of a login.
#[derive(Clone, Debug)]
pub(crate) struct LoginOptions {
    /// The server, and the options that are stored with its name.
    pub(crate) server: Server,
    /// Says whether to repeat discovery and dynamic registration.
    pub(crate) force: bool,
    pub(crate) grant: Grant,
    /// The pre-registered client, if there is one.
    pub(crate) client: Option<PreregisteredClient>,
    /// The private key of the client metadata document.
    pub(crate) document_key: Option<PrivateKey>,
    pub(crate) timeout: Option<Duration>,
}

impl LoginOptions {
    /// Creates options without a pre-registered client.
    pub(crate) fn new(server: Server, grant: Grant) -> Self {
        Self {
            server,
            force: false,
            grant,
            client: None,
            document_key: None,
            timeout: None,
        }
    }

    /// Returns whether a login may register a client dynamically.
    pub(crate) fn may_register(&self) -> bool {
        self.client.is_none() && self.server.client_metadata_url.is_none()
    }

    /// Returns a login with these options.
    pub(crate) fn login(&self, client: &Client) -> Login {
        let server = &self.server;
        let mut login = client
            .login(&server.url)
            .grant(self.grant.clone())
            .quirks(server.quirks.clone());
        if let Some(account) = &server.account {
            login = login.account(account);
        }
        if let Some(scope) = &server.scope {
            login = login.scope(scope.clone());
        }
        if let Some(timeout) = self.timeout {
            login = login.timeout(timeout);
        }
        if server.legacy {
            login = login.legacy();
        }
        if server.dpop {
            login = login.dpop(true);
        }
        if server.reuse_login {
            login = login.reuse_issuer_login();
        }
        if self.force {
            login = login.force();
        }
        self.with_redirect(self.with_client(login))
    }

    fn with_client(&self, mut login: Login) -> Login {
        if let Some(url) = &self.server.client_metadata_url {
            login = login.client_metadata_url(url.clone(), self.document_key.clone());
        }
        let Some(client) = &self.client else {
            return login;
        };
        login = login.client_id(&client.client_id);
        if let Some(secret) = &client.client_secret {
            login = login.client_secret(secret.clone());
        }
        if let Some(key) = &client.private_key {
            login = login.private_key(key.clone());
        }
        if let Some(issuer) = &client.issuer {
            login = login.client_issuer(issuer.clone());
        }
        login
    }

    fn with_redirect(&self, login: Login) -> Login {
        match (self.server.port, &self.server.redirect_uri) {
            (_, Some(uri)) => login.redirect_uri(uri.clone()),
            (Some(port), None) => login.redirect_port(port),
            (None, None) => login,
        }
    }
}
