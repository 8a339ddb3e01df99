//! Non-interactive grants: no browser opens, nothing is registered, and a rejected request is not
//! replaced by another grant.

use std::time::{Duration, SystemTime};

use mcp_client_oauth::{
    Error, Grant, Login, Remedy, Secret, Session,
    error::{NonInteractiveGrantError, RegistrationError},
    flow::{Issuer, PreregisteredClient, PrivateKey},
};
use mcp_oauth_testbed::{Builder, ConfidentialClient, Peer, RecordedRequest, Testbed};

use crate::support::Fixture;

mod credentials;
mod enterprise;
mod keys;
mod sessions;
mod shared_store;
mod workload;

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// Returns a fixture with the clock of the testbed: assertions have dates.
async fn fixture(builder: Builder) -> Fixture {
    let fixture = Fixture::with(builder).await;
    #[allow(
        clippy::disallowed_methods,
        reason = "the testbed's clock begins at the system time"
    )]
    fixture.clock.set(SystemTime::now());
    fixture
}

fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

/// Sets the client of [`with_client`].
fn as_client(login: Login) -> Login {
    login
        .client_id("robot")
        .client_secret(secret("s3cret of the robot"))
}

/// Sets that client, and the grant of its credentials.
fn credentials(login: Login) -> Login {
    as_client(login).grant(Grant::ClientCredentials)
}

fn with_client() -> Builder {
    let confidential = ConfidentialClient::with_secret("robot", "s3cret of the robot");
    Testbed::builder().confidential_client(confidential)
}

/// Returns the names of the form fields, in order.
fn fields(request: &RecordedRequest) -> Vec<String> {
    let pairs = url::form_urlencoded::parse(&request.body);
    pairs.map(|(name, _)| name.into_owned()).collect()
}

/// Asserts that no browser was opened and no client registered.
fn assert_non_interactive(fixture: &Fixture) {
    assert_eq!(fixture.user.opened_urls(), []);
    for (method, path) in [("GET", "/authorize"), ("POST", "/register")] {
        let seen = fixture
            .testbed
            .count(Peer::AuthorizationServer, method, path);
        assert_eq!(seen, 0, "{path}");
    }
}

/// Asserts that the authorization server or the identity provider rejected the request, and that the
/// remedy is to change the configuration.
fn assert_refused(error: &Error, code: &str) {
    assert!(matches!(error, Error::NonInteractiveGrant(_)), "{error}");
    assert_eq!(error.remedy(), Remedy::Reconfigure, "{error}");
    assert!(error.to_string().contains(code), "{error}");
}
