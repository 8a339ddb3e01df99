//! Which results of earlier logins a login reuses, and which ones it invalidates.

use super::{context::LoginContext, shared::shared_login};
use crate::{
    client_registration::{ClientIdentity, RegisteredClient},
    discovery::{Discovery, discover},
    error::Error,
    proto::client_auth::ClientIdInForm,
    store::Record,
};

impl LoginContext<'_> {
    /// Returns the stored discovery if it is fresh and the challenge does not contradict it; otherwise runs
    /// discovery.
    pub(super) async fn discover_or_reuse(&self) -> Result<Discovery, Error> {
        let (server, options) = (self.server, self.options);
        let stored = self.trusted_record();
        let challenge = options.discovery.challenge.as_ref();
        let now = self.platform.clock.now();
        let fresh = |record: &&Record| record.discovery.is_fresh(now, challenge);
        let must_discover = options.force || options.discovery.manual.is_some();
        if let Some(record) = stored.filter(fresh).filter(|_| !must_discover) {
            let known = record.discovery.clone();
            let known = known.with_quirks(&options.discovery.quirks);
            return Ok(known.with_challenge(challenge));
        }
        let mut requested = options.discovery.clone();
        if let Some(record) = stored.filter(|_| !options.force) {
            requested.quirks = requested.quirks.bound_as_in(&record.discovery.quirks);
        }
        let found = discover(self.platform, server, &requested).await?;
        if let Some(record) = stored.filter(|record| record.discovery.issuer() != found.issuer()) {
            // Credentials are bound to their issuer (MCP authorization, Authorization Server Binding), so
            // the new issuer gets none of the old one's. The warning tells the user about the change.
            let (old, new) = (record.discovery.issuer(), found.issuer());
            tracing::warn!(%server, %old, %new, "the server has changed its authorization server");
        }
        Ok(found)
    }

    /// Returns the stored record, unless the login presents an assertion: a record that another host may have
    /// written must not decide where the assertion is sent.
    fn trusted_record(&self) -> Option<&Record> {
        let is_untrusted = self.store.is_shared() && self.options.grant.presents_assertion();
        self.stored.as_ref().filter(|_| !is_untrusted)
    }

    /// Returns a record that reuses the login at another resource of the issuer, if the options allow it and
    /// there is one.
    ///
    /// # Errors
    /// [`Error::TokenStorage`] only.
    pub(super) async fn shared_login(
        &self,
        discovery: &Discovery,
        is_bound: bool,
    ) -> Result<Option<Record>, Error> {
        let options = self.options;
        // The resource keeps its refresh token if it has one: other resources may share that login.
        let stored = self.stored.as_ref();
        let has_own = stored.is_some_and(|record| record.tokens.refresh_token.is_some());
        if !options.reuse_issuer_login || options.grant.is_non_interactive() || has_own {
            return Ok(None);
        }
        let requirement = (options.scope.as_ref(), is_bound);
        shared_login(self.platform, self.store, &self.key, discovery, requirement).await
    }

    /// Returns the client that is registered with the issuer already, if any. A pre-registered client
    /// stays bound to the issuer that it was first used with, also if discovery is repeated (MCP
    /// authorization, Authorization Server Binding).
    pub(super) async fn known_client(
        &self,
        discovery: &Discovery,
    ) -> Result<Option<RegisteredClient>, Error> {
        let (force, identity) = (self.options.force, &self.options.identity);
        let preregistered = identity.preregistered.as_ref();
        let stored = self.stored.as_ref();
        let used = stored.and_then(|record| match &record.identity {
            ClientIdentity::Registered(own) if own.is_preregistered => Some(own.clone()),
            _ => None,
        });
        match used.filter(|used| preregistered.is_some_and(|own| own.client_id == used.client_id)) {
            Some(used) if force => Ok(Some(RegisteredClient {
                client_id_in_form: ClientIdInForm::default(),
                ..used
            })),
            Some(used) => Ok(Some(used)),
            None if force => Ok(None),
            None => Ok(self.store.registration(discovery.issuer()).await?),
        }
    }

    /// Stores a new registration before the user is involved, so that a login after a cancelled one does not
    /// register one more client.
    pub(super) async fn store_new_registration(
        &self,
        identity: &ClientIdentity,
        known: Option<&RegisteredClient>,
    ) -> Result<(), Error> {
        match identity {
            ClientIdentity::Registered(own) if !own.is_preregistered && Some(own) != known => {
                Ok(self.store.save_registration(own).await?)
            }
            _ => Ok(()),
        }
    }

    /// Stores in the registration that its issuer requires `client_id` in the form, so that the next login
    /// needs only one token request. A failure is only logged.
    pub(super) async fn update_registration(&self, identity: &ClientIdentity) {
        let Some(own) = identity.registration().filter(|own| !own.is_preregistered) else {
            return;
        };
        let saved = match self.store.has_registration(own).await {
            Ok(true) => self.store.save_registration(own).await,
            kept => kept.map(drop),
        };
        if let Err(error) = saved {
            tracing::warn!(%error, "cannot update the client registration");
        }
    }

    /// Removes a registration that the server no longer knows (`invalid_client`, RFC 6749 §5.2). One that
    /// was registered in this login is kept: the server knows it and refuses it for another reason, so
    /// otherwise each new attempt would register one more client.
    pub(super) async fn remove_unknown_client(
        &self,
        identity: &ClientIdentity,
        known: Option<&RegisteredClient>,
        error: &Error,
    ) {
        let own = identity.registration().filter(|own| !own.is_preregistered);
        let Some(own) = own.filter(|own| Some(*own) == known && error.is_unknown_client()) else {
            return;
        };
        let removed = match self.store.has_registration(own).await {
            Ok(true) => self.store.remove_registration(&own.issuer).await,
            kept => kept,
        };
        if let Err(failure) = removed {
            tracing::warn!(error = %failure, "cannot remove the client registration");
        }
    }

    /// Marks the stored discovery as stale after a response that contradicts it, so that the next login
    /// repeats it. A failure is only logged, because the caller returns that of the login.
    pub(super) async fn invalidate_discovery(&self, error: &Error) {
        if !error.is_stale_discovery() {
            return;
        }
        let update = async {
            let mut lock = self.store.lock(&self.key).await?;
            if let Some(mut record) = lock.record().cloned() {
                record.discovery = record.discovery.invalidated();
                self.store.save(&mut lock, &record).await?;
            }
            Ok::<_, Error>(())
        };
        if let Err(failure) = update.await {
            tracing::warn!(server = %self.key, error = %failure, "cannot mark the stored discovery as stale");
        }
    }
}
