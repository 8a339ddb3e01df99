//! One login for two resources of one issuer, only with [`Login::reuse_issuer_login`].

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use mcp_client_oauth::{
    Login, Remedy, Session, adapters::TokenSource as _, flow::ResourceParameter, store::LoginKey,
};
use mcp_oauth_testbed::{Builder, Corruption, Endpoint, Fault, Peer, Testbed};
use serde_json::json;

use crate::{
    flaky_store::FlakyStore,
    support::{Fixture, bounded, server_url},
};

const LIFE: Duration = Duration::from_secs(300);

/// Two MCP servers with one authorization server.
struct TwoResources {
    /// The server that the user is logged in to.
    notes: Fixture,
    mail: Arc<Testbed>,
}

impl TwoResources {
    async fn with(issuing: impl FnOnce(Builder) -> Builder) -> Self {
        let mail = Arc::new(Testbed::start().await.unwrap());
        let builder = issuing(Testbed::builder().additional_resource(mail.server_url().as_str()));
        let notes = Fixture::with(builder).await;
        let issuer = json!([notes.testbed.issuer()]);
        mail.set_fault(Fault::PrmField("authorization_servers".to_owned(), issuer));
        Self { notes, mail }
    }

    /// Starts an authorization server with one login for both resources.
    async fn open() -> Self {
        let own = Self::with(Builder::one_login_for_all_resources).await;
        own.notes.login().await.unwrap();
        own
    }

    /// Returns the other server, with the same user and the same store.
    fn mail(&self) -> Fixture {
        let mut fixture = Fixture::from_testbed(Arc::clone(&self.mail));
        fixture.platform = self.notes.platform.clone();
        fixture.user = Arc::clone(&self.notes.user);
        fixture.store = self.notes.store.clone();
        fixture
    }

    fn logins(&self) -> usize {
        self.notes.user.opened_urls().len()
    }

    async fn session(&self, key: LoginKey) -> Session {
        self.notes.client().session(key).await.unwrap()
    }
}

#[tokio::test]
async fn reuse_issuer_login_logs_in_to_a_second_resource_without_the_browser() {
    let resources = TwoResources::open().await;
    let session = resources
        .mail()
        .login_with(Login::reuse_issuer_login)
        .await
        .unwrap();
    assert_eq!(resources.logins(), 1);
    let issued = resources.notes.testbed.issued_tokens();
    let last = issued.last().unwrap();
    assert_eq!(last.resource, server_url(&resources.mail).as_str());
    assert_eq!(session.resource().unwrap().as_str(), last.resource);
    // Each resource has its own access token.
    let notes = resources.session(resources.notes.key()).await;
    assert_ne!(notes.token().await.unwrap(), session.token().await.unwrap());
    assert_eq!(
        session.record().unwrap().tokens.refresh_token,
        None,
        "the refresh token is stored once"
    );
}

#[tokio::test]
async fn without_reuse_issuer_login_each_resource_has_its_own_login() {
    let resources = TwoResources::open().await;
    let session = resources.mail().login().await.unwrap();
    assert_eq!(resources.logins(), 2);
    assert_eq!(session.record().unwrap().shared_from, None);
    assert_eq!(resources.notes.testbed.families().len(), 2);
}

#[tokio::test]
async fn both_logins_are_refreshed_by_one_rotating_refresh_token() {
    let resources = TwoResources::open().await;
    let mail = resources
        .mail()
        .login_with(Login::reuse_issuer_login)
        .await
        .unwrap();
    let notes = resources.session(resources.notes.key()).await;
    for _ in 0..5 {
        resources.notes.advance(LIFE);
        let (first, second) = tokio::join!(mail.token(), notes.token());
        assert_ne!(first.unwrap(), second.unwrap());
    }
    let families = resources.notes.testbed.families();
    assert!(families.len() == 1 && families[0].alive);
    assert_eq!(resources.logins(), 1);
}

#[tokio::test]
async fn an_issuer_that_rejects_the_other_resource_leads_to_a_browser_login() {
    let resources = TwoResources::with(|builder| builder).await;
    let notes = resources.notes.login().await.unwrap();
    let session = resources
        .mail()
        .login_with(Login::reuse_issuer_login)
        .await
        .unwrap();
    assert_eq!(resources.logins(), 2);
    assert_eq!(session.record().unwrap().shared_from, None);
    // The rejection did not affect the first login.
    notes.refresh().await.unwrap();
}

#[tokio::test]
async fn a_login_of_another_account_is_not_reused() {
    let resources = TwoResources::open().await;
    let other = |login: Login| login.reuse_issuer_login().account("work");
    resources.mail().login_with(other).await.unwrap();
    assert_eq!(resources.logins(), 2);
}

