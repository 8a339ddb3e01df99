//! Each grant at a certified authorization server that is not ours: `oidc-provider` for Node, as
//! `interop/server.mjs` sets it up. It wants PKCE, gives a new refresh token for each one that is
//! spent, and a nonce for each proof.

use std::sync::Arc;

use mcp_client_oauth::{
    Authorized, DpopPolicy, IdentityOptions, LoginOptions, NonInteractiveGrant,
    PreregisteredClient, Remedy, RevocationOutcome, Secret, Session, TokenStore, login, logout,
    platform::{Clock, Interaction, Platform, ReqwestClient, SystemClock},
    proto::{private_key::PrivateKey, token::AuthScheme},
    store::{LoginKey, Record},
};
use mcp_oauth_testbed::{Algorithm, KeyPair};
use serde_json::{Value, json};

use crate::support::bounded;
use browser::{Browser, Watch};
use server::Server;

mod browser;
mod server;

/// The server, and somebody who logs in to it.
struct Foreign {
    server: Server,
    platform: Platform,
    store: TokenStore,
}

impl Foreign {
    async fn start() -> Option<Self> {
        Self::knowing(&[]).await
    }

    /// The server knows these public keys of the client `robot-with-key`.
    async fn knowing(keys: &[Value]) -> Option<Self> {
        let server = Server::start(keys).await?;
        let platform = of(
            Arc::new(SystemClock::default()),
            Arc::new(Browser::default()),
        );
        let store = TokenStore::memory();
        Some(Self {
            server,
            platform,
            store,
        })
    }

    async fn login(&self, options: &LoginOptions) -> Session {
        let login = login(&self.platform, &self.store, &self.server.resource, options);
        bounded(Box::pin(login)).await.unwrap()
    }

    fn key(&self) -> LoginKey {
        LoginKey::new(self.server.resource.clone())
    }

    async fn record(&self) -> Record {
        let loaded = self.store.load(&self.key()).await.unwrap();
        loaded.unwrap().0
    }

    /// The MCP server takes the token, and what it saw of it is returned.
    async fn scheme_at_the_resource(&self, session: &Session) -> String {
        let server = Authorized::new(self.platform.clone(), Arc::new(session.clone()));
        let url = self.server.resource.as_str().parse().unwrap();
        let response = bounded(server.post(url).json(&json!({})).send())
            .await
            .unwrap();
        let seen: Value = serde_json::from_slice(&response.body).unwrap();
        assert_eq!(response.status, 200, "{seen}");
        seen["scheme"].as_str().unwrap().to_owned()
    }

    /// A session as another process would have it that has read the same record.
    async fn elsewhere(&self) -> Session {
        let (store, record) = (TokenStore::memory(), self.record().await);
        let mut lock = store.lock(&self.key()).await.unwrap();
        let revision = store.save(&mut lock, &record).await.unwrap();
        drop(lock);
        Session::new(self.platform.clone(), store, self.key(), record, revision)
    }
}

fn of(clock: Arc<dyn Clock>, person: Arc<dyn Interaction>) -> Platform {
    Platform::new(Arc::new(ReqwestClient::default()), clock, person)
}

fn bound() -> LoginOptions {
    let mut options = LoginOptions::default();
    options.dpop = DpopPolicy::Always;
    options
}

fn robot(client: PreregisteredClient) -> LoginOptions {
    let mut options = LoginOptions::default();
    options.identity = IdentityOptions::default();
    options.identity.preregistered = Some(client);
    options.machine = Some(NonInteractiveGrant::ClientCredentials);
    options
}

fn refresh_token(record: &Record) -> &Secret<String> {
    record.tokens.refresh_token.as_ref().unwrap()
}

#[tokio::test]
async fn a_person_logs_in_with_a_browser_and_the_login_outlives_its_token() {
    let Some(foreign) = Foreign::start().await else {
        return;
    };
    let session = foreign.login(&LoginOptions::default()).await;
    assert_eq!(foreign.scheme_at_the_resource(&session).await, "Bearer");
    for _ in 0..3 {
        let before = foreign.record().await;
        bounded(session.refresh()).await.unwrap();
        let after = foreign.record().await;
        assert!(before.tokens.access_token != after.tokens.access_token);
        assert!(
            refresh_token(&before) != refresh_token(&after),
            "it is spent"
        );
        assert_eq!(foreign.scheme_at_the_resource(&session).await, "Bearer");
    }
}

/// This server ends the whole family when a spent refresh token comes again.
#[tokio::test]
async fn a_spent_refresh_token_ends_the_login_and_a_new_one_is_asked_for() {
    let Some(foreign) = Foreign::start().await else {
        return;
    };
    let session = foreign.login(&LoginOptions::default()).await;
    let copy = foreign.elsewhere().await;
    bounded(session.refresh()).await.unwrap();
    for session in [copy, session] {
        let error = bounded(session.refresh()).await.unwrap_err();
        assert_eq!(error.remedy(), Remedy::LogIn, "{error}");
    }
}

