//! The whole login, step by step. Read [`log_in`] first.

use url::Url;

use crate::{
    client_registration::{ClientIdentity, RegisteredClient, identify, identify_non_interactive},
    discovery::Discovery,
    error::{Error, TokenStorageError},
    grant::{CallbackReceiver, Grant, GrantFlow, GrantRequest},
    platform::Platform,
    proto::token::TokenSet,
    server_url::ServerUrl,
    store::{Record, Revision, TokenStore},
    stored_session::StoredSession,
};

mod context;
mod options;
pub(crate) mod pending;
mod registration_check;
mod reuse;
mod shared;

use context::LoginContext;
pub(crate) use options::{DpopPolicy, LoginOptions};

/// The number of attempts to store a login. Each waits up to a minute or more for the record's lock.
const SAVE_ATTEMPTS: usize = 3;

/// Logs in to `server` and returns a session with the tokens, which are stored.
///
/// A login that fails stores nothing but the client's registration, which the next attempt reuses.
/// Dropping the future (Ctrl-C) closes the listener and stores nothing. The future is large: callers box it.
///
/// # Errors
/// Those of each step; see [`error`](crate::error).
pub(crate) async fn log_in(
    platform: &Platform,
    store: &TokenStore,
    server: &ServerUrl,
    options: &LoginOptions,
) -> Result<StoredSession, Error> {
    // First, so that a store that cannot be read or written, or a record that another process has
    // locked, fails the login before the user is involved.
    let login = LoginContext::load(platform, store, server, options).await?;

    let discovery = login.discover_or_reuse().await?;
    let proof_generator = options.proof_generator(platform, &discovery)?;
    let is_bound = proof_generator.is_some();
    if let Some(record) = login.shared_login(&discovery, is_bound).await? {
        return login.save(record).await;
    }

    let known = login.known_client(&discovery).await?;
    let known = known.as_ref();
    let mut grant = options.grant.select(&discovery.metadata)?;
    let mut record = loop {
        let attempt = async {
            // Bound before the registration, so that no other process can take the port.
            let bind = || CallbackReceiver::bind(&options.redirect, known);
            let receiver = grant.flow.needs_redirect().then(bind).transpose()?;
            let redirect = receiver.as_ref().map(CallbackReceiver::uri);
            let identity = login
                .register(&discovery, &grant.flow, known, redirect)
                .await?;

            let request = GrantRequest::new(&discovery, &identity, options.scope.as_ref())?
                .with_receiver(receiver)
                .with_timeout(options.timeout)
                .with_proof_generator(proof_generator.clone());
            let scope = request.scope().cloned();
            let tokens = login
                .request_tokens(&grant.flow, request, known, &identity)
                .await?;
            Ok::<_, Error>(Record::new(discovery.clone(), identity, scope, tokens))
        };
        match attempt.await {
            Ok(record) => break record,
            Err(error) if grant.is_refused_preference(&error) => {
                grant = Grant::Auto.select(&discovery.metadata)?;
            }
            Err(error) => {
                login.invalidate_discovery(&error).await;
                return Err(error);
            }
        }
    };
    record.non_interactive = options.grant.recorded();
    record.dpop = proof_generator.map(|generator| generator.key().clone());
    login.save(record).await
}

impl LoginContext<'_> {
    /// Finds the client to authenticate as, and registers it if that is necessary. A non-interactive login
    /// has no redirect URI and no dynamic registration (MCP extension
    /// `io.modelcontextprotocol/oauth-client-credentials`).
    async fn register(
        &self,
        discovery: &Discovery,
        grant: &GrantFlow<'_>,
        known: Option<&RegisteredClient>,
        redirect_uri: Option<&Url>,
    ) -> Result<ClientIdentity, Error> {
        if let GrantFlow::NonInteractive(grant) = grant {
            let (client, needs_no_id) = (&self.options.identity, grant.needs_no_client_id());
            return Ok(identify_non_interactive(
                discovery,
                client,
                known,
                needs_no_id,
            )?);
        }
        let client = self.options.client();
        let identity = identify(self.platform, discovery, &client, known, redirect_uri).await?;
        let identity = self.with_known_client(discovery, identity, known, redirect_uri);
        let identity = identity.await?;
        self.store_new_registration(&identity, known).await?;
        Ok(identity)
    }

    /// Requests tokens, and stores what the server's responses say about the client.
    async fn request_tokens(
        &self,
        grant: &GrantFlow<'_>,
        request: GrantRequest<'_>,
        known: Option<&RegisteredClient>,
        identity: &ClientIdentity,
    ) -> Result<TokenSet, Error> {
        if let GrantFlow::NonInteractive(_) = grant {
            return grant.request_tokens(self.platform, request).await;
        }
        let tokens = grant.request_tokens(self.platform, request);
        self.note_client(identity, known, tokens).await
    }

    /// Waits for the `tokens`, and stores what the server's responses say about the client.
    async fn note_client(
        &self,
        identity: &ClientIdentity,
        known: Option<&RegisteredClient>,
        tokens: impl Future<Output = Result<TokenSet, Error>>,
    ) -> Result<TokenSet, Error> {
        let was_required = requires_client_id_in_form(identity);
        let tokens = tokens.await;
        if let ClientIdentity::Registered(own) = identity {
            self.store.note_use(own, tokens.is_ok());
        }
        if !was_required && requires_client_id_in_form(identity) {
            self.update_registration(identity).await;
        }
        if let Err(error) = &tokens {
            self.remove_unknown_client(identity, known, error).await;
        }
        tokens
    }

    /// Stores the login, and returns its session. The user has consented already, so a record that another
    /// process has locked or modified is retried before the login fails.
    async fn save(self, record: Record) -> Result<StoredSession, Error> {
        let mut attempts = 1;
        let revision = loop {
            match self.try_save(&record).await {
                Err(
                    error @ (TokenStorageError::Locked { .. } | TokenStorageError::Conflict { .. }),
                ) if attempts < SAVE_ATTEMPTS => {
                    attempts += 1;
                    tracing::warn!(server = %self.key, %error, "cannot store the login yet; retrying");
                }
                saved => break saved?,
            }
        };
        let (platform, store) = (self.platform.clone(), self.store.clone());
        let session = StoredSession::new(platform, store, self.key, record, revision);
        Ok(self.options.apply_grant(session))
    }

    async fn try_save(&self, record: &Record) -> Result<Revision, TokenStorageError> {
        let mut lock = self.store.lock(&self.key).await?;
        self.store.save(&mut lock, record).await
    }
}

fn requires_client_id_in_form(identity: &ClientIdentity) -> bool {
    let own = identity.registration();
    own.is_some_and(|own| own.client_id_in_form.is_required())
}