#[tokio::test]
async fn a_revoked_login_ends_for_both_resources() {
    let resources = TwoResources::open().await;
    let fixture = resources.mail();
    let mail = fixture.login_with(Login::reuse_issuer_login).await.unwrap();
    resources
        .notes
        .store
        .remove(&resources.notes.key())
        .await
        .unwrap();
    resources.notes.advance(LIFE);
    let error = mail.token().await.unwrap_err();
    assert_eq!(error.remedy(), Remedy::LogIn, "{error}");
}

#[tokio::test]
async fn a_wider_scope_than_the_shared_one_leads_to_a_browser_login() {
    let resources = TwoResources::open().await;
    let wider = |login: Login| {
        let login = login.reuse_issuer_login();
        login.scope("notes:read notes:write")
    };
    let session = resources.mail().login_with(wider).await.unwrap();
    assert_eq!(resources.logins(), 2);
    assert_eq!(session.record().unwrap().missing_scope(), None);
}

#[tokio::test]
async fn an_own_login_is_not_replaced_by_a_shared_one() {
    let resources = TwoResources::open().await;
    resources.mail().login().await.unwrap();
    let session = resources
        .mail()
        .login_with(Login::reuse_issuer_login)
        .await
        .unwrap();
    assert_eq!(session.record().unwrap().shared_from, None);
    assert!(session.record().unwrap().tokens.refresh_token.is_some());
}

/// The tokens of a request that was sent are stored, although its caller is gone.
#[tokio::test]
async fn a_cancelled_login_does_not_change_the_shared_one() {
    let resources = TwoResources::open().await;
    let testbed = &resources.notes.testbed;
    testbed.set_fault(Fault::Corrupt(Endpoint::Token, Corruption::Held));
    let fixture = resources.mail();
    let cancelled = tokio::spawn(async move {
        fixture
            .login_with(Login::reuse_issuer_login)
            .await
            .map(drop)
    });
    let requests = testbed.wait_for_requests(Peer::AuthorizationServer, "POST", "/token", 2);
    bounded(requests).await;
    cancelled.abort();
    assert!(cancelled.await.unwrap_err().is_cancelled());
    testbed.release();

    let notes = resources.session(resources.notes.key()).await;
    bounded(notes.refresh()).await.unwrap();
    assert!(testbed.families()[0].alive);
}

/// The shared refresh token was used: a process that ends before the new one is stored loses the login.
/// Cancelling the wait does not stop the save.
#[tokio::test]
async fn flush_waits_for_the_shared_login() {
    let flaky = FlakyStore::new();
    let mut resources = TwoResources::with(Builder::one_login_for_all_resources).await;
    resources.notes.store = flaky.store();
    resources.notes.login().await.unwrap();
    let mail = resources.mail();
    mail.login_with(Login::reuse_issuer_login).await.unwrap();
    let session = resources.session(mail.key()).await;

    // The record with the shared refresh token is written first.
    flaky.failures.store(1, Ordering::SeqCst);
    session.refresh().await.unwrap();
    let is_spent = async || {
        let record = resources.notes.record().await.unwrap();
        let token = record.tokens.refresh_token.unwrap();
        resources.notes.testbed.is_spent(token.expose())
    };
    assert!(is_spent().await);
    let flushing = session.clone();
    let flushed = tokio::spawn(async move { flushing.flush().await });
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!flushed.is_finished());
    flushed.abort();
    assert!(flushed.await.unwrap_err().is_cancelled());

    resources.notes.clock.advance(Duration::from_secs(1));
    bounded(session.flush()).await;
    assert!(!is_spent().await);
    assert_eq!(resources.logins(), 1);
}

#[tokio::test]
async fn a_login_without_the_resource_parameter_is_not_shared() {
    let resources = TwoResources::open().await;
    let mail = resources.mail();
    mail.login_with(Login::reuse_issuer_login).await.unwrap();
    assert_eq!(resources.logins(), 1, "the login is shared");

    // The shared login is made again, without the `resource` parameter in its requests.
    let notes = &resources.notes;
    let mut lock = notes.store.lock(&notes.key()).await.unwrap();
    let mut record = lock.record().cloned().unwrap();
    record.discovery.quirks.resource = Some(ResourceParameter::Omitted);
    notes.store.save(&mut lock, &record).await.unwrap();
    drop(lock);
    let (refreshes, session) = (notes.refreshes(), resources.session(mail.key()).await);
    let refused = session.refresh().await.unwrap_err();
    assert_eq!(refused.remedy(), Remedy::LogIn, "{refused}");
    assert_eq!(notes.refreshes(), refreshes);
}
