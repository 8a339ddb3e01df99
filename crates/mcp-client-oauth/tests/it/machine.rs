//! Tokens without a person: nobody is asked, nothing is registered, and what is refused is refused
//! (spec-checklist J1-J7, J12-J14; H180, H182).

use std::time::{Duration, SystemTime};

use mcp_client_oauth::{
    DiscoveryOptions, Error, IdentityOptions, LoginOptions, NonInteractiveGrant,
    PreregisteredClient, Remedy, Secret, Session, TokenSource,
    error::{NonInteractiveGrantError, RegistrationError},
    proto::{private_key::PrivateKey, server_metadata::Issuer},
};
use mcp_oauth_testbed::{Builder, Machine, Peer, Recorded, Testbed};

use crate::support::Fixture;

mod credentials;
mod enterprise;
mod keys;
mod sessions;
mod shared_store;
mod workload;

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// A scene whose clock agrees with that of the testbed: assertions have dates.
async fn fixture(builder: Builder) -> Fixture {
    let fixture = Fixture::with(builder).await;
    #[allow(
        clippy::disallowed_methods,
        reason = "the testbed's clock begins at the time of the machine"
    )]
    fixture.clock.set(SystemTime::now());
    fixture
}

fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

fn robot() -> PreregisteredClient {
    PreregisteredClient::new("robot", Some(secret("s3cret of the robot")))
}

fn robots() -> Builder {
    let machine = Machine::with_secret("robot", "s3cret of the robot");
    Testbed::builder().machine(machine)
}

fn options(client: Option<PreregisteredClient>, machine: NonInteractiveGrant) -> LoginOptions {
    let mut identity = IdentityOptions::default();
    identity.preregistered = client;
    let mut options = LoginOptions::default();
    options.identity = identity;
    options.machine = Some(machine);
    options
}

/// The names of the fields of a form, in order.
fn fields(request: &Recorded) -> Vec<String> {
    let pairs = url::form_urlencoded::parse(&request.body);
    pairs.map(|(name, _)| name.into_owned()).collect()
}

/// No page, no listener, no client that was not there before (J2).
fn assert_nobody_was_asked(fixture: &Fixture) {
    assert_eq!(fixture.person.opened(), []);
    for (method, path) in [("GET", "/authorize"), ("POST", "/register")] {
        let seen = fixture
            .testbed
            .count(Peer::AuthorizationServer, method, path);
        assert_eq!(seen, 0, "{path}");
    }
}

/// What the authorization server or the identity provider refused, told as a matter of
/// configuration.
fn assert_refused(error: &Error, code: &str) {
    assert!(matches!(error, Error::MachineGrant(_)), "{error}");
    assert_eq!(error.remedy(), Remedy::Reconfigure, "{error}");
    assert!(error.to_string().contains(code), "{error}");
}
