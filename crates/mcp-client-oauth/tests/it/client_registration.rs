//! Step 2 against the testbed: which client id is used at which issuer, and when a new client is
//! registered.

use mcp_client_oauth::{
    Error, Login, Remedy, Secret, TokenStore,
    error::{RegistrationError, RegistrationResponseError, TokenRefreshError},
    flow::{self, DiscoveryOptions, IdentityOptions, Issuer, PreregisteredClient},
};
use mcp_oauth_testbed::{Builder, Fault, Peer, Testbed};
use serde_json::{Value, json};
use url::Url;

use crate::support::{Fixture, parameter};

mod registration;
mod scope;

const DOCUMENT: &str = "https://app.example/oauth/client-metadata.json";

fn with_document(login: Login) -> Login {
    login.client_metadata_url(DOCUMENT.parse().unwrap(), None)
}

/// Sets the client `by-hand`, which has no secret.
fn preregistered(login: Login) -> Login {
    login.client_id("by-hand")
}

/// Sets the client `by-hand` with a secret.
fn with_secret(login: Login, secret: &str) -> Login {
    preregistered(login).client_secret(Secret::new(secret.to_owned()))
}

/// Returns the client id of the last authorization request.
fn sent_client_id(fixture: &Fixture) -> String {
    parameter(fixture.user.opened_urls().last().unwrap(), "client_id")
}

fn status(path: &str, status: u16, body: &str) -> Fault {
    Fault::Status {
        path: path.to_owned(),
        status,
        body: body.to_owned(),
        headers: Vec::new(),
        times: None,
    }
}

fn redirect_uri() -> Url {
    "http://127.0.0.1/callback".parse().unwrap()
}

/// Starts a testbed with an authorization server for the MCP server of `fixture`.
async fn successor(fixture: &Fixture) -> Testbed {
    successor_with(Testbed::builder(), fixture).await
}

async fn successor_with(builder: Builder, fixture: &Fixture) -> Testbed {
    let resource = fixture.testbed.server_url();
    let successor = builder.resource(resource).start().await.unwrap();
    let servers = json!([successor.issuer()]);
    fixture
        .testbed
        .set_fault(Fault::PrmField("authorization_servers".to_owned(), servers));
    successor
}

/// Returns everything that was sent to a testbed, as one text.
fn request_log_text(testbed: &Testbed) -> String {
    let mut text = String::new();
    for request in testbed.requests() {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        text.extend([format!("{request:?}"), body]);
    }
    text
}

#[tokio::test]
async fn a_preregistered_client_precedes_a_metadata_document_which_precedes_registration() {
    let builder = Testbed::builder()
        .client("by-hand", None)
        .client_id_metadata_documents(true);
    let fixture = Fixture::with(builder).await;
    let all = fixture.login_with(|login| with_document(preregistered(login)));
    all.await.unwrap();
    assert_eq!(sent_client_id(&fixture), "by-hand");

    fixture.login_with(with_document).await.unwrap();
    assert_eq!(sent_client_id(&fixture), DOCUMENT);
    assert_eq!(
        fixture.last("POST", "/token").form("client_id").as_deref(),
        Some(DOCUMENT)
    );
    assert_eq!(fixture.posts("/register"), 0);

    fixture.login().await.unwrap();
    assert!(sent_client_id(&fixture).starts_with("client_"));
    assert_eq!(fixture.posts("/register"), 1);
}

#[tokio::test]
async fn a_metadata_document_is_used_only_at_servers_that_support_them() {
    let fixture = Fixture::start().await;
    fixture.login_with(with_document).await.unwrap();
    assert!(sent_client_id(&fixture).starts_with("client_"));
}

#[tokio::test]
async fn a_document_url_that_cannot_be_a_client_id_is_a_configuration_error() {
    let fixture = Fixture::with(Testbed::builder().client_id_metadata_documents(true)).await;
    for bad in [
        "http://app.example/client.json",
        "https://app.example/",
        "https://u@app.example/c",
    ] {
        let login =
            fixture.login_with(|login| login.client_metadata_url(bad.parse().unwrap(), None));
        let error = login.await.unwrap_err();
        assert!(
            matches!(error, Error::Registration(RegistrationError::Document(_))),
            "{bad}: {error}"
        );
        assert_eq!(error.remedy(), Remedy::Reconfigure);
    }
    fixture.assert_nothing_was_sent();
}

