//! Each grant at a certified third-party authorization server: `oidc-provider` for Node, as
//! `interop/server.mjs` sets it up. It requires PKCE, rotates refresh tokens, and gives a new nonce
//! for each DPoP proof.

use std::{future::IntoFuture as _, sync::Arc};

use mcp_client_oauth::{
    Client, Error, Grant, Login, Remedy, RevocationOutcome, Secret, Session, TokenStore,
    flow::{AuthScheme, PrivateKey},
    platform::{Clock, Interaction, Platform, ReqwestClient, SystemClock},
    store::{LoginKey, Record},
};
use mcp_oauth_testbed::{Algorithm, KeyPair};
use serde_json::{Value, json};

use crate::support::bounded;
use browser::{Browser, CodeEntry};
use server::Server;

mod browser;
mod server;

/// The server, and what a login with it needs.
struct Provider {
    server: Server,
    platform: Platform,
    store: TokenStore,
}

impl Provider {
    async fn start() -> Option<Self> {
        Self::with_keys(&[]).await
    }

    /// Starts the server with these public keys of the client `robot-with-key`.
    async fn with_keys(keys: &[Value]) -> Option<Self> {
        let server = Server::start(keys).await?;
        let platform = platform(
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

    fn client(&self) -> Client {
        Client::with_platform(self.platform.clone(), self.store.clone())
    }

    async fn login(&self) -> Session {
        self.login_with(|login| login).await.unwrap()
    }

    /// Logs in with these options, also if a login is stored.
    async fn login_with(&self, configure: impl FnOnce(Login) -> Login) -> Result<Session, Error> {
        let login = configure(self.client().login(&self.server.resource));
        bounded(login.reauthenticate().into_future()).await
    }

    fn key(&self) -> LoginKey {
        LoginKey::from(self.server.resource.clone())
    }

    async fn record(&self) -> Record {
        let loaded = self.store.load(&self.key()).await.unwrap();
        loaded.unwrap().0
    }

    /// Sends a request with the token to the MCP server, and returns the scheme that it saw.
    async fn scheme_at_the_resource(&self, session: &Session) -> String {
        let request = session.post(self.server.resource.as_str());
        let response = bounded(request.json(&json!({})).send()).await.unwrap();
        let seen: Value = serde_json::from_slice(&response.body).unwrap();
        assert_eq!(response.status, 200, "{seen}");
        seen["scheme"].as_str().unwrap().to_owned()
    }

    /// Opens a session with the same record, as another process does.
    async fn session_elsewhere(&self) -> Session {
        let (store, record) = (TokenStore::memory(), self.record().await);
        let mut lock = store.lock(&self.key()).await.unwrap();
        store.save(&mut lock, &record).await.unwrap();
        drop(lock);
        let client = Client::with_platform(self.platform.clone(), store);
        client.session(self.key()).await.unwrap()
    }
}

fn platform(clock: Arc<dyn Clock>, user: Arc<dyn Interaction>) -> Platform {
    Platform::new(Arc::new(ReqwestClient::default()), clock, user)
}

/// Sets the client `robot`, with this secret, and the grant of its credentials.
fn robot(login: Login, secret: &str) -> Login {
    let login = login.client_id("robot").grant(Grant::ClientCredentials);
    login.client_secret(Secret::new(secret.to_owned()))
}

fn refresh_token(record: &Record) -> &Secret<String> {
    record.tokens.refresh_token.as_ref().unwrap()
}

#[tokio::test]
async fn a_browser_login_is_refreshed_after_its_token_expires() {
    let Some(provider) = Provider::start().await else {
        return;
    };
    let session = provider.login().await;
    assert_eq!(provider.scheme_at_the_resource(&session).await, "Bearer");
    for _ in 0..3 {
        let before = provider.record().await;
        bounded(session.refresh()).await.unwrap();
        let after = provider.record().await;
        assert!(before.tokens.access_token != after.tokens.access_token);
        assert!(
            refresh_token(&before) != refresh_token(&after),
            "it was used"
        );
        assert_eq!(provider.scheme_at_the_resource(&session).await, "Bearer");
    }
}

/// This server revokes the token family when a used refresh token is sent again.
#[tokio::test]
async fn a_used_refresh_token_ends_the_login_and_a_new_login_works() {
    let Some(provider) = Provider::start().await else {
        return;
    };
    let session = provider.login().await;
    let copy = provider.session_elsewhere().await;
    bounded(session.refresh()).await.unwrap();
    for session in [copy, session] {
        let error = bounded(session.refresh()).await.unwrap_err();
        assert_eq!(error.remedy(), Remedy::LogIn, "{error}");
    }
}

#[tokio::test]
async fn tokens_are_bound_to_a_key_and_every_nonce_is_stored() {
    let Some(provider) = Provider::start().await else {
        return;
    };
    let session = provider.login_with(|login| login.dpop(true)).await;
    let session = session.unwrap();
    let token = provider.record().await.tokens.access_token;
    assert_eq!(token.scheme(), AuthScheme::DPoP);
    assert_eq!(provider.scheme_at_the_resource(&session).await, "DPoP");
    bounded(session.refresh()).await.unwrap();
    assert_eq!(provider.scheme_at_the_resource(&session).await, "DPoP");
    // Another process starts without a nonce.
    let other = provider.session_elsewhere().await;
    assert_eq!(provider.scheme_at_the_resource(&other).await, "DPoP");
    bounded(other.refresh()).await.unwrap();
}

#[tokio::test]
async fn a_code_is_entered_on_another_device() {
    for is_bound in [false, true] {
        let Some(mut provider) = Provider::start().await else {
            return;
        };
        let watch = Arc::new(CodeEntry::default());
        provider.platform = platform(watch.clone(), watch.clone());
        let by_code = |login: Login| login.grant(Grant::DeviceCode).dpop(is_bound);
        let session = provider.login_with(by_code).await.unwrap();
        let pages = watch.pages();
        // The pages are the code form, its confirmation, and the last page.
        let asked = pages.len() == 3 && pages[..2] == ["/device", "/device"];
        assert!(asked, "{pages:?}");
        let scheme = provider.scheme_at_the_resource(&session).await;
        assert_eq!(scheme == "DPoP", is_bound);
        bounded(session.refresh()).await.unwrap();
    }
}

#[tokio::test]
async fn client_credentials_work_with_a_secret() {
    let Some(provider) = Provider::start().await else {
        return;
    };
    for (is_bound, scheme) in [(false, "Bearer"), (true, "DPoP")] {
        let robot = |login| robot(login, "s3cret of the robot").dpop(is_bound);
        let session = provider.login_with(robot).await.unwrap();
        assert_eq!(provider.scheme_at_the_resource(&session).await, scheme);
        bounded(session.refresh()).await.unwrap();
        assert_eq!(provider.scheme_at_the_resource(&session).await, scheme);
    }
}

/// The server is configured with the public key as this crate exports it.
#[tokio::test]
async fn client_credentials_work_with_each_key_type() {
    for kind in [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256] {
        let pem = KeyPair::generate(kind).unwrap().private_pem();
        let key = PrivateKey::from_pem(&pem).unwrap();
        let Some(provider) = Provider::with_keys(&[key.public_jwk()]).await else {
            return;
        };
        let robot = |login: Login| {
            let login = login.client_id("robot-with-key").private_key(key);
            login.grant(Grant::ClientCredentials)
        };
        let session = provider.login_with(robot).await.unwrap();
        assert_eq!(provider.scheme_at_the_resource(&session).await, "Bearer");
    }
}

/// Its access tokens are JWTs, and it responds that it cannot revoke them.
#[tokio::test]
async fn revoked_tokens_are_rejected() {
    for is_bound in [false, true] {
        let Some(provider) = Provider::start().await else {
            return;
        };
        let session = provider.login_with(|login| login.dpop(is_bound)).await;
        let copy = provider.session_elsewhere().await;
        let done = bounded(session.unwrap().logout()).await;
        let remote = done.unwrap().remote;
        assert!(
            matches!(remote, RevocationOutcome::AccessTokenNotRevoked),
            "{remote:?}"
        );
        let error = bounded(copy.refresh()).await.unwrap_err();
        assert_eq!(error.remedy(), Remedy::LogIn, "{error}");
    }
}

/// The wrong key is reported as a configuration error.
#[tokio::test]
async fn a_client_that_cannot_authenticate_is_rejected() {
    let Some(provider) = Provider::start().await else {
        return;
    };
    let login = provider.login_with(|login| robot(login, "another"));
    let error = login.await.unwrap_err();
    assert_eq!(error.remedy(), Remedy::Reconfigure, "{error}");
    assert!(error.to_string().contains("invalid_client"), "{error}");
}
