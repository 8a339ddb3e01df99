//! A client of MCP 2025-11-25 that shows the login: it gets an elicitation with a link to a page of the
//! proxy, and the URL of the login in no message.

use std::time::Duration;

use mcp_client_oauth::{Error, Grant, Session};
use mcp_oauth_proxy::{Host, LoginRequest, Proxy};
use mcp_oauth_testbed::{Fault, Testbed, test_user};
use mcp_oauth_testing::ManualClock;
use serde_json::{Value, json};
use url::Url;

use crate::support::{App, Named, Remote, client, client_with_clock};

pub(crate) const TOOLS_CHANGED: &str = "notifications/tools/list_changed";
const COMPLETE: &str = "notifications/elicitation/complete";
const WAIT: Duration = Duration::from_secs(50);
const DECLINE_TIME: Duration = Duration::from_secs(5 * 60);

pub(crate) fn url_elicitation() -> Value {
    json!({"elicitation": {"url": {}}})
}

pub(crate) fn add(id: u64) -> Value {
    json!({"name": "add", "arguments": {"a": id, "b": 1}})
}

pub(crate) fn sum(response: &Value) -> Option<u64> {
    response["result"]["structuredContent"]["sum"].as_u64()
}

pub(crate) fn text(response: &Value) -> &str {
    response["result"]["content"][0]["text"].as_str().unwrap()
}

