//! A remembered client that the authorization server has removed: it is registered again before the
//! browser opens, once, and only after a direct refusal.

use std::sync::Arc;

use async_trait::async_trait;
use mcp_client_oauth::{
    Error, Login, TokenStore,
    error::RegistrationError,
    platform::{HttpClient, HttpError, HttpErrorKind, Request, Response},
};
use mcp_oauth_store::MemoryBackend;
use mcp_oauth_testbed::{Builder, Fault, Peer, RecordedRequest, Testbed};
use url::Url;

use crate::support::{Fixture, TestUser, parameter};

/// A fixture, and the store in which the next process of the same user finds its records.
struct Restarted {
    fixture: Fixture,
    backend: Arc<MemoryBackend>,
}

impl Restarted {
    /// Logs in with one process, and starts another one.
    async fn after_a_login() -> Self {
        Self::after_a_login_at(Testbed::builder(), |login| login).await
    }

    async fn after_a_login_at(builder: Builder, configure: impl FnOnce(Login) -> Login) -> Self {
        let backend = Arc::new(MemoryBackend::default());
        let mut fixture = Fixture::with(builder).await;
        fixture.store = TokenStore::new(backend.clone());
        fixture.login_with(configure).await.unwrap();
        let mut restarted = Self { fixture, backend };
        restarted.start_process();
        restarted
    }

    fn start_process(&mut self) {
        self.fixture.store = TokenStore::new(self.backend.clone());
        self.fixture.testbed.clear_requests();
    }

    /// Returns the authorization requests of this process and of the browser, in order.
    fn authorization_requests(&self) -> Vec<RecordedRequest> {
        let requests = self.fixture.testbed.requests();
        let is_one = |r: &RecordedRequest| r.method == "GET" && r.path == "/authorize";
        requests.into_iter().filter(is_one).collect()
    }

    /// Returns the number of registration requests.
    fn registrations(&self) -> usize {
        self.fixture.posts("/register")
    }

    /// Returns the last URL that was opened in the browser.
    fn last_opened_url(&self) -> Url {
        self.fixture.user.opened_urls().pop().unwrap()
    }
}

/// Only the first authorization request gets this response.
fn first_response(status: u16, body: &str, headers: &[(&str, &str)]) -> Fault {
    let headers = headers.iter();
    Fault::Status {
        path: "/authorize".to_owned(),
        status,
        body: body.to_owned(),
        headers: headers.map(|(n, v)| ((*n).into(), (*v).into())).collect(),
        times: Some(1),
    }
}

#[tokio::test]
async fn a_client_that_the_server_removed_is_registered_again_before_the_browser_opens() {
    let restarted = Restarted::after_a_login().await;
    let old = parameter(&restarted.last_opened_url(), "client_id");
    restarted.fixture.testbed.remove_registrations();
    restarted.fixture.login().await.unwrap();

    assert_eq!(restarted.registrations(), 1);
    let requests = restarted.authorization_requests();
    let statuses: Vec<u16> = requests.iter().map(|request| request.status).collect();
    assert_eq!(statuses, [400, 200], "one check, and the browser");
    let check = &requests[0];
    assert_eq!(check.query("client_id").as_deref(), Some(old.as_str()));
    assert_eq!(check.header("cookie"), None);
    // Some servers redirect to their login page only for a browser.
    assert!(check.header("accept").unwrap().starts_with("text/html"));
    let opened = restarted.last_opened_url();
    assert_ne!(parameter(&opened, "client_id"), old);
    assert_eq!(restarted.fixture.user.opened_urls().len(), 2);
    // The next login finds the new client, and has no reason to check it.
    restarted.fixture.login().await.unwrap();
    assert_eq!(restarted.registrations(), 1);
    assert_eq!(restarted.authorization_requests().len(), 3);
}

/// The error page of `fastmcp` 4.2.3 without its styles.
const FASTMCP_PAGE: &str = r#"
    <!DOCTYPE html>
    <html lang="en">
    <body>
        <div class="container">
            <h1>Client Not Registered</h1>
            <div class="info-box error">
                <p>The client ID <code>70a8f0c4-gone</code> was not found in the server's client registry.</p>
            </div>
        </div>
    </body>
    </html>
    "#;

/// The responses of real servers to a request with an unknown client.
#[tokio::test]
async fn the_errors_of_real_servers_are_recognized() {
    for (name, refusal) in [
        (
            "mcp (Python) 2.3.0",
            first_response(
                400,
                r#"{"error":"invalid_request","error_description":"Client ID '70a8f0c4-gone' not found","state":"s"}"#,
                &[("cache-control", "no-store")],
            ),
        ),
        (
            "@modelcontextprotocol/sdk 1.32.2",
            first_response(
                400,
                r#"{"error":"invalid_client","error_description":"Invalid client_id"}"#,
                &[("cache-control", "no-store")],
            ),
        ),
        (
            "fastmcp 4.2.3 (OAuthProxy)",
            first_response(
                400,
                FASTMCP_PAGE,
                &[
                    ("x-frame-options", "DENY"),
                    (
                        "link",
                        "<http://localhost:9000/register>; \
                         rel=\"http://oauth.net/core/2.1/#registration\"",
                    ),
                ],
            ),
        ),
    ] {
        let restarted = Restarted::after_a_login().await;
        restarted.fixture.testbed.set_fault(refusal);
        restarted.fixture.login().await.unwrap();
        assert_eq!(restarted.registrations(), 1, "{name}");
        assert_eq!(restarted.authorization_requests().len(), 2, "{name}");
    }
}

