//! One login for two resources of one issuer, for those who ask for it, and for nobody else.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use mcp_client_oauth::{
    LoginOptions, Remedy, ResourceParameter, Session, TokenSource as _, store::LoginKey,
};
use mcp_oauth_testbed::{Builder, Corruption, Endpoint, Fault, Peer, Testbed};
use serde_json::json;

use crate::{
    moody::FlakyStore,
    support::{Fixture, bounded, server_url},
};

const LIFE: Duration = Duration::from_secs(300);

/// Two MCP servers whose tokens one authorization server issues.
struct Company {
    /// Somebody is logged in here.
    notes: Fixture,
    mail: Arc<Testbed>,
}

impl Company {
    async fn with(issuing: impl FnOnce(Builder) -> Builder) -> Self {
        let mail = Arc::new(Testbed::start().await.unwrap());
        let builder = issuing(Testbed::builder().also_issues_for(mail.server_url().as_str()));
        let notes = Fixture::with(builder).await;
        let issuer = json!([notes.testbed.issuer()]);
        mail.set_fault(Fault::PrmField("authorization_servers".to_owned(), issuer));
        Self { notes, mail }
    }

    /// Where one login is good for both.
    async fn open() -> Self {
        let own = Self::with(Builder::one_login_for_all_resources).await;
        own.notes.login().await.unwrap();
        own
    }

    /// The other server, with the same person and the same store.
    fn mail(&self) -> Fixture {
        let mut fixture = Fixture::of(Arc::clone(&self.mail));
        fixture.platform = self.notes.platform.clone();
        fixture.person = Arc::clone(&self.notes.person);
        fixture.store = self.notes.store.clone();
        fixture
    }

    fn logins(&self) -> usize {
        self.notes.person.opened().len()
    }

    async fn session(&self, key: LoginKey) -> Session {
        let (platform, store) = (self.notes.platform.clone(), self.notes.store.clone());
        Session::open(platform, store, key).await.unwrap().unwrap()
    }
}

fn sharing() -> LoginOptions {
    let mut options = LoginOptions::default();
    options.share = true;
    options
}

#[tokio::test]
async fn a_second_resource_needs_no_person_if_that_is_asked_for() {
    let company = Company::open().await;
    let session = company.mail().login_with(&sharing()).await.unwrap();
    assert_eq!(company.logins(), 1);
    let issued = company.notes.testbed.issued_tokens();
    let last = issued.last().unwrap();
    assert_eq!(last.resource, server_url(&company.mail).as_str());
    assert_eq!(session.resource().unwrap().as_str(), last.resource);
    // Each has a token of its own.
    let notes = company.session(company.notes.key()).await;
    assert_ne!(notes.token().await.unwrap(), session.token().await.unwrap());
    assert_eq!(
        session.record().tokens.refresh_token,
        None,
        "it has one place"
    );
}

#[tokio::test]
async fn without_that_each_resource_has_a_login_of_its_own() {
    let company = Company::open().await;
    let session = company.mail().login().await.unwrap();
    assert_eq!(company.logins(), 2);
    assert_eq!(session.record().lender, None);
    assert_eq!(company.notes.testbed.families().len(), 2);
}

#[tokio::test]
async fn both_are_renewed_again_and_again_by_one_rotating_refresh_token() {
    let company = Company::open().await;
    let mail = company.mail().login_with(&sharing()).await.unwrap();
    let notes = company.session(company.notes.key()).await;
    for _ in 0..5 {
        company.notes.pass(LIFE);
        let (first, second) = tokio::join!(mail.token(), notes.token());
        assert_ne!(first.unwrap(), second.unwrap());
    }
    let families = company.notes.testbed.families();
    assert!(families.len() == 1 && families[0].alive);
    assert_eq!(company.logins(), 1);
}

#[tokio::test]
async fn an_issuer_that_gives_nothing_for_the_other_resource_asks_the_person() {
    let company = Company::with(|builder| builder).await;
    let notes = company.notes.login().await.unwrap();
    let session = company.mail().login_with(&sharing()).await.unwrap();
    assert_eq!(company.logins(), 2);
    assert_eq!(session.record().lender, None);
    // The refusal has cost the first login nothing.
    notes.refresh().await.unwrap();
}

