//! Non-interactive logins: keys, assertions, ID tokens and ID-JAGs are never printed.

use std::time::SystemTime;

use mcp_client_oauth::{
    AssertionSource, Grant, IdentityProvider, Secret,
    flow::{Issuer, PreregisteredClient, PrivateKey},
};
use mcp_oauth_testbed::{Algorithm, ConfidentialClient, KeyPair};

use super::*;

const WORKLOADS: &str = "https://workload.example";

/// Returns a fixture in which every non-interactive grant works for the client `signer`, and its key.
async fn all_grants() -> (Fixture, KeyPair) {
    let pair = KeyPair::generate(Algorithm::Es256).unwrap();
    let signer = |id: &str| ConfidentialClient::with_key(id, pair.public());
    let builder = Testbed::builder()
        .confidential_client(signer("signer"))
        .enterprise(signer("at-idp"), "signer")
        .workload_issuer(WORKLOADS);
    let fixture = Fixture::with(builder).await;
    #[allow(
        clippy::disallowed_methods,
        reason = "the testbed's clock starts at the system time"
    )]
    fixture.clock.set(SystemTime::now());
    (fixture, pair)
}

fn private_key(pair: &KeyPair) -> PrivateKey {
    PrivateKey::from_pem(&pair.private_pem()).unwrap()
}

/// Returns the options of a login of the client `signer`.
fn with_grant(grant: Grant, pair: &KeyPair) -> impl Fn(Login) -> Login {
    move |login| {
        let login = login.client_id("signer").private_key(private_key(pair));
        login.grant(grant.clone())
    }
}

fn given(jwt: &str) -> AssertionSource {
    AssertionSource::Provided(Secret::new(jwt.to_owned()))
}

fn grants(fixture: &Fixture, pair: &KeyPair) -> [Grant; 3] {
    let workload = fixture.testbed.workload_jwt(&json!({})).unwrap();
    let id_token = fixture.testbed.id_token(&json!({})).unwrap();
    let issuer = fixture.testbed.identity_provider().unwrap();
    let endpoint = format!("{issuer}/oauth2/token");
    let mut at_idp = PreregisteredClient::new("at-idp", None);
    at_idp.private_key = Some(private_key(pair));
    let idp = IdentityProvider::new(Issuer::from(issuer), &endpoint, &at_idp, given(&id_token));
    [
        Grant::ClientCredentials,
        Grant::WorkloadIdentity {
            assertion: given(&workload),
        },
        Grant::Enterprise {
            idp: Box::new(idp.unwrap()),
        },
    ]
}

/// Checks that the middle part of the PEM key, which is also in the stored key, is not printed.
fn assert_no_key(output: &CapturedOutput, pair: &KeyPair) {
    let pem = pair.private_pem();
    let body = pem.lines().nth(1).unwrap();
    let text = output.text();
    assert!(!text.contains(&body[40..60]), "{text}");
}

#[tokio::test]
async fn a_non_interactive_login_prints_no_secret() {
    let (output, _guard) = CapturedOutput::capture();
    let (fixture, pair) = all_grants().await;
    for grant in grants(&fixture, &pair) {
        let configure = with_grant(grant, &pair);
        output.print(&configure(fixture.client().login(&fixture.server)));
        let session = fixture.login_with(configure).await.unwrap();
        print_session(&output, &session);
        output.print(&session.refresh().await.is_ok());
        output.print(&session.logout().await);
    }
    assert_no_key(&output, &pair);
    // Nine client assertions at least, a workload JWT, an ID token, an ID-JAG, five access tokens.
    assert_nothing_leaked(&fixture, &output, 17).await;
}

#[tokio::test]
async fn an_assertion_in_a_server_error_is_not_printed() {
    let (output, _guard) = CapturedOutput::capture();
    let (fixture, pair) = all_grants().await;
    let [_, workload, enterprise] = grants(&fixture, &pair);
    let Grant::WorkloadIdentity { assertion } = &workload else {
        unreachable!()
    };
    let Grant::Enterprise { idp } = &enterprise else {
        unreachable!()
    };
    for (path, source) in [("/token", assertion), ("/oauth2/token", &idp.id_token)] {
        let AssertionSource::Provided(jwt) = source else {
            unreachable!()
        };
        fixture.testbed.set_fault(echo(path, jwt.expose()));
    }
    for grant in [workload, enterprise] {
        let login = fixture.login_with(with_grant(grant, &pair));
        output.print_error(&login.await.unwrap_err());
    }
    assert!(output.text().matches("the value [redacted]").count() >= 2);
    assert_nothing_leaked(&fixture, &output, 4).await;
}