/// Not even a code that is returned at once to a trusted client: the check has its own `state` and code
/// challenge, which are discarded.
#[tokio::test]
async fn any_other_response_changes_nothing() {
    let code = "/dropped?code=of-the-check&state=s";
    for response in [
        first_response(302, "", &[("location", code)]),
        first_response(302, "", &[("location", "/dropped?error=invalid_client")]),
        first_response(200, "<html>Log in</html>", &[]),
        first_response(400, "<html><h1>400 Bad Request</h1></html>", &[]),
        first_response(401, "", &[("www-authenticate", "Negotiate")]),
        first_response(403, "<html>Attention Required!</html>", &[]),
        first_response(404, "", &[]),
        first_response(429, "", &[("retry-after", "60")]),
        first_response(500, r#"{"error":"invalid_client"}"#, &[]),
    ] {
        let restarted = Restarted::after_a_login().await;
        let client = parameter(&restarted.last_opened_url(), "client_id");
        let shown = format!("{response:?}");
        restarted.fixture.testbed.set_fault(response);
        restarted.fixture.login().await.unwrap();
        assert_eq!(restarted.registrations(), 0, "{shown}");
        let opened = restarted.last_opened_url();
        assert_eq!(parameter(&opened, "client_id"), client, "{shown}");
        let as_server = Peer::AuthorizationServer;
        let followed = restarted
            .fixture
            .testbed
            .count(as_server, "GET", "/dropped");
        assert_eq!(followed, 0, "{shown}");
        let requests = restarted.authorization_requests();
        let [check, browser] = &requests[..] else {
            panic!("{shown}: {requests:?}")
        };
        for name in ["state", "code_challenge"] {
            assert!(check.query(name).is_some(), "{shown}");
            assert_ne!(check.query(name), browser.query(name), "{shown}");
        }
        assert_eq!(check.query("scope"), browser.query("scope"), "{shown}");
    }
}

/// A network that fails each authorization request.
struct BrokenNetwork(Arc<dyn HttpClient>);

#[async_trait]
impl HttpClient for BrokenNetwork {
    async fn send(&self, request: Request) -> Result<Response, HttpError> {
        if request.url.path() == "/authorize" {
            let cause = HttpErrorKind::Interrupted("reset".to_owned());
            return Err(HttpError::new(&request.url, cause));
        }
        self.0.send(request).await
    }
}

#[tokio::test]
async fn a_check_without_a_response_does_not_stop_the_login() {
    let mut restarted = Restarted::after_a_login().await;
    let http = restarted.fixture.platform.http.clone();
    restarted.fixture.platform.http = Arc::new(BrokenNetwork(http));
    restarted.fixture.login().await.unwrap();
    assert_eq!(restarted.registrations(), 0);
    assert_eq!(restarted.authorization_requests().len(), 1);
}

#[tokio::test]
async fn a_process_checks_a_client_until_a_login_with_it_has_succeeded() {
    let mut restarted = Restarted::after_a_login().await;
    let requests = |restarted: &Restarted| restarted.authorization_requests().len();
    restarted.fixture = restarted.fixture.with_user(TestUser::denying());
    restarted.fixture.login().await.unwrap_err();
    assert_eq!(requests(&restarted), 2, "a check and a browser");
    restarted.fixture = restarted.fixture.with_user(TestUser::approving());
    restarted.fixture.login().await.unwrap();
    assert_eq!(requests(&restarted), 4, "a check and a browser");
    restarted.fixture.login().await.unwrap();
    assert_eq!(requests(&restarted), 5, "a browser");
    assert_eq!(restarted.registrations(), 0);
    // As after a restart of the server while this process waited for the browser.
    restarted.fixture = restarted.fixture.with_user(TestUser::denying());
    restarted.fixture.login().await.unwrap_err();
    restarted.fixture = restarted.fixture.with_user(TestUser::approving());
    restarted.fixture.testbed.remove_registrations();
    restarted.fixture.login().await.unwrap();
    assert_eq!(restarted.registrations(), 1);
}

#[tokio::test]
async fn only_dynamic_registrations_of_other_processes_are_checked() {
    let own: fn(Login) -> Login = |login| login.client_id("me");
    let document: fn(Login) -> Login = |login| {
        let url = "https://app.example/client.json".parse().unwrap();
        login.client_metadata_url(url, None)
    };
    for configure in [own, document] {
        let builder = Testbed::builder()
            .client("me", None)
            .client_id_metadata_documents(true);
        let restarted = Restarted::after_a_login_at(builder, configure).await;
        restarted.fixture.login_with(configure).await.unwrap();
        assert_eq!(restarted.authorization_requests().len(), 1);
        assert_eq!(restarted.registrations(), 0);
    }
    let mut fresh = Restarted::after_a_login().await;
    fresh.fixture.testbed.remove_registrations();
    fresh.fixture.login_with(Login::force).await.unwrap();
    assert_eq!(fresh.authorization_requests().len(), 1);
    assert_eq!(fresh.registrations(), 1);
    fresh.start_process();
    fresh.fixture.login().await.unwrap();
    assert_eq!(fresh.authorization_requests().len(), 2);
}

#[tokio::test]
async fn a_server_that_stopped_registration_ends_the_login_before_the_browser_opens() {
    let restarted = Restarted::after_a_login().await;
    restarted.fixture.testbed.remove_registrations();
    restarted.fixture.testbed.set_fault(Fault::Status {
        path: "/register".to_owned(),
        status: 403,
        body: "Forbidden".to_owned(),
        headers: Vec::new(),
        times: None,
    });
    let error = restarted.fixture.login().await.unwrap_err();
    let is_refused = matches!(
        error,
        Error::Registration(RegistrationError::Response { .. })
    );
    assert!(is_refused, "{error}");
    assert_eq!(restarted.fixture.user.opened_urls().len(), 1);
}
