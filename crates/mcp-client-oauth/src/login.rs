//! The whole login, step by step. Read this file first.

use std::{sync::Arc, time::Duration};

use crate::{
    client_registration::{
        ClientIdentity, IdentityOptions, RegisteredClient, identify, identify_non_interactive,
    },
    discovery::{Discovery, DiscoveryOptions, discover},
    dpop::ProofGenerator,
    error::{AuthorizationError, Error, RegistrationError, TokenStorageError},
    grant::{self, CallbackReceiver, Grant, GrantRequest, LOGIN_TIMEOUT, RedirectTarget},
    non_interactive::NonInteractiveGrant,
    platform::Platform,
    proto::{
        client_auth::ClientIdInForm, dpop::DpopKey, scope::Scope, server_metadata::ServerMetadata,
    },
    server_url::ServerUrl,
    stored_session::StoredSession,
    store::{LoginKey, Record, Revision, TokenStore},
};

mod registration_check;
mod shared;

use shared::shared_login;

/// The number of attempts to store a login. Each waits up to a minute or more for the record's lock.
const SAVE_ATTEMPTS: usize = 3;

/// The options of a login. The defaults suit most servers.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LoginOptions {
    /// The name of the account, if the user has several at the server.
    pub account: Option<String>,
    /// The options of discovery, and the challenge that made the login necessary.
    pub discovery: DiscoveryOptions,
    /// The client to authenticate as.
    pub identity: IdentityOptions,
    /// The grant, by its name in [`GRANTS`](grant::GRANTS); if none, the first one that fits. The device
    /// grant (`device_code`) is used only if it is named here, because its codes can be phished
    /// (RFC 8628 §5.4).
    pub grant: Option<String>,
    /// The grant to try first, by its name, if [`grant`](Self::grant) names none. If the server does not
    /// offer it, or refuses it, the first grant that fits is used. For an application that prefers a
    /// device code and can use a browser too.
    pub preferred_grant: Option<String>,
    /// The non-interactive grant to use, if any. The session then repeats it to get a new token. The
    /// source of an assertion is not stored: a session that is opened later needs it again, see
    /// [`Session::with_grant`] and [`Client::session_with`](crate::Client::session_with).
    pub non_interactive: Option<NonInteractiveGrant>,
    /// The scope to request, instead of the one that the server suggests.
    pub scope: Option<Scope>,
    /// The redirect URI, if the grant needs one.
    pub redirect: RedirectTarget,
    /// The time that the user has to authorize the client. A device code may expire earlier.
    pub timeout: Duration,
    /// Says whether to repeat discovery and dynamic registration, instead of reusing their stored results. A
    /// pre-registered client stays bound to its issuer in any case.
    pub force: bool,
    /// Says whether to reuse a login of the same account at another resource of the same issuer, if there is
    /// one: its refresh token gets a token for this resource too, if the issuer allows that, without
    /// user interaction. Each resource still has its own access token.
    pub reuse_issuer_login: bool,
    /// Says whether the tokens are bound to a key (DPoP), so that a stolen token cannot be used.
    pub dpop: DpopPolicy,
}

/// Says whether a login requests tokens that are bound to a key (DPoP, RFC 9449). The key is generated for
/// the login and stored with its tokens.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum DpopPolicy {
    /// Only if the server requires such tokens, by its metadata (`dpop_bound_access_tokens_required`,
    /// RFC 9728 §2) or by the scheme `DPoP` of its challenge.
    #[default]
    Auto,
    /// Always. A client that is registered dynamically is registered for these tokens alone. The login
    /// fails if the authorization server does not support them.
    Always,
    /// Never.
    Never,
}

impl Default for LoginOptions {
    fn default() -> Self {
        Self {
            account: None,
            discovery: DiscoveryOptions::default(),
            identity: IdentityOptions::default(),
            grant: None,
            preferred_grant: None,
            non_interactive: None,
            scope: None,
            redirect: RedirectTarget::default(),
            timeout: LOGIN_TIMEOUT,
            force: false,
            reuse_issuer_login: false,
            dpop: DpopPolicy::default(),
        }
    }
}

/// Logs in to `server` and returns a session with the tokens, which are stored.
///
/// A login that fails stores nothing but the client's registration, which the next attempt reuses.
/// Dropping the future (Ctrl-C) closes the listener and stores nothing.
///
/// # Errors
/// Those of each step; see [`error`](crate::error).
pub(crate) async fn log_in(
    platform: &Platform,
    store: &TokenStore,
    server: &ServerUrl,
    options: &LoginOptions,
) -> Result<StoredSession, Error> {
    let key = options.key(server);
    // First, so that a store that cannot be read or written, or a record that another process has
    // locked, fails the login before the user is involved.
    let stored = store.lock(&key).await?.record().cloned();
    store.check_writable().await?;
    // On the heap: the future is large, and it should not enlarge the caller's.
    let outcome = Box::pin(request_tokens(
        platform,
        store,
        server,
        options,
        stored.as_ref(),
    ))
    .await;
    if let Err(error) = &outcome {
        invalidate_discovery(store, &key, error).await;
    }
    let record = outcome?;
    let revision = store_login(store, &key, &record).await?;
    let session = StoredSession::new(platform.clone(), store.clone(), key, record, revision);
    Ok(options.apply_grant(session))
}

