//! The whole way, in order. Read this first.

use std::time::Duration;

use crate::{
    discovery::{Discovery, DiscoveryOptions, discover},
    error::Error,
    grant::{self, GrantRequest, LOGIN_TIMEOUT, Receiver, Redirect},
    identity::{ClientIdentity, IdentityOptions, Registration, identify},
    platform::Platform,
    proto::scope::Scope,
    server_url::ServerUrl,
    session::Session,
    store::{Record, RecordKey, TokenStore},
};

/// What may be chosen about a login. The default suits most servers.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LoginOptions {
    /// Which of several accounts at the server.
    pub account: Option<String>,
    /// The challenge that made it necessary, and how old a server may be.
    pub discovery: DiscoveryOptions,
    /// Who to be.
    pub identity: IdentityOptions,
    /// Which grant, by name; else the first that fits.
    pub grant: Option<String>,
    /// What to ask for, instead of what the server suggests.
    pub scope: Option<Scope>,
    /// Where the browser comes back to.
    pub redirect: Redirect,
    /// How long the person may take.
    pub timeout: Duration,
    /// Whether to forget what was learnt and registered before.
    pub afresh: bool,
}

impl Default for LoginOptions {
    fn default() -> Self {
        Self {
            account: None,
            discovery: DiscoveryOptions::default(),
            identity: IdentityOptions::default(),
            grant: None,
            scope: None,
            redirect: Redirect::default(),
            timeout: LOGIN_TIMEOUT,
            afresh: false,
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
    let before = options.remembered(store, &key).await?;
    let discovery = learn(platform, server, options, before.as_ref()).await?;
    let registered = options
        .registered(store, &discovery, before.as_ref())
        .await?;
    let receiver = Receiver::bind(&options.redirect, registered.as_ref())?;
    let identity = options
        .identify(platform, &discovery, registered.as_ref(), &receiver)
        .await?;
    keep_registration(store, &identity, registered.as_ref()).await?;
    let request = GrantRequest::new(&discovery, &identity, options.scope.as_ref())?
        .with_receiver(receiver)
        .with_timeout(options.timeout);
    let requested = request.scope().cloned();
    let grant = grant::choose(&request, options.grant.as_deref())?;
    let tokens = grant.obtain(platform, request).await;
    forget_what_was_wrong(store, &key, &identity, tokens.as_ref().err()).await?;
    let record = Record::new(discovery, identity, requested, tokens?);
    let mut lock = store.lock(&key).await?;
    let revision = store.save(&mut lock, &record).await?;
    Ok(Session::new(
        platform.clone(),
        store.clone(),
        key,
        record,
        revision,
    ))
}

/// What was learnt before, where it is still fresh and nothing contradicts it; else what the
/// servers say now.
async fn learn(
    platform: &Platform,
    server: &ServerUrl,
    options: &LoginOptions,
    before: Option<&Record>,
) -> Result<Discovery, Error> {
    let challenge = options.discovery.challenge.as_ref();
    let fresh = |record: &&Record| record.discovery.is_fresh(platform.clock.now(), challenge);
    let by_hand = options.discovery.manual.is_some();
    if let Some(record) = before.filter(fresh).filter(|_| !by_hand) {
        return Ok(record.discovery.clone().with_challenge(challenge));
    }
    let found = discover(platform, server, &options.discovery).await?;
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
    known: Option<&Registration>,
) -> Result<(), Error> {
    match identity {
        ClientIdentity::Registered(own) if !own.by_hand && Some(own) != known => {
            Ok(store.save_registration(own).await?)
        }
        _ => Ok(()),
    }
}

/// A client that the server no longer knows is not used again (H173), and what was discovered
/// before is not believed again after an answer that contradicts it (H22).
async fn forget_what_was_wrong(
    store: &TokenStore,
    key: &RecordKey,
    identity: &ClientIdentity,
    error: Option<&Error>,
) -> Result<(), Error> {
    let Some(error) = error.filter(|error| error.contradicts_discovery()) else {
        return Ok(());
    };
    if let ClientIdentity::Registered(own) = identity
        && !own.by_hand
        && error.is_unknown_client()
    {
        store.forget_registration(&own.issuer).await?;
    }
    let mut lock = store.lock(key).await?;
    if let Some(mut record) = lock.record().cloned() {
        record.discovery = record.discovery.distrusted();
        store.save(&mut lock, &record).await?;
    }
    Ok(())
}

impl LoginOptions {
    /// Whose tokens a login with these options brings.
    pub fn key(&self, server: &ServerUrl) -> RecordKey {
        let key = RecordKey::new(server.clone());
        match &self.account {
            Some(account) => key.with_account(account),
            None => key,
        }
    }

    /// The record of an earlier login. It is read first, so that a store that cannot be read is
    /// known before the person is bothered.
    async fn remembered(
        &self,
        store: &TokenStore,
        key: &RecordKey,
    ) -> Result<Option<Record>, Error> {
        let stored = store.load(key).await?;
        Ok(stored.map(|(record, _)| record).filter(|_| !self.afresh))
    }

    /// The client that the issuer knows already. One that a person registered by hand stays bound
    /// to the issuer that it was first used with (spec-checklist D14).
    async fn registered(
        &self,
        store: &TokenStore,
        discovery: &Discovery,
        before: Option<&Record>,
    ) -> Result<Option<Registration>, Error> {
        if self.afresh {
            return Ok(None);
        }
        let used = before.and_then(|record| match &record.identity {
            ClientIdentity::Registered(own) if own.by_hand => Some(own.clone()),
            _ => None,
        });
        let by_hand = self.identity.preregistered.as_ref();
        match used.filter(|used| by_hand.is_some_and(|own| own.client_id == used.client_id)) {
            Some(used) => Ok(Some(used)),
            None => Ok(store.registration(discovery.issuer()).await?),
        }
    }

    async fn identify(
        &self,
        platform: &Platform,
        discovery: &Discovery,
        registered: Option<&Registration>,
        receiver: &Receiver,
    ) -> Result<ClientIdentity, Error> {
        identify(
            platform,
            discovery,
            &self.identity,
            registered,
            receiver.uri(),
        )
        .await
    }
}