pub(crate) fn link(elicitation: &Value) -> Url {
    elicitation["params"]["url"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap()
}

/// Opens the link as a browser does, and returns the URL of the login.
pub(crate) async fn follow(link: &Url) -> Url {
    let page = test_user::visit(link).await.unwrap();
    assert_eq!(page.status, 302, "{}", page.body);
    page.headers["location"].to_str().unwrap().parse().unwrap()
}

/// Follows the link, and approves.
pub(crate) async fn approve(link: &Url) -> Url {
    let url = follow(link).await;
    test_user::approve(&url).await.unwrap();
    url
}

/// Checks that the client has received nothing of the login.
pub(crate) fn assert_no_secrets(testbed: &Testbed, received: &str, logins: &[Url]) {
    for text in ["/authorize", "state=", "code=", "code_challenge"] {
        assert!(!received.contains(text), "{text}: {received}");
    }
    let query = |url: &Url, name: &str| {
        let mut pairs = url.query_pairs();
        let value = pairs.find(|(key, _)| key == name);
        value.map(|(_, value)| value.into_owned())
    };
    for state in logins.iter().filter_map(|url| query(url, "state")) {
        assert!(!received.contains(&state), "{received}");
    }
    for token in testbed.issued_tokens() {
        assert!(!received.contains(&token.access_token), "{received}");
    }
}

pub(crate) async fn action(app: &mut App, elicitation: &Value, action: &str) {
    let result = json!({"action": action});
    app.send(&json!({"jsonrpc": "2.0", "id": elicitation["id"], "result": result}))
        .await;
}

struct Fixture {
    testbed: Testbed,
    app: App,
    clock: ManualClock,
    browser: std::sync::Arc<crate::support::ScriptedBrowser>,
}

impl Fixture {
    async fn start() -> Self {
        Self::with(Testbed::start().await.unwrap(), Named).await
    }

    async fn with(testbed: Testbed, host: impl Host + 'static) -> Self {
        let (client, browser, server, clock) = client_with_clock(&testbed);
        let proxy = Proxy::builder(&client, &server).host(host).build().await;
        let mut app = App::start(proxy.unwrap());
        app.initialize_with("2025-11-25", &url_elicitation()).await;
        Self {
            testbed,
            app,
            clock,
            browser,
        }
    }

    async fn start_add(&mut self, id: u64) {
        self.app.begin(id, "tools/call", &add(id)).await;
    }

    async fn elicitation(&mut self) -> Value {
        self.app.notification("elicitation/create").await
    }
}

#[tokio::test]
async fn a_call_waits_for_the_login_that_the_client_shows() {
    let mut it = Fixture::start().await;
    it.start_add(1).await;
    let elicitation = it.elicitation().await;
    let params = &elicitation["params"];
    assert_eq!(params["mode"], "url");
    let message = params["message"].as_str().unwrap();
    assert!(message.contains("requires a login"), "{message}");
    let link = link(&elicitation);
    assert_eq!(link.host_str(), Some("127.0.0.1"));
    assert!(link.path().len() > 22 && link.query().is_none(), "{link}");
    action(&mut it.app, &elicitation, "accept").await;
    let url = approve(&link).await;
    assert_eq!(sum(&it.app.response(1).await), Some(2));
    let complete = it.app.notification(COMPLETE).await;
    assert_eq!(complete["params"]["elicitationId"], params["elicitationId"]);
    it.app.notification(TOOLS_CHANGED).await;
    let list = it.app.request(2, "tools/list", &json!({})).await;
    assert_eq!(list["result"]["tools"].as_array().unwrap().len(), 4);
    assert_eq!(it.browser.opened(), 0);
    assert_no_secrets(&it.testbed, &it.app.received, &[url]);
}

#[tokio::test]
async fn ten_calls_share_one_elicitation() {
    let mut it = Fixture::start().await;
    for id in 1..=10 {
        it.start_add(id).await;
    }
    let elicitation = it.elicitation().await;
    let url = approve(&link(&elicitation)).await;
    for id in 1..=10 {
        assert_eq!(sum(&it.app.response(id).await), Some(id + 1));
    }
    // The client has not responded to it, and needs no dialog any more.
    let cancelled = it.app.notification("notifications/cancelled").await;
    assert_eq!(cancelled["params"]["requestId"], elicitation["id"]);
    assert_eq!(it.app.received.matches("elicitation/create").count(), 1);
    assert_no_secrets(&it.testbed, &it.app.received, &[url]);
}

#[tokio::test]
async fn a_refusal_ends_the_login_and_counts_for_five_minutes() {
    for (refusal, starts) in [("decline", "login declined"), ("cancel", "login cancelled")] {
        let mut it = Fixture::start().await;
        it.start_add(1).await;
        let elicitation = it.elicitation().await;
        let url = follow(&link(&elicitation)).await;
        action(&mut it.app, &elicitation, refusal).await;
        let expected = format!("{starts}; to log in, run `app login notes` in a terminal");
        let refused = it.app.response(1).await;
        assert_eq!(text(&refused), expected);
        assert_eq!(refused["result"]["isError"], true);
        let last_second = Duration::from_secs(1);
        it.clock.advance(DECLINE_TIME.saturating_sub(last_second));
        let again = it.app.request(2, "tools/call", &add(2)).await;
        assert_eq!(text(&again), expected);
        // The login has ended, and its page with it.
        assert!(test_user::visit(&link(&elicitation)).await.is_err());
        it.clock.advance(last_second);
        it.start_add(3).await;
        let second = it.elicitation().await;
        assert_ne!(
            second["params"]["elicitationId"],
            elicitation["params"]["elicitationId"]
        );
        let other = approve(&link(&second)).await;
        assert_eq!(sum(&it.app.response(3).await), Some(4));
        assert_no_secrets(&it.testbed, &it.app.received, &[url, other]);
    }
}

#[tokio::test]
async fn a_client_that_cannot_show_the_link_gets_the_command() {
    let mut it = Fixture::start().await;
    it.start_add(1).await;
    let elicitation = it.elicitation().await;
    let error = json!({"code": -32601, "message": "not supported"});
    it.app
        .send(&json!({"jsonrpc": "2.0", "id": elicitation["id"], "error": error}))
        .await;
    let refused = it.app.response(1).await;
    let text = text(&refused);
    assert!(text.contains("did not show its link"), "{text}");
    assert!(text.contains("`app login notes`"), "{text}");
}

#[tokio::test]
async fn a_call_ends_before_its_client_gives_up_and_the_login_goes_on() {
    let mut it = Fixture::start().await;
    it.start_add(1).await;
    let elicitation = it.elicitation().await;
    it.clock.advance(WAIT);
    let late = it.app.response(1).await;
    assert!(text(&late).starts_with("login required"), "{late}");
    // The dialog of the client stays, and its link works.
    let url = approve(&link(&elicitation)).await;
    it.app.notification(TOOLS_CHANGED).await;
    let added = it.app.request(2, "tools/call", &add(2)).await;
    assert_eq!(sum(&added), Some(3));
    assert_no_secrets(&it.testbed, &it.app.received, &[url]);
}

#[tokio::test]
async fn a_later_call_withdraws_a_dialog_that_no_call_waits_for() {
    let mut it = Fixture::start().await;
    it.start_add(1).await;
    let first = it.elicitation().await;
    it.clock.advance(WAIT);
    it.app.response(1).await;
    it.start_add(2).await;
    let withdrawn = it.app.notification("notifications/cancelled").await;
    assert_eq!(withdrawn["params"]["requestId"], first["id"]);
    let second = it.elicitation().await;
    let url = approve(&link(&second)).await;
    assert_eq!(sum(&it.app.response(2).await), Some(3));
    assert_no_secrets(&it.testbed, &it.app.received, &[url]);
}

#[tokio::test]
async fn a_cancelled_call_stops_waiting_and_the_login_stays() {
    let mut it = Fixture::start().await;
    it.start_add(1).await;
    let elicitation = it.elicitation().await;
    action(&mut it.app, &elicitation, "accept").await;
    let cancel = json!({"requestId": 1});
    it.app
        .send(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": cancel}))
        .await;
    // The response to a later message shows that the cancellation was handled.
    it.app.request(2, "ping", &json!({})).await;
    // No call waits for the first dialog any more, so another call gets its own.
    it.start_add(3).await;
    let second = it.elicitation().await;
    assert_ne!(second["id"], elicitation["id"]);
    approve(&link(&elicitation)).await;
    assert_eq!(sum(&it.app.response(3).await), Some(4));
    let complete = it.app.notification(COMPLETE).await;
    let id = &elicitation["params"]["elicitationId"];
    assert_eq!(complete["params"]["elicitationId"], *id);
    assert!(
        !it.app.received.contains("\"id\":1,"),
        "{}",
        it.app.received
    );
}

#[tokio::test]
async fn a_login_that_is_denied_ends_the_call() {
    let mut it = Fixture::start().await;
    it.start_add(1).await;
    let elicitation = it.elicitation().await;
    action(&mut it.app, &elicitation, "accept").await;
    let url = follow(&link(&elicitation)).await;
    test_user::deny(&url).await.unwrap();
    let refused = it.app.response(1).await;
    assert!(text(&refused).contains("access_denied"), "{refused}");
    // The next call requests another login.
    it.start_add(2).await;
    let second = it.elicitation().await;
    let other = approve(&link(&second)).await;
    assert_eq!(sum(&it.app.response(2).await), Some(3));
    assert_no_secrets(&it.testbed, &it.app.received, &[url, other]);
}

#[tokio::test]
async fn a_wider_scope_is_requested_through_the_client() {
    let testbed = Testbed::builder().step_up(true).start().await.unwrap();
    let mut it = Fixture::with(testbed, Named).await;
    it.start_add(1).await;
    let first = it.elicitation().await;
    let login = approve(&link(&first)).await;
    assert_eq!(sum(&it.app.response(1).await), Some(2));
    let write = json!({"name": "write_note", "arguments": {"text": "x"}});
    it.app.begin(2, "tools/call", &write).await;
    let second = it.elicitation().await;
    let message = second["params"]["message"].as_str().unwrap();
    assert!(message.contains("requires more access"), "{message}");
    // Other calls work meanwhile.
    let added = it.app.request(3, "tools/call", &add(3)).await;
    assert_eq!(sum(&added), Some(4));
    let step_up = approve(&link(&second)).await;
    assert_eq!(it.app.response(2).await["result"]["isError"], false);
    assert_eq!(it.browser.opened(), 0);
    assert_no_secrets(&it.testbed, &it.app.received, &[login, step_up]);
}

/// Its user cannot follow the link, so there is none.
#[tokio::test]
async fn without_a_local_browser_the_texts_name_the_command() {
    let testbed = Testbed::start().await.unwrap();
    let mut it = Fixture::with(testbed, Remote).await;
    let refused = it.app.request(1, "tools/call", &add(1)).await;
    let text = text(&refused);
    assert!(
        text.ends_with("run `app login notes` in a terminal"),
        "{text}"
    );
    let refused = it.app.request(2, "completion/complete", &json!({})).await;
    assert_eq!(refused["error"]["code"], -32003);
    assert!(refused["error"].get("data").is_none(), "{refused}");
    let logged_in = it
        .app
        .request(3, "tools/call", &json!({"name": "log_in"}))
        .await;
    assert_eq!(logged_in["result"]["isError"], true);
    assert!(!it.app.received.contains("elicitation/create"));
    assert_eq!(it.browser.opened(), 0);
    assert_no_secrets(&it.testbed, &it.app.received, &[]);
}

/// URL elicitation is of MCP 2025-11-25, but Codex 0.171.0 declares it with an earlier revision.
#[tokio::test]
async fn a_client_of_an_older_revision_gets_what_it_declares() {
    for (capabilities, declares) in [(url_elicitation(), true), (json!({}), false)] {
        let testbed = Testbed::start().await.unwrap();
        let (client, browser, server) = client(&testbed);
        let proxy = Proxy::builder(&client, &server).build().await.unwrap();
        let mut app = App::start(proxy);
        app.initialize_with("2025-06-18", &capabilities).await;
        if declares {
            app.begin(1, "tools/call", &add(1)).await;
            app.notification("elicitation/create").await;
        } else {
            app.notification(TOOLS_CHANGED).await;
        }
        assert_eq!(browser.opened(), usize::from(!declares));
    }
}

struct Device;

#[async_trait::async_trait]
impl Host for Device {
    async fn log_in(&self, request: LoginRequest) -> Result<Session, Error> {
        let login = request.client.login(request.key.server());
        login.grant(Grant::DeviceCode).await
    }
}

#[tokio::test]
async fn the_link_leads_to_the_page_for_a_device_code() {
    for has_complete in [true, false] {
        let builder = Testbed::builder()
            .device_authorization(true)
            .device_interval(Duration::ZERO)
            .fault(Fault::DeviceField("interval".to_owned(), 1.into()));
        let builder = if has_complete {
            builder
        } else {
            builder.fault(Fault::DeviceField(
                "verification_uri_complete".to_owned(),
                Value::Null,
            ))
        };
        let testbed = builder.start().await.unwrap();
        let (client, _, server) = client(&testbed);
        let proxy = Proxy::builder(&client, &server).host(Device).build().await;
        let mut app = App::start(proxy.unwrap());
        app.initialize_with("2025-11-25", &url_elicitation()).await;
        app.begin(1, "tools/call", &add(1)).await;
        let elicitation = app.notification("elicitation/create").await;
        let page = test_user::visit(&link(&elicitation)).await.unwrap();
        let (url, code) = if has_complete {
            assert_eq!(page.status, 302);
            let url: Url = page.headers["location"].to_str().unwrap().parse().unwrap();
            let code = url.query_pairs().next().unwrap().1.into_owned();
            (url, code)
        } else {
            assert_eq!(page.status, 200);
            let between = |start: &str, end: &str| {
                let rest = page.body.split_once(start).unwrap().1;
                rest.split_once(end).unwrap().0.to_owned()
            };
            let url = between("<a href=\"", "\"").parse().unwrap();
            (url, between("<strong>", "</strong>"))
        };
        test_user::approve_device(&url, &code).await.unwrap();
        assert_eq!(sum(&app.response(1).await), Some(2));
        assert!(!app.received.contains(&code), "{}", app.received);
        assert_no_secrets(&testbed, &app.received, &[]);
    }
}

/// The server may request something itself: its messages and their ids are its own.
#[tokio::test]
async fn an_elicitation_of_the_server_is_forwarded() {
    let mut it = Fixture::with(
        Testbed::builder().streams(true).start().await.unwrap(),
        Named,
    )
    .await;
    it.start_add(1).await;
    let own = it.elicitation().await;
    approve(&link(&own)).await;
    it.app.response(1).await;
    let params =
        json!({"mode": "url", "elicitationId": "s", "url": "https://s.example", "message": "m"});
    let id = "mcp-oauth-login-of-the-server";
    it.testbed.send_message(
        json!({"jsonrpc": "2.0", "id": id, "method": "elicitation/create", "params": params}),
    );
    let forwarded = it.app.next(|message| message["id"] == id).await;
    action(&mut it.app, &forwarded, "decline").await;
    // The response of the client reaches the server.
    let ping = it.app.request(2, "ping", &json!({})).await;
    assert!(ping["result"].is_object());
    let sent = it.testbed.requests();
    let has_response = |body: &str| body.contains(id) && body.contains("decline");
    assert!(
        sent.iter()
            .any(|sent| has_response(&String::from_utf8_lossy(&sent.body)))
    );
}