#[tokio::test]
async fn a_native_client_registers_as_native_with_the_refresh_grant() {
    let fixture = Fixture::with(Testbed::builder().strict_application_type(true)).await;
    let login = fixture.login_with(|login| login.client_name("Notes for cats"));
    login.await.unwrap();
    let registration = fixture.last("POST", "/register").json().unwrap();
    assert_eq!(registration["application_type"], "native");
    assert_eq!(registration["client_name"], "Notes for cats");
    assert_eq!(
        registration["grant_types"],
        json!(["authorization_code", "refresh_token"])
    );
    assert_eq!(registration["response_types"], json!(["code"]));
    assert_eq!(registration["token_endpoint_auth_method"], "none");
    let redirect_uri = parameter(&fixture.user.opened_urls()[0], "redirect_uri");
    assert_eq!(registration["redirect_uris"], json!([redirect_uri]));
}

/// The Python MCP SDK and `FastMCP` compare the port of a loopback redirect URI as well.
#[tokio::test]
async fn a_busy_registered_port_registers_another_client() {
    let fixture = Fixture::with(Testbed::builder().exact_redirect_uris(true)).await;
    fixture.login().await.unwrap();
    let first = fixture.user.opened_urls().pop().unwrap();
    let redirect: Url = parameter(&first, "redirect_uri").parse().unwrap();
    // Another login, of a proxy or of another account, listens there.
    let _waiting = std::net::TcpListener::bind(("127.0.0.1", redirect.port().unwrap())).unwrap();
    let login = fixture.login_with(|login| login.account("other"));
    login.await.unwrap();
    let second = fixture.user.opened_urls().pop().unwrap();
    assert_ne!(
        parameter(&second, "client_id"),
        parameter(&first, "client_id")
    );
    assert_ne!(
        parameter(&second, "redirect_uri"),
        parameter(&first, "redirect_uri")
    );
}

#[tokio::test]
async fn a_registration_is_reused_with_its_port() {
    let fixture = Fixture::start().await;
    fixture.login().await.unwrap();
    fixture.login().await.unwrap();
    assert_eq!(fixture.posts("/register"), 1);
    let [first, second] = &fixture.user.opened_urls()[..] else {
        panic!()
    };
    assert_eq!(
        parameter(first, "client_id"),
        parameter(second, "client_id")
    );
    assert_eq!(
        parameter(first, "redirect_uri"),
        parameter(second, "redirect_uri")
    );
}

#[tokio::test]
async fn a_registration_survives_a_denied_login() {
    let fixture = Fixture::start()
        .await
        .with_user(crate::support::TestUser::denying());
    fixture.login().await.unwrap_err();
    fixture.login().await.unwrap_err();
    assert_eq!(fixture.posts("/register"), 1);
}

#[tokio::test]
async fn a_forced_login_registers_again() {
    let fixture = Fixture::start().await;
    fixture.login().await.unwrap();
    fixture.login_with(Login::force).await.unwrap();
    assert_eq!(fixture.posts("/register"), 2);
}

#[tokio::test]
async fn clients_and_tokens_of_one_issuer_are_never_sent_to_another() {
    let builder = Testbed::builder().confidential_registrations(true);
    let fixture = Fixture::with(builder).await;
    fixture.login().await.unwrap();
    let record = fixture.record().await.unwrap();
    let old_id = sent_client_id(&fixture);
    let old_secret = fixture
        .store
        .registration(record.discovery.issuer())
        .await
        .unwrap()
        .unwrap();
    let old_secret = old_secret.client_secret.unwrap();

    let successor = successor(&fixture).await;
    let session = fixture.login().await.unwrap();
    assert_eq!(
        session.record().unwrap().discovery.issuer().as_str(),
        successor.issuer()
    );
    assert_eq!(
        successor.count(Peer::AuthorizationServer, "POST", "/register"),
        1
    );
    let text = request_log_text(&successor);
    let refresh_token = record.tokens.refresh_token.unwrap();
    let access_token = record.tokens.access_token.expose();
    for old in [
        &old_id,
        old_secret.expose(),
        refresh_token.expose(),
        access_token,
    ] {
        assert!(!text.contains(old), "{old}");
    }
}

#[tokio::test]
async fn a_client_of_another_issuer_is_not_tried() {
    let fixture = Fixture::with(Testbed::builder().client("by-hand", None)).await;
    let mut client = PreregisteredClient::new("by-hand", None);
    client.issuer = Some(Issuer::from("https://other.example"));
    let mut options = IdentityOptions::default();
    options.preregistered = Some(client);
    let (platform, redirect_uri) = (&fixture.platform, redirect_uri());
    let defaults = DiscoveryOptions::default();
    let discovery = flow::discover(platform, &fixture.server, &defaults);
    let discovery = discovery.await.unwrap();
    let identity = flow::identify(platform, &discovery, &options, None, Some(&redirect_uri));
    let error = identity.await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Registration(RegistrationError::IssuerMismatch { .. })
        ),
        "{error}"
    );
    assert!(
        error.to_string().contains("https://other.example"),
        "{error}"
    );
    assert!(
        error.to_string().contains(&fixture.testbed.issuer()),
        "{error}"
    );
    assert_eq!(error.remedy(), Remedy::Reconfigure);
    fixture.assert_nothing_was_sent();
}

