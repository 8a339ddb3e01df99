//! Workload identity, and the sources of an assertion (SEP-1933, RFC 7523 §2.1).

use std::{fs, future::IntoFuture as _, process::Command};

use mcp_client_oauth::{
    AssertionSource,
    error::{AssertionError, AssertionErrorKind},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::support::bounded;

const ISSUER: &str = "https://workload.example";
/// The variable is set for the test that runs again in a child process.
const VARIABLE: &str = "MCP_OAUTH_TEST_ASSERTION";

async fn trusting() -> Fixture {
    fixture(Testbed::builder().workload_issuer(ISSUER)).await
}

fn jwt(fixture: &Fixture, claims: &Value) -> String {
    fixture.testbed.workload_jwt(claims).unwrap()
}

fn with_assertion(assertion: AssertionSource) -> impl FnOnce(Login) -> Login {
    |login| login.grant(Grant::WorkloadIdentity { assertion })
}

/// Returns a file, and its directory, which is deleted when it is dropped.
fn file(text: impl AsRef<[u8]>) -> (TempDir, AssertionSource) {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("token");
    write(&path, text);
    (directory, AssertionSource::File(path))
}

#[allow(
    clippy::disallowed_methods,
    reason = "a file of the test, not of the store"
)]
fn write(path: &std::path::Path, text: impl AsRef<[u8]>) {
    fs::write(path, text).unwrap();
}

fn command(line: &[&str]) -> AssertionSource {
    AssertionSource::Command(line.iter().map(ToString::to_string).collect())
}

async fn error_kind(fixture: &Fixture, source: AssertionSource) -> AssertionErrorKind {
    let error = fixture
        .login_with(with_assertion(source))
        .await
        .unwrap_err();
    assert!(!format!("{error} {error:?}").contains("planted"), "{error}");
    let remedy = error.remedy();
    let Error::NonInteractiveGrant(NonInteractiveGrantError::Assertion(AssertionError {
        cause,
        ..
    })) = error
    else {
        panic!("{error}");
    };
    let late = matches!(cause, AssertionErrorKind::TimedOut(_));
    assert_eq!(remedy == Remedy::Retry, late, "{cause}");
    assert_eq!(fixture.posts("/token"), 0);
    cause
}

#[tokio::test]
async fn a_workload_needs_no_client() {
    let fixture = trusting().await;
    let (_directory, file) = file(format!(" {}\nmore\n", jwt(&fixture, &json!({}))));
    fixture.login_with(with_assertion(file)).await.unwrap();
    let request = fixture.last("POST", "/token");
    assert_eq!(
        fields(&request),
        ["grant_type", "assertion", "resource", "scope"]
    );
    assert_eq!(request.form("grant_type").unwrap(), JWT_BEARER);
    assert_eq!(request.header("authorization"), None);
    assert_non_interactive(&fixture);
    assert_eq!(fixture.testbed.issued_tokens()[0].grant_type, JWT_BEARER);
}

#[tokio::test]
async fn a_workload_with_a_client_authenticates_as_that_client() {
    let builder = with_client().workload_issuer(ISSUER);
    let fixture = fixture(builder).await;
    let assertion = AssertionSource::Provided(secret(&jwt(&fixture, &json!({}))));
    let named = |login| with_assertion(assertion)(as_client(login));
    fixture.login_with(named).await.unwrap();
    assert_eq!(fixture.testbed.issued_tokens()[0].client_id, "robot");
}

#[tokio::test]
async fn a_rejected_assertion_is_sent_once_and_nothing_else_is_tried() {
    for wrong in [json!({"aud": "https://other.example"}), json!({"exp": 1})] {
        let builder = with_client().workload_issuer(ISSUER);
        let fixture = fixture(builder).await;
        let refused = jwt(&fixture, &wrong);
        let assertion = AssertionSource::Provided(secret(&refused));
        let named = |login| with_assertion(assertion)(as_client(login));
        let error = fixture.login_with(named).await.unwrap_err();
        assert_refused(&error, "invalid_grant");
        assert!(!format!("{error} {error:?}").contains(&refused[..20]));
        assert_eq!(fixture.posts("/token"), 1);
        assert_non_interactive(&fixture);
        fixture.assert_nothing_is_stored().await;
    }
}

#[tokio::test]
async fn the_assertion_is_read_again_for_each_request() {
    let fixture = trusting().await;
    let (_directory, source) = file(jwt(&fixture, &json!({"sub": "first"})));
    let session = fixture
        .login_with(with_assertion(source.clone()))
        .await
        .unwrap();
    let AssertionSource::File(path) = &source else {
        unreachable!()
    };
    write(path, jwt(&fixture, &json!({"sub": "second"})));
    session.refresh().await.unwrap();
    let issued = fixture.testbed.issued_tokens();
    let subjects: Vec<_> = issued
        .iter()
        .map(|token| token.subject.as_deref())
        .collect();
    assert_eq!(subjects, [Some("first"), Some("second")]);
}

