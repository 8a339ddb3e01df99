//! The whole way, in order. Read this first.

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
    session::Session,
    store::{LoginKey, Record, Revision, TokenStore},
};

mod registration_check;
mod shared;

use shared::shared_login;

/// Says how often a login is tried to be stored: a store waits for its record for a minute or more.
const MOST_SAVES: usize = 3;

/// Holds what may be chosen about a login. The default suits most servers.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LoginOptions {
    /// Says which of several accounts at the server.
    pub account: Option<String>,
    /// The challenge that made it necessary, and how old a server may be.
    pub discovery: DiscoveryOptions,
    /// Who to be.
    pub identity: IdentityOptions,
    /// Says which grant, by its name in [`GRANTS`](grant::GRANTS); else the first that fits. The
    /// device grant (`device_code`) is never that one: it is for who asks for it (H179).
    pub grant: Option<String>,
    /// Says which grant, by its name, where [`grant`](Self::grant) names none, the server offers this one,
    /// and it can be had there; else the first that fits. For where a device code would do better, and
    /// a browser does as well.
    pub preferred_grant: Option<String>,
    /// Says how to get tokens without asking anybody; then the session can do that again by itself. The
    /// source of an assertion is not stored: a session that is opened later needs it again, see
    /// [`Session::with_grant`] and [`Client::session_with`](crate::Client::session_with).
    pub machine: Option<NonInteractiveGrant>,
    /// Holds what to ask for, instead of what the server suggests.
    pub scope: Option<Scope>,
    /// Says where the browser comes back to, if the grant needs one.
    pub redirect: RedirectTarget,
    /// Says how long the person may take. A device code may live shorter.
    pub timeout: Duration,
    /// Says whether to ask the servers again for what was learnt before, and to register anew. A client
    /// that was registered by hand keeps its issuer.
    pub afresh: bool,
    /// Says whether a login of the same account at another resource of the same issuer may do, if there
    /// is one: its refresh token gets a token for this resource too, where the issuer allows that,
    /// and nobody is asked. Each resource has its own access token all the same.
    pub share: bool,
    /// Says whether the tokens are to be bound to a key, so that whoever steals them cannot use them.
    pub dpop: DpopPolicy,
}

/// Says whether a login asks for tokens that are bound to a key (DPoP, RFC 9449). The key is made for the
/// login, and kept with its tokens.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum DpopPolicy {
    /// If the server wants such tokens: its metadata says that it takes no others, or its challenge
    /// has the scheme `DPoP`.
    #[default]
    Auto,
    /// In any case, and a client that is registered dynamically is registered for these alone. The
    /// login fails where the authorization server does not give them.
    Always,
    /// In no case.
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
            machine: None,
            scope: None,
            redirect: RedirectTarget::default(),
            timeout: LOGIN_TIMEOUT,
            afresh: false,
            share: false,
            dpop: DpopPolicy::default(),
        }
    }
}

/// From a server URL to a session whose tokens are kept.
///
/// Nothing is stored unless everything went well, except the client's registration, which is kept
/// for the next try. Dropping the future (Ctrl-C) closes the listener and stores nothing.
///
/// # Errors
/// One of each stage; see [`error`](crate::error).
pub async fn login(
    platform: &Platform,
    store: &TokenStore,
    server: &ServerUrl,
    options: &LoginOptions,
) -> Result<Session, Error> {
    let key = options.key(server);
    // First, so that a store that cannot be read or written, and a record that somebody does not let
    // go of, is known before the person is bothered.
    let before = store.lock(&key).await?.record().cloned();
    store.check_writable().await?;
    // On the heap: it is large, and whoever waits for a login should not grow by it.
    let outcome = Box::pin(obtain(platform, store, server, options, before.as_ref())).await;
    if let Err(error) = &outcome {
        distrust(store, &key, error).await;
    }
    let record = outcome?;
    let revision = keep(store, &key, &record).await?;
    let session = Session::new(platform.clone(), store.clone(), key, record, revision);
    Ok(options.give_grant(session))
}