#[tokio::test]
async fn a_client_of_another_issuer_than_the_discovery_is_rejected() {
    let (one, two) = (Fixture::start().await, Fixture::start().await);
    one.login().await.unwrap();
    two.login().await.unwrap();
    let (mut record, other) = (one.record().await.unwrap(), two.record().await.unwrap());
    let (discovery, redirect_uri) = (&other.discovery, redirect_uri());
    let url = flow::authorization_url(discovery, &record.identity, &redirect_uri, None, None);
    let error = url.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Registration(RegistrationError::IssuerMismatch { .. })
        ),
        "{error}"
    );

    record.discovery.metadata = other.discovery.metadata;
    let error = flow::refresh(&one.platform, &record).await.unwrap_err();
    assert!(
        matches!(error, TokenRefreshError::IssuerMismatch),
        "{error}"
    );
    assert_eq!(one.refreshes() + two.refreshes(), 0);
}

#[tokio::test]
async fn a_client_is_bound_to_the_issuer_that_it_was_first_used_with() {
    let fixture = Fixture::with(Testbed::builder().client("by-hand", Some("planted"))).await;
    let planted = |login| with_secret(login, "planted");
    fixture.login_with(planted).await.unwrap();
    let successor = successor(&fixture).await;
    for force in [true, false] {
        let login = fixture.login_with(|login| {
            if force {
                planted(login).force()
            } else {
                planted(login)
            }
        });
        let error = login.await.unwrap_err();
        let refused = matches!(
            error,
            Error::Registration(RegistrationError::IssuerMismatch { .. })
        );
        assert!(refused, "{error}");
    }
    let error = fixture.login_with(planted).await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Registration(RegistrationError::IssuerMismatch { .. })
        ),
        "{error}"
    );
    assert!(!request_log_text(&successor).contains("by-hand"));
    assert_eq!(fixture.user.opened_urls().len(), 1);
}

#[tokio::test]
async fn a_secret_is_sent_by_the_method_that_the_server_supports() {
    const SECRET: &str = "s:e%c r+e/t=é&";
    for (method, basic) in [("client_secret_basic", true), ("client_secret_post", false)] {
        let builder = Testbed::builder()
            .client("by-hand", Some(SECRET))
            .client_auth_methods(&[method]);
        let fixture = Fixture::with(builder).await;
        let session = fixture
            .login_with(|login| with_secret(login, SECRET))
            .await
            .unwrap();
        session.refresh().await.unwrap();
        for request in fixture
            .testbed
            .requests()
            .iter()
            .filter(|r| r.path == "/token")
        {
            assert_eq!(request.status, 200);
            assert_eq!(request.headers.contains_key("authorization"), basic);
            assert_eq!(request.form("client_secret").is_some(), !basic);
            assert_eq!(request.query, None, "a secret is never in a URL");
        }
    }
}

#[tokio::test]
async fn a_secret_from_registration_is_used() {
    let builder = Testbed::builder().confidential_registrations(true);
    let fixture = Fixture::with(builder.client_auth_methods(&["none", "client_secret_post"])).await;
    fixture.login().await.unwrap();
    assert!(
        fixture
            .last("POST", "/token")
            .form("client_secret")
            .is_some()
    );
}

#[tokio::test]
async fn a_rejected_registration_reports_the_server_error() {
    let fixture = Fixture::start().await;
    let words = r#"{"error":"invalid_redirect_uri","error_description":"only https \u001b[2J"}"#;
    for (code, body, remedy) in [
        (400, words, Remedy::Reconfigure),
        (401, "", Remedy::Reconfigure),
        (403, "no", Remedy::Reconfigure),
        (429, "", Remedy::Retry),
        (503, "", Remedy::Retry),
    ] {
        fixture.testbed.clear_faults();
        fixture.testbed.set_fault(status("/register", code, body));
        let error = fixture.login().await.unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains(&code.to_string()) && text.contains("/register"),
            "{text}"
        );
        assert!(!text.contains('\u{1b}'), "{text}");
        if !body.is_empty() && body.starts_with('{') {
            assert!(
                text.contains("invalid_redirect_uri") && text.contains("only https"),
                "{text}"
            );
        }
        assert_eq!(error.remedy(), remedy, "{code}");
        assert_eq!(fixture.user.opened_urls(), []);
    }
}

