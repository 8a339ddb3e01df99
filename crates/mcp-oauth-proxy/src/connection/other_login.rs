//! Logins of other processes: of several that need a login, one logs in, and the others use its tokens.

use std::time::Duration;

use mcp_client_oauth::{Error, Session, adapters::TokenSource as _, flow::Scope};

use super::state::ServerConnection;

impl ServerConnection {
    /// Waits for the login of another process. It polls only the store, because this takes long; a store
    /// that cannot be read is not polled again.
    pub(super) async fn wait_for_other_login(
        &self,
        scope: Option<&Scope>,
        pause: Duration,
    ) -> Session {
        let token = |session: &Session| session.record().map(|record| record.tokens.access_token);
        let before = self
            .0
            .active
            .load()
            .as_ref()
            .and_then(|active| token(&active.session));
        loop {
            self.platform().clock.sleep(pause).await;
            match self.stored_session().await {
                Ok(Some(session)) if covers_scope(&session, scope) && token(&session) != before => {
                    return session;
                }
                Ok(_) => {}
                Err(_) => std::future::pending().await,
            }
        }
    }

    /// Returns a login that another process has stored since the last check, if it has the missing scope
    /// and another access token.
    pub(super) async fn find_other_login(
        &self,
        scope: Option<&Scope>,
    ) -> Result<Option<Session>, Error> {
        let Some(session) = self.stored_session().await? else {
            return Ok(None);
        };
        let refused = self
            .0
            .active
            .load()
            .as_ref()
            .and_then(|active| active.session.cached_token());
        let token = session.token().await.ok();
        let is_other = token.is_some() && token != refused;
        Ok((covers_scope(&session, scope) && is_other).then_some(session))
    }
}

fn covers_scope(session: &Session, scope: Option<&Scope>) -> bool {
    let known = session.record().and_then(|record| record.known_scope());
    scope.is_none_or(|scope| known.is_some_and(|known| scope.missing_from(&known).is_none()))
}