/// Stores what a person has consented to. Somebody who holds the record, or has changed it, is no
/// reason to ask them again.
async fn keep(
    store: &TokenStore,
    key: &LoginKey,
    record: &Record,
) -> Result<Revision, TokenStorageError> {
    for _ in 1..MOST_SAVES {
        match save(store, key, record).await {
            Err(
                error @ (TokenStorageError::Locked { .. } | TokenStorageError::Conflict { .. }),
            ) => tracing::warn!(server = %key, %error, "the login is still to be stored"),
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

/// Steps 1 to 4: from the server URL to tokens.
async fn obtain(
    platform: &Platform,
    store: &TokenStore,
    server: &ServerUrl,
    options: &LoginOptions,
    before: Option<&Record>,
) -> Result<Record, Error> {
    // A record that others may have written does not decide where the caller's assertion is sent.
    let machine = options.machine.as_ref();
    let is_local = |_: &&Record| {
        !(store.is_shared() && machine.is_some_and(NonInteractiveGrant::presents_assertion))
    };
    let known = before.filter(is_local);
    let discovery = learn(platform, server, options, known).await?;
    let prover = options.prover(platform, &discovery)?;
    // A login of its own is not given up for a shared one: others may live by it.
    let has_own = before.is_some_and(|record| record.tokens.refresh_token.is_some());
    if options.share
        && options.machine.is_none()
        && !has_own
        && let key = options.key(server)
        && let wanted = (options.scope.as_ref(), prover.is_some())
        && let Some(record) = shared_login(platform, store, &key, &discovery, wanted).await?
    {
        return Ok(record);
    }
    let known = options.known_client(store, &discovery, before).await?;
    if let Some(machine) = &options.machine {
        return obtain_without_person(
            platform,
            discovery,
            options,
            known.as_ref(),
            (machine, prover),
        )
        .await;
    }
    let asking = LoginFlow {
        platform,
        store,
        options,
        known: known.as_ref(),
        prover: prover.as_ref(),
    };
    let record = match options.preferred(&discovery.metadata) {
        Some(preferred) => match asking.by(preferred, &discovery).await {
            // It is offered, and cannot be had.
            Err(
                Error::Registration(RegistrationError::Answer { .. })
                | Error::Authorization(AuthorizationError::Device { .. }),
            ) => None,
            asked => Some(asked?),
        },
        None => None,
    };
    if let Some(record) = record {
        return Ok(record);
    }
    let grant = grant::select_for_server(&discovery.metadata, options.grant.as_deref())?;
    asking.by(grant, &discovery).await
}

/// Holds what steps 2 to 4 need to ask a person.
struct LoginFlow<'a> {
    platform: &'a Platform,
    store: &'a TokenStore,
    options: &'a LoginOptions,
    known: Option<&'a RegisteredClient>,
    prover: Option<&'a Arc<ProofGenerator>>,
}

impl LoginFlow<'_> {
    /// By this grant.
    async fn by(&self, grant: &dyn Grant, discovery: &Discovery) -> Result<Record, Error> {
        let (platform, options) = (self.platform, self.options);
        let listen = || CallbackReceiver::bind(&options.redirect, self.known);
        let receiver = grant.needs_redirect().then(listen).transpose()?;
        let redirect = receiver.as_ref().map(CallbackReceiver::uri);
        let client = options.client();
        let identity = identify(platform, discovery, &client, self.known, redirect).await?;
        let identity = self.with_known_client(discovery, identity, redirect);
        let identity = identity.await?;
        keep_registration(self.store, &identity, self.known).await?;
        let mut request = GrantRequest::new(discovery, &identity, options.scope.as_ref())?
            .with_receiver(receiver)
            .with_timeout(options.timeout);
        if let Some(prover) = self.prover {
            request = request.with_prover(Arc::clone(prover));
        }
        let requested = request.scope().cloned();
        let was_required = requires_client_id_in_form(&identity);
        let tokens = grant.request_tokens(platform, request).await;
        if let ClientIdentity::Registered(own) = &identity {
            self.store.note_use(own, tokens.is_ok());
        }
        if !was_required && requires_client_id_in_form(&identity) {
            keep_learned(self.store, &identity).await;
        }
        if let Err(error) = &tokens {
            forget_unknown_client(self.store, &identity, self.known, error).await;
        }
        let mut record = Record::new(discovery.clone(), identity, requested, tokens?);
        record.dpop = self.prover.map(|prover| prover.key().clone());
        Ok(record)
    }
}

/// Steps 2 to 4 when nobody is there: no redirect URI, no listener, no registration (spec-checklist
/// J2).
async fn obtain_without_person(
    platform: &Platform,
    discovery: Discovery,
    options: &LoginOptions,
    known: Option<&RegisteredClient>,
    (machine, prover): (&NonInteractiveGrant, Option<Arc<ProofGenerator>>),
) -> Result<Record, Error> {
    let does_without = machine.does_without_client();
    let identity = identify_non_interactive(&discovery, &options.identity, known, does_without)?;
    let mut request =
        GrantRequest::new(&discovery, &identity, options.scope.as_ref())?.with_machine(machine);
    if let Some(prover) = &prover {
        request = request.with_prover(Arc::clone(prover));
    }
    let requested = request.scope().cloned();
    let grant = grant::select(&request, options.grant.as_deref())?;
    let tokens = grant.request_tokens(platform, request).await?;
    let mut record = Record::new(discovery, identity, requested, tokens);
    record.machine = Some(machine.recorded());
    record.dpop = prover.map(|prover| prover.key().clone());
    Ok(record)
}

/// Returns what was learnt before, where it is still fresh and nothing contradicts it; else what the
/// servers say now.
async fn learn(
    platform: &Platform,
    server: &ServerUrl,
    options: &LoginOptions,
    before: Option<&Record>,
) -> Result<Discovery, Error> {
    let challenge = options.discovery.challenge.as_ref();
    let fresh = |record: &&Record| record.discovery.is_fresh(platform.clock.now(), challenge);
    let ask = options.afresh || options.discovery.manual.is_some();
    if let Some(record) = before.filter(fresh).filter(|_| !ask) {
        let known = record
            .discovery
            .clone()
            .with_quirks(&options.discovery.quirks);
        return Ok(known.with_challenge(challenge));
    }
    let mut asked = options.discovery.clone();
    if let Some(record) = before.filter(|_| !options.afresh) {
        asked.quirks = asked.quirks.bound_as_in(&record.discovery.quirks);
    }
    let found = discover(platform, server, &asked).await?;
    if let Some(record) = before.filter(|record| record.discovery.issuer() != found.issuer()) {
        // What is bound to the old issuer is not shown to the new one (H24); the person should know.
        let (old, new) = (record.discovery.issuer(), found.issuer());
        tracing::warn!(%server, %old, %new, "the server has changed its authorization server");
    }
    Ok(found)
}

/// A new registration is kept before the person is asked, so that a login that is given up does
/// not leave a client behind at the server each time.
async fn keep_registration(
    store: &TokenStore,
    identity: &ClientIdentity,
    known: Option<&RegisteredClient>,
) -> Result<(), Error> {
    match identity {
        ClientIdentity::Registered(own) if !own.by_hand && Some(own) != known => {
            Ok(store.save_registration(own).await?)
        }
        _ => Ok(()),
    }
}

fn requires_client_id_in_form(identity: &ClientIdentity) -> bool {
    let own = identity.registration();
    own.is_some_and(|own| own.client_id_in_form.is_required())
}

/// Keeps with a registration how its issuer authenticates the client, so that the next login sends
/// one token request. A login does not fail by that.
async fn keep_learned(store: &TokenStore, identity: &ClientIdentity) {
    let Some(own) = identity.registration().filter(|own| !own.by_hand) else {
        return;
    };
    let saved = match store.keeps(own).await {
        Ok(true) => store.save_registration(own).await,
        kept => kept.map(drop),
    };
    if let Err(error) = saved {
        tracing::warn!(%error, "the client registration could not be updated");
    }
}

/// A client that the server no longer knows is not used again (H173). One that was registered in this
/// login is kept: the server knows it, and refuses it for another reason, so that each new try would
/// leave one more client there.
async fn forget_unknown_client(
    store: &TokenStore,
    identity: &ClientIdentity,
    known: Option<&RegisteredClient>,
    error: &Error,
) {
    let own = identity.registration().filter(|own| !own.by_hand);
    let Some(own) = own.filter(|own| Some(*own) == known && error.is_unknown_client()) else {
        return;
    };
    let forgotten = match store.keeps(own).await {
        Ok(true) => store.forget_registration(&own.issuer).await,
        kept => kept,
    };
    if let Err(also) = forgotten {
        tracing::warn!(error = %also, "the client could not be forgotten");
    }
}

/// Returns what was discovered before is not believed again after an answer that contradicts it (H22).
/// Should that fail, the failure of the login is the one to tell.
async fn distrust(store: &TokenStore, key: &LoginKey, error: &Error) {
    if !error.is_stale_discovery() {
        return;
    }
    let forget = async {
        let mut lock = store.lock(key).await?;
        if let Some(mut record) = lock.record().cloned() {
            record.discovery = record.discovery.invalidated();
            store.save(&mut lock, &record).await?;
        }
        Ok::<_, Error>(())
    };
    if let Err(also) = forget.await {
        tracing::warn!(server = %key, error = %also, "what was discovered could not be forgotten");
    }
}

impl LoginOptions {
    /// TargetArgs tokens a login with these options brings.
    pub fn key(&self, server: &ServerUrl) -> LoginKey {
        let key = LoginKey::new(server.clone());
        match &self.account {
            Some(account) => key.with_account(account),
            None => key,
        }
    }

    /// Gives the grant of these options, if they have one without a user, to a session.
    pub(crate) fn give_grant(&self, session: Session) -> Session {
        match &self.machine {
            Some(machine) => session.with_grant(machine.clone(), &self.discovery),
            None => session,
        }
    }

    /// Returns the grant that is tried before the one that fits, if there is one.
    fn preferred(&self, server: &ServerMetadata) -> Option<&'static dyn Grant> {
        let name = self.preferred_grant.as_deref()?;
        let offered = grant::select_for_server(server, Some(name)).ok();
        offered.filter(|_| self.grant.is_none())
    }

    /// Returns what proves that we have the key of this login, if its tokens are to be bound to one.
    fn prover(
        &self,
        platform: &Platform,
        discovery: &Discovery,
    ) -> Result<Option<Arc<ProofGenerator>>, AuthorizationError> {
        let wanted = match self.dpop {
            DpopPolicy::Auto => discovery.wants_dpop,
            DpopPolicy::Always => true,
            DpopPolicy::Never => false,
        };
        if !wanted {
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

    /// Returns the client that the issuer knows already. One that a person registered by hand stays bound
    /// to the issuer that it was first used with, whatever else is forgotten (spec-checklist D14).
    async fn known_client(
        &self,
        store: &TokenStore,
        discovery: &Discovery,
        before: Option<&Record>,
    ) -> Result<Option<RegisteredClient>, Error> {
        let by_hand = self.identity.preregistered.as_ref();
        let used = before.and_then(|record| match &record.identity {
            ClientIdentity::Registered(own) if own.by_hand => Some(own.clone()),
            _ => None,
        });
        match used.filter(|used| by_hand.is_some_and(|own| own.client_id == used.client_id)) {
            Some(used) if self.afresh => Ok(Some(RegisteredClient {
                client_id_in_form: ClientIdInForm::default(),
                ..used
            })),
            Some(used) => Ok(Some(used)),
            None if self.afresh => Ok(None),
            None => Ok(store.registration(discovery.issuer()).await?),
        }
    }
}
