//! No secret is printed: not in a log at its most verbose level, not in the `Debug` output of any value,
//! and not in an error (docs/hostile.md H159, H160).

use std::{
    collections::BTreeSet,
    fmt::Debug,
    io::Write,
    sync::{Arc, Mutex},
};

use http::Method;
use mcp_client_oauth::{
    Error, Login, Session,
    adapters::TokenSource as _,
    flow::refresh,
    platform::{Clock as _, SystemClock},
};
use mcp_oauth_testbed::{Corruption, DpopPolicy, Endpoint, Fault, Peer, Testbed};
use serde_json::json;
use tracing_subscriber::{fmt::MakeWriter, layer::SubscriberExt};

use crate::support::{Fixture, TestUser, bounded, lock, parameters, with_parameter};

mod non_interactive;

/// Everything that a test prints.
#[derive(Clone, Default)]
pub(crate) struct CapturedOutput(Arc<Mutex<Vec<u8>>>);

impl Write for CapturedOutput {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        lock(&self.0).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for CapturedOutput {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl CapturedOutput {
    /// Captures every log event of this thread, in which the whole test runs.
    pub(crate) fn capture() -> (Self, tracing::subscriber::DefaultGuard) {
        let output = Self::default();
        let layer = tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .with_writer(output.clone());
        let everything = tracing_subscriber::filter::LevelFilter::TRACE;
        let subscriber = tracing_subscriber::registry().with(everything).with(layer);
        (output, tracing::subscriber::set_default(subscriber))
    }

    /// Prints a value in both `Debug` formats.
    pub(crate) fn print(&self, value: &dyn Debug) {
        let text = format!("{value:?}\n{value:#?}\n");
        lock(&self.0).extend_from_slice(text.as_bytes());
    }

    /// Prints an error and its sources.
    pub(crate) fn print_error(&self, error: &Error) {
        self.print(error);
        let mut source: Option<&dyn std::error::Error> = Some(error);
        while let Some(inner) = source {
            lock(&self.0).extend_from_slice(format!("{inner}\n").as_bytes());
            source = inner.source();
        }
    }

    /// Returns what was printed since the last call.
    pub(crate) fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut *lock(&self.0))).unwrap()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(lock(&self.0).clone()).unwrap()
    }
}

/// Returns every secret that the servers have received.
pub(crate) fn sent_secrets(testbed: &Testbed) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for request in testbed.requests() {
        for name in [
            "code",
            "code_verifier",
            "refresh_token",
            "token",
            "client_secret",
            "client_assertion",
            "assertion",
            "subject_token",
        ] {
            found.extend(request.form(name));
        }
        found.extend(request.query("state"));
        let header = request
            .header("authorization")
            .and_then(|value| value.split(' ').nth(1));
        found.extend(header.map(str::to_owned));
        // A proof is valid for one request; until that arrives, a thief can use it like the token.
        found.extend(request.header("dpop").map(str::to_owned));
    }
    found
}

/// Returns every secret that the servers have received or issued, and those in the URLs of the user.
pub(crate) async fn secrets(fixture: &Fixture) -> BTreeSet<String> {
    let mut found = sent_secrets(&fixture.testbed);
    for url in fixture.user.opened_urls() {
        found.extend(parameters(&url, "state"));
    }
    if let Some(record) = fixture.record().await {
        if let Some(key) = &record.dpop {
            let json = serde_json::to_string(key).unwrap();
            found.insert(json.trim_matches('"').to_owned());
        }
        found.insert(record.tokens.access_token.expose().to_owned());
        found.extend(
            record
                .tokens
                .refresh_token
                .map(|token| token.expose().clone()),
        );
    }
    found
}

async fn assert_nothing_leaked(fixture: &Fixture, output: &CapturedOutput, at_least: usize) {
    let (secrets, text) = (secrets(fixture).await, output.text());
    assert!(
        secrets.len() >= at_least,
        "only {} secrets were used",
        secrets.len()
    );
    for secret in &secrets {
        assert!(secret.len() >= 8, "{secret} could occur by chance");
        assert!(!text.contains(secret), "{secret} is in {text}");
        // A part of a secret would help to guess the rest.
        let half = &secret[..secret.len() / 2];
        assert!(!text.contains(half), "half of {secret} is in {text}");
    }
    assert!(!text.contains("planted"), "{text}");
}

