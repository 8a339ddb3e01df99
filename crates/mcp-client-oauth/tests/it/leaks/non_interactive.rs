//! Non-interactive logins: keys, assertions, ID tokens and ID-JAGs are never printed.

use std::time::SystemTime;

use mcp_client_oauth::{
    IdentityProvider, NonInteractiveGrant,
    platform::AssertionSource,
    proto::{private_key::PrivateKey, server_metadata::Issuer},
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

fn client(id: &str, pair: &KeyPair) -> PreregisteredClient {
    let key = PrivateKey::from_pem(&pair.private_pem()).unwrap();
    PreregisteredClient::new(id, None).with_private_key(key)
}

fn given(jwt: &str) -> AssertionSource {
    AssertionSource::Provided(Secret::new(jwt.to_owned()))
}

fn grants(fixture: &Fixture, pair: &KeyPair) -> [NonInteractiveGrant; 3] {
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
        let mut options = LoginOptions::default();
        options.identity.preregistered = Some(client("signer", &pair));
        options.non_interactive = Some(grant);
        output.print(&options);
        let session = fixture.login_with(&options).await.unwrap();
        print_session(&output, &session);
        output.print(&session.refresh().await.is_ok());
        output.print(&logout(&fixture.platform, &fixture.store, &fixture.key()).await);
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
    let NonInteractiveGrant::Workload { assertion } = &workload else {
        unreachable!()
    };
    let NonInteractiveGrant::Enterprise { idp } = &enterprise else {
        unreachable!()
    };
    for (path, source) in [("/token", assertion), ("/oauth2/token", &idp.id_token)] {
        let AssertionSource::Provided(jwt) = source else {
            unreachable!()
        };
        fixture.testbed.set_fault(echo(path, jwt.expose()));
    }
    for grant in [workload, enterprise] {
        let mut options = LoginOptions::default();
        options.identity.preregistered = Some(client("signer", &pair));
        options.non_interactive = Some(grant);
        let error = fixture.login_with(&options).await.unwrap_err();
        output.print_error(&error);
    }
    assert!(output.text().matches("the value [redacted]").count() >= 2);
    assert_nothing_leaked(&fixture, &output, 4).await;
}