#[tokio::test]
async fn another_account_has_nothing_to_lend() {
    let company = Company::open().await;
    let mut options = sharing();
    options.account = Some("work".to_owned());
    company.mail().login_with(&options).await.unwrap();
    assert_eq!(company.logins(), 2);
}

#[tokio::test]
async fn a_login_that_is_over_is_over_for_both() {
    let company = Company::open().await;
    let fixture = company.mail();
    let mail = fixture.login_with(&sharing()).await.unwrap();
    company
        .notes
        .store
        .forget(&company.notes.key())
        .await
        .unwrap();
    company.notes.pass(LIFE);
    let error = mail.token().await.unwrap_err();
    assert_eq!(error.remedy(), Remedy::LogIn, "{error}");
}

#[tokio::test]
async fn a_wider_scope_than_is_lent_asks_the_person() {
    let company = Company::open().await;
    let mut options = sharing();
    options.scope = Some("notes:read notes:write".parse().unwrap());
    let session = company.mail().login_with(&options).await.unwrap();
    assert_eq!(company.logins(), 2);
    assert_eq!(session.missing_scope(), None);
}

#[tokio::test]
async fn a_login_of_its_own_is_not_given_up_for_a_shared_one() {
    let company = Company::open().await;
    company.mail().login().await.unwrap();
    let session = company.mail().login_with(&sharing()).await.unwrap();
    assert_eq!(session.record().lender, None);
    assert!(session.record().tokens.refresh_token.is_some());
}

/// What was sent is stored, whoever has gone.
#[tokio::test]
async fn a_login_that_is_given_up_costs_the_lender_nothing() {
    let company = Company::open().await;
    let testbed = &company.notes.testbed;
    testbed.set_fault(Fault::Spoil(Endpoint::Token, Corruption::Held));
    let fixture = company.mail();
    let giving_up = tokio::spawn(async move { fixture.login_with(&sharing()).await.map(drop) });
    let requests = testbed.arrived(Peer::AuthorizationServer, "POST", "/token", 2);
    bounded(requests).await;
    giving_up.abort();
    assert!(giving_up.await.unwrap_err().is_cancelled());
    testbed.release();

    let notes = company.session(company.notes.key()).await;
    bounded(notes.refresh()).await.unwrap();
    assert!(testbed.families()[0].alive);
}

/// What was lent is spent: a process that ends before that is stored loses the login. Giving up the
/// wait stops nothing.
#[tokio::test]
async fn settling_waits_for_the_login_that_lends() {
    let moody = FlakyStore::new();
    let mut company = Company::with(Builder::one_login_for_all_resources).await;
    company.notes.store = moody.store();
    company.notes.login().await.unwrap();
    let mail = company.mail();
    mail.login_with(&sharing()).await.unwrap();
    let session = company.session(mail.key()).await;

    // The lender is the first to be written.
    moody.failures.store(1, Ordering::SeqCst);
    session.refresh().await.unwrap();
    let is_spent = async || {
        let lender = company.notes.record().await.unwrap();
        let token = lender.tokens.refresh_token.unwrap();
        company.notes.testbed.is_spent(token.expose())
    };
    assert!(is_spent().await);
    let settling = session.clone();
    let settled = tokio::spawn(async move { settling.flush().await });
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!settled.is_finished());
    settled.abort();
    assert!(settled.await.unwrap_err().is_cancelled());

    company.notes.clock.advance(Duration::from_secs(1));
    bounded(session.flush()).await;
    assert!(!is_spent().await);
    assert_eq!(company.logins(), 1);
}

#[tokio::test]
async fn a_login_whose_requests_name_no_resource_lends_nothing() {
    let company = Company::open().await;
    let mail = company.mail();
    mail.login_with(&sharing()).await.unwrap();
    assert_eq!(company.logins(), 1, "the login is lent");

    // The lender logs in again, where no request says which resource its token is for.
    let notes = &company.notes;
    let mut lock = notes.store.lock(&notes.key()).await.unwrap();
    let mut record = lock.record().cloned().unwrap();
    record.discovery.quirks.resource = Some(ResourceParameter::Omitted);
    notes.store.save(&mut lock, &record).await.unwrap();
    drop(lock);
    let (refreshes, session) = (notes.refreshes(), company.session(mail.key()).await);
    let refused = session.refresh().await.unwrap_err();
    assert_eq!(refused.remedy(), Remedy::LogIn, "{refused}");
    assert_eq!(notes.refreshes(), refreshes);
}