pub(crate) fn print_session(output: &CapturedOutput, session: &Session) {
    let record = session.record().unwrap();
    output.print(session);
    output.print(&record);
    output.print(&record.tokens);
    output.print(&record.identity);
    output.print(&record.discovery);
    output.print(&session.cached_header());
}

#[tokio::test]
async fn the_life_of_a_login_prints_no_secret() {
    let (output, _guard) = CapturedOutput::capture();
    let builder = Testbed::builder().confidential_registrations(true);
    let fixture = Fixture::with(builder).await;
    let client = fixture.client();
    let login = client.login(&fixture.server);
    let session = login.clone().await.unwrap();
    let request = session.get("notes");
    output.print(&request);
    fixture.testbed.revoke_access_tokens();
    output.print(&request.send().await.unwrap());
    print_session(&output, &session);
    let key = fixture.key();
    let registration = fixture
        .store
        .registration(session.record().unwrap().discovery.issuer())
        .await;
    output.print(&registration.unwrap());
    for value in [
        &client as &dyn Debug,
        &fixture.store,
        &fixture.platform,
        &key,
        &login,
    ] {
        output.print(value);
    }
    let lock = fixture.store.lock(&key).await.unwrap();
    output.print(&lock);
    drop(lock);
    output.print(&client.logout(&key).await.unwrap());
    assert!(output.text().len() > 1000);
    // State, code, verifier, client secret, two access and two refresh tokens.
    assert_nothing_leaked(&fixture, &output, 8).await;
}

#[tokio::test]
async fn a_login_with_a_key_prints_neither_key_nor_proof() {
    let (output, _guard) = CapturedOutput::capture();
    let builder = Testbed::builder().dpop(DpopPolicy::Required);
    let builder = builder.dpop_nonces_at(Peer::AuthorizationServer);
    let fixture = Fixture::with(builder.dpop_nonces_at(Peer::Mcp)).await;
    fixture.clock.set(SystemClock::default().now());
    let session = fixture.login().await.unwrap();
    let notes = fixture.server.as_url().join("/mcp/notes").unwrap();
    output.print(&session.get("notes").send().await.unwrap());
    let response = session.send(&Method::GET, &notes, |credentials| {
        output.print(&credentials);
        async { Ok::<_, Error>(http::Response::new(())) }
    });
    response.await.unwrap().unwrap();
    let proof_generator = session.proof_generator().unwrap();
    output.print(&proof_generator);
    print_session(&output, &session);
    for fault in [Fault::AlwaysNewDpopNonce, Fault::DpopIgnored] {
        fixture.testbed.set_fault(fault);
        output.print_error(&session.refresh().await.unwrap_err());
        fixture.testbed.clear_faults();
    }
    output.print(&refresh(&fixture.platform, &session.record().unwrap()).await);
    // State, code, verifier, key, tokens, and at least five proofs.
    assert_nothing_leaked(&fixture, &output, 12).await;
}

#[tokio::test]
async fn a_configured_secret_is_not_printed() {
    let (output, _guard) = CapturedOutput::capture();
    let fixture = Fixture::with(Testbed::builder().client("by-hand", Some("planted-secret"))).await;
    let preregistered = |login: Login| login.client_id("by-hand").client_secret("planted-secret");
    let login = preregistered(fixture.client().login(&fixture.server));
    output.print(&login);
    let session = fixture.login_with(preregistered).await.unwrap();
    print_session(&output, &session);
    output.print(&login.on_demand().await.unwrap());
    assert_nothing_leaked(&fixture, &output, 4).await;
}

/// Returns the error response of a server that repeats a secret.
fn echo(path: &str, secret: &str) -> Fault {
    let description = format!("the value {secret} is not valid: {secret}");
    Fault::Status {
        path: path.to_owned(),
        status: 400,
        body: json!({"error": "invalid_grant", "error_description": description}).to_string(),
        headers: Vec::new(),
        times: None,
    }
}

