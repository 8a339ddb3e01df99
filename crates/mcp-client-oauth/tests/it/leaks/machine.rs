//! Logins without a person: keys, assertions, ID tokens and ID-JAGs (spec-checklist J7).

use std::time::SystemTime;

use mcp_client_oauth::{
    IdentityProvider, NonInteractiveGrant,
    platform::AssertionSource,
    proto::{private_key::PrivateKey, server_metadata::Issuer},
};
use mcp_oauth_testbed::{Algorithm, KeyPair, Machine};

use super::*;

const WORKLOADS: &str = "https://workload.example";

/// A scene in which every grant without a person works for the client `signer`, and its key.
async fn everything() -> (Fixture, KeyPair) {
    let pair = KeyPair::generate(Algorithm::Es256).unwrap();
    let signer = |id: &str| Machine::with_key(id, pair.public());
    let builder = Testbed::builder()
        .machine(signer("signer"))
        .enterprise(signer("at-idp"), "signer")
        .wif(WORKLOADS);
    let fixture = Fixture::with(builder).await;
    #[allow(
        clippy::disallowed_methods,
        reason = "the testbed's clock begins at the time of the machine"
    )]
    fixture.clock.set(SystemTime::now());
    (fixture, pair)
}

fn client(id: &str, pair: &KeyPair) -> PreregisteredClient {
    let key = PrivateKey::from_pem(&pair.private_pem()).unwrap();
    PreregisteredClient::new(id, None).with_private_key(key)
}

fn given(jwt: &str) -> AssertionSource {
    AssertionSource::Given(Secret::new(jwt.to_owned()))
}

fn ways(fixture: &Fixture, pair: &KeyPair) -> [NonInteractiveGrant; 3] {
    let workload = fixture.testbed.workload_jwt(&json!({})).unwrap();
    let id_token = fixture.testbed.id_token(&json!({})).unwrap();
    let issuer = fixture.testbed.identity_provider().unwrap();
    let endpoint = format!("{issuer}/oauth2/token");
    let at_idp = client("at-idp", pair);
    let idp = IdentityProvider::new(Issuer::new(issuer), &endpoint, &at_idp, given(&id_token));
    [
        NonInteractiveGrant::ClientCredentials,
        NonInteractiveGrant::Workload {
            assertion: given(&workload),
        },
        NonInteractiveGrant::Enterprise {
            idp: Box::new(idp.unwrap()),
        },
    ]
}

/// The middle of a key, as it stands in PEM and in what is stored.
fn assert_no_key(paper: &Paper, pair: &KeyPair) {
    let pem = pair.private_pem();
    let body = pem.lines().nth(1).unwrap();
    let text = paper.text();
    assert!(!text.contains(&body[40..60]), "{text}");
}

#[tokio::test]
async fn a_life_without_a_person_prints_no_secret() {
    let (paper, _guard) = Paper::laid_out();
    let (fixture, pair) = everything().await;
    for way in ways(&fixture, &pair) {
        let mut options = LoginOptions::default();
        options.identity.preregistered = Some(client("signer", &pair));
        options.machine = Some(way);
        paper.print(&options);
        let session = fixture.login_with(&options).await.unwrap();
        print_session(&paper, &session);
        paper.print(&session.refresh().await.is_ok());
        paper.print(&logout(&fixture.platform, &fixture.store, &fixture.key()).await);
    }
    assert_no_key(&paper, &pair);
    // Nine client assertions at least, a workload JWT, an ID token, an ID-JAG, five access tokens.
    assert_nothing_leaked(&fixture, &paper, 17).await;
}

#[tokio::test]
async fn a_server_that_repeats_an_assertion_is_not_quoted() {
    let (paper, _guard) = Paper::laid_out();
    let (fixture, pair) = everything().await;
    let [_, workload, enterprise] = ways(&fixture, &pair);
    let NonInteractiveGrant::Workload { assertion } = &workload else {
        unreachable!()
    };
    let NonInteractiveGrant::Enterprise { idp } = &enterprise else {
        unreachable!()
    };
    for (path, source) in [("/token", assertion), ("/oauth2/token", &idp.id_token)] {
        let AssertionSource::Given(jwt) = source else {
            unreachable!()
        };
        fixture.testbed.set_fault(echo(path, jwt.expose()));
    }
    for way in [workload, enterprise] {
        let mut options = LoginOptions::default();
        options.identity.preregistered = Some(client("signer", &pair));
        options.machine = Some(way);
        let error = fixture.login_with(&options).await.unwrap_err();
        paper.print_error(&error);
    }
    assert!(paper.text().matches("the value [redacted]").count() >= 2);
    assert_nothing_leaked(&fixture, &paper, 4).await;
}