/// Stores the login. The user has consented already, so a record that another process has locked or
/// modified is retried before the login fails.
async fn store_login(
    store: &TokenStore,
    key: &LoginKey,
    record: &Record,
) -> Result<Revision, TokenStorageError> {
    for _ in 1..SAVE_ATTEMPTS {
        match save(store, key, record).await {
            Err(
                error @ (TokenStorageError::Locked { .. } | TokenStorageError::Conflict { .. }),
            ) => tracing::warn!(server = %key, %error, "cannot store the login yet; retrying"),
            saved => return saved,
        }
    }
    save(store, key, record).await
}

async fn save(
    store: &TokenStore,
    key: &LoginKey,
    record: &Record,
) -> Result<Revision, TokenStorageError> {
    let mut lock = store.lock(key).await?;
    store.save(&mut lock, record).await
}

/// Runs steps 1 to 4: from the server URL to tokens.
async fn request_tokens(
    platform: &Platform,
    store: &TokenStore,
    server: &ServerUrl,
    options: &LoginOptions,
    stored: Option<&Record>,
) -> Result<Record, Error> {
    // A record that another host may have written must not decide where the assertion is sent.
    let non_interactive = options.non_interactive.as_ref();
    let is_local = |_: &&Record| {
        !(store.is_shared() && non_interactive.is_some_and(NonInteractiveGrant::presents_assertion))
    };
    let known = stored.filter(is_local);
    let discovery = discover_or_reuse(platform, server, options, known).await?;
    let proof_generator = options.proof_generator(platform, &discovery)?;
    // The resource keeps its refresh token if it has one: other resources may share that login.
    let has_own = stored.is_some_and(|record| record.tokens.refresh_token.is_some());
    if options.reuse_issuer_login
        && options.non_interactive.is_none()
        && !has_own
        && let key = options.key(server)
        && let requirement = (options.scope.as_ref(), proof_generator.is_some())
        && let Some(record) = shared_login(platform, store, &key, &discovery, requirement).await?
    {
        return Ok(record);
    }
    let known = options.known_client(store, &discovery, stored).await?;
    if let Some(non_interactive) = &options.non_interactive {
        return request_tokens_non_interactively(
            platform,
            discovery,
            options,
            known.as_ref(),
            (non_interactive, proof_generator),
        )
        .await;
    }
    let flow = LoginFlow {
        platform,
        store,
        options,
        known: known.as_ref(),
        proof_generator: proof_generator.as_ref(),
    };
    let record = match options.preferred(&discovery.metadata) {
        Some(preferred) => match flow.run(preferred, &discovery).await {
            // The server lists the grant, but refused it.
            Err(
                Error::Registration(RegistrationError::Response { .. })
                | Error::Authorization(AuthorizationError::Device { .. }),
            ) => None,
            outcome => Some(outcome?),
        },
        None => None,
    };
    if let Some(record) = record {
        return Ok(record);
    }
    let grant = grant::select_for_server(&discovery.metadata, options.grant.as_deref())?;
    flow.run(grant, &discovery).await
}

/// Holds the inputs of steps 2 to 4 of an interactive login.
struct LoginFlow<'a> {
    platform: &'a Platform,
    store: &'a TokenStore,
    options: &'a LoginOptions,
    known: Option<&'a RegisteredClient>,
    proof_generator: Option<&'a Arc<ProofGenerator>>,
}

