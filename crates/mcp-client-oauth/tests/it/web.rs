//! A login in two requests, for web applications: two hosts that share a store.

use std::time::Duration;

use mcp_client_oauth::{
    Client, Error, Login, Remedy, Secret, Session, TokenStore, error::AuthorizationError,
    flow::BegunLogin,
};
use mcp_oauth_testbed::{
    Builder, Testbed,
    test_user::{Decision, decide},
};
use url::Url;

use crate::{
    encrypted::Home,
    support::{Fixture, bounded},
};

mod bound_to_browser;
mod callbacks;
mod clients;
mod leaks;
mod limits;
#[cfg(unix)]
mod many_logins;
mod two_hosts;

/// The redirect URI, a page of the application.
const REDIRECT: &str = "https://app.example/callback";
/// The default lifetime of a pending login.
const LIFETIME: Duration = Duration::from_secs(600);

/// A web application on two hosts, with their store in encrypted files.
pub(crate) struct Application {
    fixture: Fixture,
    home: Home,
    /// Each has its own `Client` and `TokenStore`, as another process has.
    hosts: [Client; 2],
}

impl Application {
    async fn start() -> Self {
        Self::with(Testbed::builder()).await
    }

    async fn with(builder: Builder) -> Self {
        let mut fixture = Fixture::with(builder.strict_application_type(true)).await;
        let home = Home::new();
        let open = || TokenStore::open(&format!("file:{}", home.path().display())).unwrap();
        fixture.store = open();
        let host = || Client::with_platform(fixture.platform.clone(), open());
        let hosts = [host(), host()];
        Self {
            fixture,
            home,
            hosts,
        }
    }

    /// Returns a login on the first host.
    fn login(&self, account: &str) -> Login {
        login(&self.hosts[0], &self.fixture, account)
    }

    async fn begin(&self, account: &str) -> BegunLogin {
        bounded(self.login(account).begin()).await.unwrap()
    }

    /// Finishes a login on the second host.
    async fn finish(&self, callback: &Url, secret: &Secret<String>) -> Result<Session, Error> {
        bounded(self.hosts[1].finish(callback, secret)).await
    }

    /// Goes through both requests.
    async fn run(&self, login: Login) -> Result<Session, Error> {
        let begun = bounded(login.begin()).await?;
        let callback = approve(&begun).await;
        self.finish(&callback, &begun.browser_secret).await
    }
}

fn login(host: &Client, fixture: &Fixture, account: &str) -> Login {
    let redirect = REDIRECT.parse().unwrap();
    host.login(&fixture.server)
        .account(account)
        .redirect_uri(redirect)
}

/// Approves, and returns the URL that the browser is redirected to.
async fn approve(begun: &BegunLogin) -> Url {
    let callback = decide(&begun.url, Decision::Approve).await.unwrap();
    assert!(callback.as_str().starts_with(REDIRECT), "{callback}");
    callback
}

/// Returns the error about the authorization, which says to log in again.
fn refusal(outcome: Result<Session, Error>) -> AuthorizationError {
    let error = outcome.unwrap_err();
    assert_eq!(error.remedy(), Remedy::LogIn, "{error}");
    match error {
        Error::Authorization(error) => error,
        other => panic!("{other}"),
    }
}