#[tokio::test]
async fn program_output_is_used_and_no_shell_runs() {
    let fixture = trusting().await;
    let token = jwt(&fixture, &json!({}));
    fixture
        .login_with(with_assertion(command(&["echo", &token])))
        .await
        .unwrap();
    let directory = TempDir::new().unwrap();
    let trap = directory.path().join("planted");
    let line = format!("{token}; touch {}", trap.display());
    let found = error_kind_of(&fixture, command(&["echo", &line])).await;
    assert_eq!(found, AssertionErrorKind::NotAJwt);
    assert!(!trap.exists());
}

/// Returns the same, after an earlier login has got tokens.
async fn error_kind_of(fixture: &Fixture, source: AssertionSource) -> AssertionErrorKind {
    fixture.testbed.clear_requests();
    error_kind(fixture, source).await
}

#[tokio::test]
async fn a_source_without_a_jwt_is_an_error_and_nothing_is_sent() {
    use AssertionErrorKind as Kind;

    let fixture = trusting().await;
    let directory = TempDir::new().unwrap();
    let missing = directory.path().join("missing");
    for (source, expected) in [
        (
            AssertionSource::File(missing),
            Kind::Unreadable(std::io::ErrorKind::NotFound),
        ),
        (
            AssertionSource::File(directory.path().to_path_buf()),
            Kind::NotAFile,
        ),
        (AssertionSource::File("/dev/zero".into()), Kind::NotAFile),
        (
            AssertionSource::Variable("MCP_OAUTH_NOT_SET".to_owned()),
            Kind::NotSet,
        ),
        (AssertionSource::Variable("A=B".to_owned()), Kind::NotSet),
        (AssertionSource::Variable("PATH".to_owned()), Kind::NotAJwt),
        (AssertionSource::Provided(secret("planted")), Kind::NotAJwt),
        (
            command(&["sh", "-c", "echo planted.planted.planted; exit 3"]),
            Kind::Failed(Some(3)),
        ),
        (command(&["sh", "-c", "echo planted >&2"]), Kind::NotAJwt),
        (
            command(&["no-such-program-of-this-test", "planted-argument"]),
            Kind::NotRun(std::io::ErrorKind::NotFound),
        ),
        (command(&[]), Kind::NotRun(std::io::ErrorKind::InvalidInput)),
        (command(&["yes", "planted"]), Kind::TooLong),
    ] {
        let shown = source.to_string();
        assert_eq!(error_kind(&fixture, source).await, expected, "{shown}");
    }
    for text in [&b"planted"[..], b"", b"\xff\xfe.a.b"] {
        let (_directory, file) = file(text);
        assert_eq!(error_kind(&fixture, file).await, Kind::NotAJwt);
    }
    let (_directory, long) = file("p".repeat(64 * 1024 + 1));
    assert_eq!(error_kind(&fixture, long).await, Kind::TooLong);
}

#[tokio::test]
async fn a_program_that_prints_nothing_is_killed() {
    let fixture = trusting().await;
    let directory = TempDir::new().unwrap();
    let pid = directory.path().join("pid");
    let line = format!("echo $$ > {}; exec sleep 1000", pid.display());
    let configure = with_assertion(command(&["sh", "-c", &line]));
    let login = configure(fixture.client().login(&fixture.server));
    let login = tokio::spawn(login.into_future());
    let pid = bounded(async {
        loop {
            match fs::read_to_string(&pid) {
                Ok(pid) if pid.ends_with('\n') => break pid,
                _ => tokio::task::yield_now().await,
            }
        }
    })
    .await;
    fixture.advance(Duration::from_secs(30));
    let error = bounded(login).await.unwrap().unwrap_err();
    assert_eq!(error.remedy(), Remedy::Retry, "{error}");
    assert!(error.to_string().contains("30 seconds"), "{error}");
    // A process has this link until it ends.
    let process = format!("/proc/{}/exe", pid.trim());
    bounded(async {
        while cfg!(target_os = "linux") && fs::read_link(&process).is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn an_environment_variable_is_read() {
    #[allow(clippy::disallowed_methods, reason = "set by this test for itself")]
    let given = std::env::var(VARIABLE);
    let fixture = trusting().await;
    if given.is_ok() {
        // The child process has another issuer, so the assertion is rejected, but it was sent.
        let source = AssertionSource::Variable(VARIABLE.to_owned());
        let error = fixture
            .login_with(with_assertion(source))
            .await
            .unwrap_err();
        assert_refused(&error, "invalid_grant");
        assert_eq!(fixture.last("POST", "/token").form("assertion"), given.ok());
        return;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "non_interactive::workload::an_environment_variable_is_read",
        ])
        .env(VARIABLE, jwt(&fixture, &json!({})))
        .output()
        .unwrap();
    let found = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && found.contains("1 passed"),
        "{found}"
    );
}