impl LoginFlow<'_> {
    /// Runs steps 2 to 4 with this grant.
    async fn run(&self, grant: &dyn Grant, discovery: &Discovery) -> Result<Record, Error> {
        let (platform, options) = (self.platform, self.options);
        let listen = || CallbackReceiver::bind(&options.redirect, self.known);
        let receiver = grant.needs_redirect().then(listen).transpose()?;
        let redirect = receiver.as_ref().map(CallbackReceiver::uri);
        let client = options.client();
        let identity = identify(platform, discovery, &client, self.known, redirect).await?;
        let identity = self.with_known_client(discovery, identity, redirect);
        let identity = identity.await?;
        store_new_registration(self.store, &identity, self.known).await?;
        let mut request = GrantRequest::new(discovery, &identity, options.scope.as_ref())?
            .with_receiver(receiver)
            .with_timeout(options.timeout);
        if let Some(proof_generator) = self.proof_generator {
            request = request.with_proof_generator(Arc::clone(proof_generator));
        }
        let requested = request.scope().cloned();
        let was_required = requires_client_id_in_form(&identity);
        let tokens = grant.request_tokens(platform, request).await;
        if let ClientIdentity::Registered(own) = &identity {
            self.store.note_use(own, tokens.is_ok());
        }
        if !was_required && requires_client_id_in_form(&identity) {
            update_registration(self.store, &identity).await;
        }
        if let Err(error) = &tokens {
            remove_unknown_client(self.store, &identity, self.known, error).await;
        }
        let mut record = Record::new(discovery.clone(), identity, requested, tokens?);
        record.dpop = self
            .proof_generator
            .map(|proof_generator| proof_generator.key().clone());
        Ok(record)
    }
}

/// Runs steps 2 to 4 of a non-interactive login: no redirect URI, no listener and no dynamic
/// registration (MCP extension `io.modelcontextprotocol/oauth-client-credentials`).
async fn request_tokens_non_interactively(
    platform: &Platform,
    discovery: Discovery,
    options: &LoginOptions,
    known: Option<&RegisteredClient>,
    (non_interactive, proof_generator): (&NonInteractiveGrant, Option<Arc<ProofGenerator>>),
) -> Result<Record, Error> {
    let needs_no_id = non_interactive.needs_no_client_id();
    let identity = identify_non_interactive(&discovery, &options.identity, known, needs_no_id)?;
    let mut request = GrantRequest::new(&discovery, &identity, options.scope.as_ref())?;
    request = request.with_non_interactive(non_interactive);
    if let Some(proof_generator) = &proof_generator {
        request = request.with_proof_generator(Arc::clone(proof_generator));
    }
    let requested = request.scope().cloned();
    let grant = grant::select(&request, options.grant.as_deref())?;
    let tokens = grant.request_tokens(platform, request).await?;
    let mut record = Record::new(discovery, identity, requested, tokens);
    record.non_interactive = Some(non_interactive.recorded());
    record.dpop = proof_generator.map(|proof_generator| proof_generator.key().clone());
    Ok(record)
}

/// Returns the stored discovery if it is fresh and the challenge does not contradict it; otherwise runs
/// discovery.
async fn discover_or_reuse(
    platform: &Platform,
    server: &ServerUrl,
    options: &LoginOptions,
    stored: Option<&Record>,
) -> Result<Discovery, Error> {
    let challenge = options.discovery.challenge.as_ref();
    let fresh = |record: &&Record| record.discovery.is_fresh(platform.clock.now(), challenge);
    let must_discover = options.force || options.discovery.manual.is_some();
    if let Some(record) = stored.filter(fresh).filter(|_| !must_discover) {
        let known = record
            .discovery
            .clone()
            .with_quirks(&options.discovery.quirks);
        return Ok(known.with_challenge(challenge));
    }
    let mut requested = options.discovery.clone();
    if let Some(record) = stored.filter(|_| !options.force) {
        requested.quirks = requested.quirks.bound_as_in(&record.discovery.quirks);
    }
    let found = discover(platform, server, &requested).await?;
    if let Some(record) = stored.filter(|record| record.discovery.issuer() != found.issuer()) {
        // Credentials are bound to their issuer (MCP authorization, Authorization Server Binding), so the
        // new issuer gets none of the old one's. The warning tells the user about the change.
        let (old, new) = (record.discovery.issuer(), found.issuer());
        tracing::warn!(%server, %old, %new, "the server has changed its authorization server");
    }
    Ok(found)
}

/// Stores a new registration before the user is involved, so that a login after a cancelled one does not
/// register one more client.
async fn store_new_registration(
    store: &TokenStore,
    identity: &ClientIdentity,
    known: Option<&RegisteredClient>,
) -> Result<(), Error> {
    match identity {
        ClientIdentity::Registered(own) if !own.is_preregistered && Some(own) != known => {
            Ok(store.save_registration(own).await?)
        }
        _ => Ok(()),
    }
}

fn requires_client_id_in_form(identity: &ClientIdentity) -> bool {
    let own = identity.registration();
    own.is_some_and(|own| own.client_id_in_form.is_required())
}

/// Stores in the registration that its issuer requires `client_id` in the form, so that the next login needs
/// only one token request. A failure is only logged.
async fn update_registration(store: &TokenStore, identity: &ClientIdentity) {
    let Some(own) = identity.registration().filter(|own| !own.is_preregistered) else {
        return;
    };
    let saved = match store.has_registration(own).await {
        Ok(true) => store.save_registration(own).await,
        kept => kept.map(drop),
    };
    if let Err(error) = saved {
        tracing::warn!(%error, "cannot update the client registration");
    }
}