#[tokio::test]
async fn tokens_are_bound_to_a_key_and_every_nonce_is_learnt() {
    let Some(foreign) = Foreign::start().await else {
        return;
    };
    let session = foreign.login(&bound()).await;
    let token = foreign.record().await.tokens.access_token;
    assert_eq!(token.scheme(), AuthScheme::DPoP);
    assert_eq!(foreign.scheme_at_the_resource(&session).await, "DPoP");
    bounded(session.refresh()).await.unwrap();
    assert_eq!(foreign.scheme_at_the_resource(&session).await, "DPoP");
    // Another process begins with no nonce at all.
    let other = foreign.elsewhere().await;
    assert_eq!(foreign.scheme_at_the_resource(&other).await, "DPoP");
    bounded(other.refresh()).await.unwrap();
}

#[tokio::test]
async fn a_code_is_entered_on_another_device() {
    for dpop in [DpopPolicy::Never, DpopPolicy::Always] {
        let Some(mut foreign) = Foreign::start().await else {
            return;
        };
        let watch = Arc::new(Watch::default());
        foreign.platform = of(watch.clone(), watch.clone());
        let mut options = LoginOptions::default();
        options.grant = Some("device_code".to_owned());
        options.dpop = dpop;
        let session = foreign.login(&options).await;
        let pages = watch.pages();
        // The code, its confirmation, and the end.
        let asked = pages.len() == 3 && pages[..2] == ["/device", "/device"];
        assert!(asked, "{pages:?}");
        let scheme = foreign.scheme_at_the_resource(&session).await;
        assert_eq!(scheme == "DPoP", dpop == DpopPolicy::Always);
        bounded(session.refresh()).await.unwrap();
    }
}

#[tokio::test]
async fn a_client_gets_tokens_in_its_own_name_by_its_secret() {
    let Some(foreign) = Foreign::start().await else {
        return;
    };
    let secret = Secret::new("s3cret of the robot".to_owned());
    let mut options = robot(PreregisteredClient::new("robot", Some(secret)));
    for (dpop, scheme) in [(DpopPolicy::Never, "Bearer"), (DpopPolicy::Always, "DPoP")] {
        options.dpop = dpop;
        let session = foreign.login(&options).await;
        assert_eq!(foreign.scheme_at_the_resource(&session).await, scheme);
        bounded(session.refresh()).await.unwrap();
        assert_eq!(foreign.scheme_at_the_resource(&session).await, scheme);
    }
}

/// The server is given what we say of the public half.
#[tokio::test]
async fn a_client_gets_tokens_in_its_own_name_by_a_key_of_each_kind() {
    for kind in [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256] {
        let pem = KeyPair::generate(kind).unwrap().private_pem();
        let key = PrivateKey::from_pem(&pem).unwrap();
        let Some(foreign) = Foreign::knowing(&[key.public_jwk()]).await else {
            return;
        };
        let client = PreregisteredClient::new("robot-with-key", None).with_private_key(key);
        let session = foreign.login(&robot(client)).await;
        assert_eq!(foreign.scheme_at_the_resource(&session).await, "Bearer");
    }
}

/// Its access tokens are JWT, and it says that it takes back none of these.
#[tokio::test]
async fn what_is_given_back_is_of_no_use_to_anybody() {
    for options in [LoginOptions::default(), bound()] {
        let Some(foreign) = Foreign::start().await else {
            return;
        };
        foreign.login(&options).await;
        let copy = foreign.elsewhere().await;
        let done = bounded(logout(&foreign.platform, &foreign.store, &foreign.key())).await;
        let remote = done.unwrap().remote;
        assert!(
            matches!(remote, RevocationOutcome::AccessTokenLives),
            "{remote:?}"
        );
        let error = bounded(copy.refresh()).await.unwrap_err();
        assert_eq!(error.remedy(), Remedy::LogIn, "{error}");
    }
}

/// A key of the wrong client is a matter of configuration, and is said to be one.
#[tokio::test]
async fn a_client_that_cannot_prove_who_it_is_is_refused() {
    let Some(foreign) = Foreign::start().await else {
        return;
    };
    let secret = Secret::new("another".to_owned());
    let options = robot(PreregisteredClient::new("robot", Some(secret)));
    let login = login(
        &foreign.platform,
        &foreign.store,
        &foreign.server.resource,
        &options,
    );
    let error = bounded(Box::pin(login)).await.unwrap_err();
    assert_eq!(error.remedy(), Remedy::Reconfigure, "{error}");
    assert!(error.to_string().contains("invalid_client"), "{error}");
}