#[tokio::test]
async fn an_unusable_registration_fails_before_the_browser_opens() {
    let method = "token_endpoint_auth_method";
    for fault in [
        Fault::RegistrationWithout("client_id".to_owned()),
        Fault::RegistrationField("client_id".to_owned(), json!("")),
        Fault::RegistrationField("client_id".to_owned(), json!("a\r\nb")),
        Fault::RegistrationField("client_id".to_owned(), json!("x".repeat(1 << 16))),
        Fault::RegistrationField("redirect_uris".to_owned(), json!(["https://evil.example/"])),
        Fault::RegistrationField(method.to_owned(), json!("private_key_jwt")),
        Fault::RegistrationField(method.to_owned(), json!("client_secret_basic")),
        Fault::RegistrationField("client_secret".to_owned(), json!(5_551_234)),
    ] {
        let fixture = Fixture::start().await;
        fixture.testbed.set_fault(fault.clone());
        let error = fixture.login().await.unwrap_err();
        let unusable = matches!(
            error,
            Error::Registration(RegistrationError::Response {
                cause: RegistrationResponseError::Unusable(_),
                ..
            })
        );
        assert!(unusable, "{fault:?}: {error}");
        assert!(!error.to_string().contains("5551234"), "{error}");
        assert_eq!(error.remedy(), Remedy::ContactServerOperator);
        assert_eq!(fixture.user.opened_urls(), []);
    }
}

#[tokio::test]
async fn a_nonconforming_registration_response_is_accepted() {
    for (name, value) in [
        ("client_secret_expires_at", Value::Null),
        ("client_secret", json!("")),
        ("redirect_uris", Value::Null),
        ("registration_client_uri", json!("http://169.254.169.254/")),
    ] {
        let fixture = Fixture::start().await;
        fixture
            .testbed
            .set_fault(Fault::RegistrationField(name.to_owned(), value));
        assert!(fixture.login().await.is_ok(), "{name}");
    }
}

#[tokio::test]
async fn without_a_client_id_the_error_names_the_remedy() {
    let fixture = Fixture::with(Testbed::builder().dynamic_registration(false)).await;
    let error = fixture.login().await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Registration(RegistrationError::RegistrationNotSupported(_))
        ),
        "{error}"
    );
    assert_eq!(error.remedy(), Remedy::Reconfigure);
    fixture.assert_nothing_was_sent();
}

#[tokio::test]
async fn an_unknown_client_is_registered_again_at_the_next_login() {
    let fixture = Fixture::start().await;
    fixture.login().await.unwrap();
    let unknown = status("/token", 401, r#"{"error":"invalid_client"}"#);
    fixture.testbed.set_fault(unknown);
    let error = fixture.login().await.unwrap_err();
    assert!(error.is_unknown_client(), "{error}");
    fixture.testbed.clear_faults();
    fixture.login().await.unwrap();
    assert_eq!(fixture.posts("/register"), 2);
}

#[tokio::test]
async fn two_accounts_share_a_client_but_no_tokens() {
    let fixture = Fixture::start().await;
    let log_in = async |account: &str| {
        let login = fixture.login_with(|login| login.account(account));
        login.await.unwrap().record().unwrap()
    };
    let (one, two) = (log_in("one").await, log_in("two").await);
    assert_eq!(fixture.posts("/register"), 1);
    assert_ne!(one.tokens.access_token, two.tokens.access_token);
    assert_eq!(fixture.store.keys().await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_client_unknown_to_the_authorization_endpoint_is_registered_again() {
    let fixture = Fixture::start().await;
    fixture.login().await.unwrap();
    fixture.testbed.set_fault(Fault::CallbackError {
        error: "unauthorized_client".to_owned(),
        description: None,
    });
    fixture.login().await.unwrap_err();
    fixture.testbed.clear_faults();
    fixture.login().await.unwrap();
    assert_eq!(fixture.posts("/register"), 2);
}

#[tokio::test]
async fn a_corrupt_registration_does_not_stop_a_login() {
    let directory = tempfile::tempdir().unwrap();
    let mut fixture = Fixture::start().await;
    fixture.store = TokenStore::open(&format!("file:{}", directory.path().display())).unwrap();
    fixture.login().await.unwrap();
    for entry in std::fs::read_dir(directory.path()).unwrap() {
        let path = entry.unwrap().path();
        let is_client = path.is_file()
            && String::from_utf8_lossy(&std::fs::read(&path).unwrap())
                .contains("\"name\":\"client ");
        if is_client {
            std::fs::File::create(&path).unwrap();
        }
    }
    for _ in 0..2 {
        fixture.login().await.unwrap();
        assert_eq!(fixture.posts("/register"), 2);
    }
}