/// Removes a registration that the server no longer knows (`invalid_client`, RFC 6749 §5.2). One that
/// was registered in this login is kept: the server knows it and refuses it for another reason, so otherwise
/// each new attempt would register one more client.
async fn remove_unknown_client(
    store: &TokenStore,
    identity: &ClientIdentity,
    known: Option<&RegisteredClient>,
    error: &Error,
) {
    let own = identity.registration().filter(|own| !own.is_preregistered);
    let Some(own) = own.filter(|own| Some(*own) == known && error.is_unknown_client()) else {
        return;
    };
    let removed = match store.has_registration(own).await {
        Ok(true) => store.remove_registration(&own.issuer).await,
        kept => kept,
    };
    if let Err(failure) = removed {
        tracing::warn!(error = %failure, "cannot remove the client registration");
    }
}

/// Marks the stored discovery as stale after a response that contradicts it, so that the next login
/// repeats it. A failure is only logged, because the caller returns that of the login.
async fn invalidate_discovery(store: &TokenStore, key: &LoginKey, error: &Error) {
    if !error.is_stale_discovery() {
        return;
    }
    let update = async {
        let mut lock = store.lock(key).await?;
        if let Some(mut record) = lock.record().cloned() {
            record.discovery = record.discovery.invalidated();
            store.save(&mut lock, &record).await?;
        }
        Ok::<_, Error>(())
    };
    if let Err(failure) = update.await {
        tracing::warn!(server = %key, error = %failure, "cannot mark the stored discovery as stale");
    }
}

impl LoginOptions {
    /// Returns the key under which a login with these options is stored.
    pub fn key(&self, server: &ServerUrl) -> LoginKey {
        let key = LoginKey::new(server.clone());
        match &self.account {
            Some(account) => key.with_account(account),
            None => key,
        }
    }

    /// Sets the non-interactive grant of these options, if they have one, on a session.
    pub(crate) fn apply_grant(&self, session: StoredSession) -> StoredSession {
        match &self.non_interactive {
            Some(grant) => session.with_grant(grant.clone(), &self.discovery),
            None => session,
        }
    }

    /// Returns the preferred grant, if the server offers it and no other is named.
    fn preferred(&self, server: &ServerMetadata) -> Option<&'static dyn Grant> {
        let name = self.preferred_grant.as_deref()?;
        let offered = grant::select_for_server(server, Some(name)).ok();
        offered.filter(|_| self.grant.is_none())
    }

    /// Returns the proof generator of this login, if its tokens are to be bound to a key.
    fn proof_generator(
        &self,
        platform: &Platform,
        discovery: &Discovery,
    ) -> Result<Option<Arc<ProofGenerator>>, AuthorizationError> {
        let is_required = match self.dpop {
            DpopPolicy::Auto => discovery.requires_dpop,
            DpopPolicy::Always => true,
            DpopPolicy::Never => false,
        };
        if !is_required {
            return Ok(None);
        }
        if !discovery.metadata.supports_dpop() {
            let issuer = discovery.issuer().clone();
            return Err(AuthorizationError::DpopUnsupported(issuer));
        }
        let key = DpopKey::generate()?;
        Ok(Some(Arc::new(ProofGenerator::new(
            key,
            Arc::clone(&platform.clock),
        ))))
    }

    fn client(&self) -> IdentityOptions {
        let mut client = self.identity.clone();
        client.dpop_bound_access_tokens |= self.dpop == DpopPolicy::Always;
        client.scope.clone_from(&self.scope);
        client
    }

    /// Returns the client that is registered with the issuer already, if any. A pre-registered client
    /// stays bound to the issuer that it was first used with, also if discovery is repeated (MCP
    /// authorization, Authorization Server Binding).
    async fn known_client(
        &self,
        store: &TokenStore,
        discovery: &Discovery,
        stored: Option<&Record>,
    ) -> Result<Option<RegisteredClient>, Error> {
        let preregistered = self.identity.preregistered.as_ref();
        let used = stored.and_then(|record| match &record.identity {
            ClientIdentity::Registered(own) if own.is_preregistered => Some(own.clone()),
            _ => None,
        });
        match used.filter(|used| preregistered.is_some_and(|own| own.client_id == used.client_id)) {
            Some(used) if self.force => Ok(Some(RegisteredClient {
                client_id_in_form: ClientIdInForm::default(),
                ..used
            })),
            Some(used) => Ok(Some(used)),
            None if self.force => Ok(None),
            None => Ok(store.registration(discovery.issuer()).await?),
        }
    }
}