#[tokio::test]
async fn a_secret_in_a_server_error_is_not_printed() {
    let (output, _guard) = CapturedOutput::capture();
    let fixture =
        Fixture::with(Testbed::builder().client("by-hand", Some("hunter2-hunter2"))).await;
    let login = fixture.login_with(|login| {
        let login = login.client_id("by-hand");
        login.client_secret("hunter2-hunter2")
    });
    let record = login.await.unwrap().record().unwrap();
    let tokens = record.tokens.clone();
    let refresh_token = tokens.refresh_token.unwrap();

    for secret in [refresh_token.expose().as_str(), "hunter2-hunter2"] {
        fixture.testbed.clear_faults();
        fixture.testbed.set_fault(echo("/token", secret));
        fixture.testbed.set_fault(echo("/revoke", secret));
        let error = refresh(&fixture.platform, &record).await.unwrap_err();
        output.print_error(&error.into());
        let outcome = fixture.client().logout(fixture.key()).await;
        output.print(&outcome.unwrap());
        let mut lock = fixture.store.lock(&fixture.key()).await.unwrap();
        fixture.store.save(&mut lock, &record).await.unwrap();
    }
    assert!(output.text().contains("invalid_grant"));
    assert_nothing_leaked(&fixture, &output, 4).await;
}

#[tokio::test]
async fn no_failed_login_prints_a_secret() {
    let corrupt = |endpoint, how| Fault::Corrupt(endpoint, how);
    let field = |name: &str, value| Fault::TokenField(name.to_owned(), value);
    let odd = |value| Fault::RegistrationField("client_secret".to_owned(), value);
    for fault in [
        corrupt(Endpoint::Token, Corruption::Html),
        corrupt(Endpoint::Token, Corruption::Truncated),
        corrupt(Endpoint::Token, Corruption::FormEncoded),
        corrupt(Endpoint::Token, Corruption::CutAfter(30)),
        corrupt(Endpoint::Token, Corruption::TooLarge),
        corrupt(Endpoint::Token, Corruption::RedirectLoop),
        corrupt(
            Endpoint::Token,
            Corruption::DuplicateKey("access_token".to_owned(), json!("planted")),
        ),
        corrupt(Endpoint::Registration, Corruption::Truncated),
        field("token_type", json!("planted")),
        field("access_token", json!("planted\n")),
        field("access_token", json!({"planted": 1})),
        field("expires_in", json!("planted")),
        field("scope", json!("planted\n")),
        odd(json!(["planted"])),
        odd(json!("planted\n")),
        Fault::CallbackWithoutIss,
        Fault::CallbackTwoCodes,
        Fault::CallbackCodeAndError,
        Fault::CallbackIss("https://evil.example".to_owned()),
    ] {
        let (output, _guard) = CapturedOutput::capture();
        let fixture = Fixture::start().await;
        fixture.testbed.set_fault(fault);
        match fixture.login().await {
            Ok(session) => print_session(&output, &session),
            Err(error) => output.print_error(&error),
        }
        assert_nothing_leaked(&fixture, &output, 0).await;
    }
}

#[tokio::test]
async fn a_refused_callback_is_not_printed() {
    let (output, _guard) = CapturedOutput::capture();
    let user = TestUser::tampering(|callback| {
        let wrong = with_parameter(callback, "state", Some("planted-state"));
        vec![
            with_parameter(&wrong, "code", Some("planted-code")),
            callback.clone(),
        ]
    });
    let fixture = Fixture::start().await.with_user(user);
    fixture
        .user
        .paste("http://127.0.0.1/callback?code=planted-code&state=planted-state");
    let session = fixture.login().await.unwrap();
    print_session(&output, &session);
    assert_nothing_leaked(&fixture, &output, 4).await;
}

#[tokio::test]
async fn a_failed_refresh_prints_no_secret() {
    for how in [
        Corruption::Html,
        Corruption::Truncated,
        Corruption::CutAfter(30),
        Corruption::FormEncoded,
    ] {
        let (output, _guard) = CapturedOutput::capture();
        let fixture = Fixture::start().await;
        fixture.login().await.unwrap();
        let (session, _) = fixture.auto_advancing_session().await;
        fixture
            .testbed
            .set_fault(Fault::Corrupt(Endpoint::Token, how));
        output.print_error(&bounded(session.refresh()).await.unwrap_err());
        fixture.testbed.clear_faults();
        fixture.testbed.revoke_all_tokens();
        output.print_error(&bounded(session.refresh()).await.unwrap_err());
        assert_nothing_leaked(&fixture, &output, 4).await;
    }
}
