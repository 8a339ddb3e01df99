//! A proxy that nobody is logged in for: it answers at once, and goes on when somebody is.

use std::time::Duration;

use mcp_oauth_testbed::{Corruption, Endpoint, Fault, Peer, Testbed, Wire, test_user};
use serde_json::{Value, json};

use super::{App, add, call, request, sum, url_of};
use crate::{device, support::Home};

const TOOLS_CHANGED: &str = "notifications/tools/list_changed";

/// A server that was restarted knows neither the client nor the token, which has not expired: a plain
/// `login` would find it valid.
#[tokio::test]
async fn a_client_is_told_to_replace_a_login_that_the_server_no_longer_accepts() {
    let home = Home::logged_in().await;
    home.testbed.revoke_access_tokens();
    home.testbed.set_fault(Fault::Status {
        path: "/token".to_owned(),
        status: 401,
        body: r#"{"error":"invalid_client"}"#.to_owned(),
        headers: Vec::new(),
        times: None,
    });
    let mut app = App::start(&home, &["--no-browser"]);
    let greeting = app.shake_hands().await;
    let instructions = greeting["result"]["instructions"].as_str().unwrap();
    let command = format!("`mcp-oauth login {} --no-browser --force`", home.url());
    assert!(instructions.contains(&command), "{instructions}");
    assert!(instructions.contains("no longer accepts"), "{instructions}");
    app.hang_up().await;
}

#[tokio::test]
async fn a_client_is_greeted_before_the_login_and_told_when_it_is_done() {
    let home = Home::new().await;
    let mut app = App::start(&home, &["--no-browser"]);
    let greeting = app.shake_hands().await;
    assert_eq!(greeting["result"]["protocolVersion"], "2025-11-25");
    assert_eq!(
        greeting["result"]["capabilities"]["tools"]["listChanged"],
        true
    );
    let instructions = greeting["result"]["instructions"].as_str().unwrap();
    let command = format!("mcp-oauth login {}", home.url());
    assert!(instructions.contains(&command), "{instructions}");
    let list = app.ask(&request(1, "tools/list", &json!({}))).await;
    assert_eq!(list["result"]["tools"], json!([]));
    let refused = app.ask(&add(2)).await;
    assert_eq!(refused["result"]["isError"], true);
    let text = refused["result"]["content"][0]["text"].as_str().unwrap();
    assert!(
        text.starts_with("login required: open this URL in a browser"),
        "{text}"
    );
    app.approve().await;
    app.notification(TOOLS_CHANGED).await;
    assert_eq!(sum(&app.ask(&add(3)).await), Some(4));
    let list = app.ask(&request(4, "tools/list", &json!({}))).await;
    assert_eq!(list["result"]["tools"].as_array().unwrap().len(), 4);
    assert_eq!(app.hang_up().await, 0);
    // It is a login like any other.
    home.run(&["token", &home.url()]).await.succeeded();
}

/// SDKs kill a server that does not end two seconds after its stdin.
#[tokio::test]
async fn a_proxy_ends_with_its_client_whatever_login_was_beside_it() {
    for is_done in [true, false] {
        let home = Home::new().await;
        let mut app = App::start(&home, &["--no-browser", "-vv"]);
        app.shake_hands().await;
        if is_done {
            app.approve().await;
            app.notification(TOOLS_CHANGED).await;
            assert_eq!(sum(&app.ask(&add(3)).await), Some(4));
        } else {
            app.ask(&add(1)).await;
        }
        assert_eq!(app.hang_up().await, 0);
        let said = app.said();
        assert!(
            said.contains("waiting for what was sent to be stored"),
            "{said}"
        );
        assert!(!said.contains("has not finished"), "{said}");
    }
}

#[tokio::test]
async fn the_url_that_a_browser_elsewhere_ended_on_is_handed_over() {
    let home = Home::new().await;
    let mut app = App::start(&home, &["--no-browser"]);
    app.shake_hands().await;
    let refused = app.ask(&add(1)).await;
    let text = refused["result"]["content"][0]["text"].as_str().unwrap();
    assert!(text.contains("`mcp-oauth paste`"), "{text}");
    let url = text.split(' ').find(|word| word.starts_with("http"));
    let url = url.unwrap().parse().unwrap();
    let callback = test_user::decide(&url, test_user::Decision::Approve)
        .await
        .unwrap();
    let mut foreign = callback.clone();
    foreign.set_query(Some("code=c&state=of-another-login"));
    let other_try = home.run_typing(&["paste"], foreign.as_str()).await;
    other_try.ended(1).says("does not take this URL");
    let done = home.run_typing(&["paste"], callback.as_str()).await;
    done.succeeded().says("Handed over");
    app.notification(TOOLS_CHANGED).await;
    assert_eq!(sum(&app.ask(&add(3)).await), Some(4));
    // Somebody else may wait at that port by now.
    let late = home.run_typing(&["paste"], callback.as_str()).await;
    late.ended(1);
    for no_callback in ["https://as.example/?code=c", "\n", ""] {
        let elsewhere = home.run_typing(&["paste"], no_callback).await;
        elsewhere.ended(2).says("all that is in the address bar");
    }
}

#[tokio::test]
async fn a_refusal_that_is_handed_over_is_called_one() {
    let home = Home::new().await;
    let mut app = App::start(&home, &["--no-browser"]);
    app.shake_hands().await;
    let wanted = request(1, "completion/complete", &json!({}));
    let url = url_of(&app.ask(&wanted).await).unwrap();
    let callback = test_user::decide(&url, test_user::Decision::Deny)
        .await
        .unwrap();
    let done = home.run_typing(&["paste"], callback.as_str()).await;
    done.succeeded().says("refused the login (`access_denied`)");
    app.ask_until(&wanted, |refusal| url_of(refusal).is_none())
        .await;
}

#[tokio::test]
async fn what_the_server_can_do_is_remembered() {
    let home = Home::logged_in().await;
    App::ready(&home, &[]).await.hang_up().await;
    home.run(&["logout", "notes"]).await.succeeded();
    let mut app = App::start(&home, &["--no-browser"]);
    let greeting = app.shake_hands().await;
    assert_eq!(
        greeting["result"]["serverInfo"]["name"],
        "mcp-oauth-testbed"
    );
    assert_eq!(greeting["result"]["capabilities"]["logging"], json!({}));
    assert!(greeting["result"]["capabilities"].get("prompts").is_none());
    #[cfg(unix)]
    for entry in std::fs::read_dir(home.data().join("proxy")).unwrap() {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = entry.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{mode:o}");
    }
}

fn discover(id: u64) -> Value {
    without_session(request(id, "server/discover", &json!({})))
}

/// The same request of 2026-07-28.
fn without_session(mut request: Value) -> Value {
    request["params"]["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {}
    });
    request
}

/// The same for a client of 2026-07-28, which begins otherwise.
#[tokio::test]
async fn what_a_server_without_sessions_can_do_is_remembered() {
    let home = Home::with(Testbed::builder().wire(Wire::Stateless)).await;
    let mut app = App::start(&home, &["--no-browser"]);
    let unknown = app.ask(&discover(1)).await;
    // As a server of before says it, so that the client begins as with one.
    assert_eq!(unknown["error"]["code"], -32601);
    app.approve().await;
    let known = app
        .ask_until(&discover(2), |answer| answer["result"].is_object())
        .await;
    assert_eq!(known["result"]["supportedVersions"], json!(["2026-07-28"]));
    app.hang_up().await;
    home.run(&["logout", &home.url()]).await.succeeded();
    let mut app = App::start(&home, &["--no-browser"]);
    let remembered = app.ask(&discover(3)).await;
    assert_eq!(remembered["id"], 3);
    let mut result = remembered["result"].clone();
    let instructions = result["instructions"].take();
    let instructions = instructions.as_str().unwrap();
    let command = format!("mcp-oauth login {}", home.url());
    assert!(instructions.contains(&command), "{instructions}");
    assert!(instructions.ends_with("\n\nA test server: it keeps notes in memory."));
    let mut known = known["result"].clone();
    known["instructions"].take();
    assert_eq!(result, known);
    let filter = json!({"toolsListChanged": true, "promptsListChanged": false});
    let listen = request(9, "subscriptions/listen", &json!({"notifications": filter}));
    app.tell(&without_session(listen)).await;
    let acknowledged = app
        .notification("notifications/subscriptions/acknowledged")
        .await;
    assert_eq!(
        acknowledged["params"]["notifications"],
        json!({"toolsListChanged": true})
    );
    let list = |id| without_session(request(id, "tools/list", &json!({})));
    let none = app.ask(&list(4)).await;
    assert_eq!(none["result"]["tools"], json!([]));
    assert_eq!(none["result"]["ttlMs"], 0, "it is asked for again");
    let refused = app.ask(&without_session(add(5))).await;
    assert_eq!(refused["result"]["isError"], true);
    assert_eq!(refused["result"]["resultType"], "complete");
    app.approve().await;
    let changed = app.notification(TOOLS_CHANGED).await;
    let subscription = &changed["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"];
    assert_eq!(subscription, 9);
    assert_eq!(
        app.answer(&json!(9)).await["result"]["resultType"],
        "complete"
    );
    let list = app
        .ask_until(&list(6), |list| list["result"]["tools"] != json!([]))
        .await;
    assert_eq!(list["result"]["tools"].as_array().unwrap().len(), 4);
}

/// A client that knows both ways begins by the one where it can be told that the login is done.
#[tokio::test]
async fn what_is_remembered_of_both_ways_leads_to_the_older_one() {
    let home = Home::new().await;
    let mut app = App::start(&home, &["--no-browser"]);
    app.shake_hands().await;
    app.approve().await;
    app.notification(TOOLS_CHANGED).await;
    app.hang_up().await;
    let file = std::fs::read_dir(home.data().join("proxy")).unwrap();
    let mut files = file.map(|entry| entry.unwrap().path());
    let file = files.find(|file| file.extension().is_some_and(|it| it == "json"));
    let file = file.unwrap();
    let known = std::fs::read(&file).unwrap();
    let mut known: Value = serde_json::from_slice(&known).unwrap();
    assert!(known["initialize"].is_object());
    known["discover"] = json!({"supportedVersions": ["2026-07-28"]});
    home.file(&file, known.to_string());
    home.run(&["logout", &home.url()]).await.succeeded();
    let mut app = App::start(&home, &["--no-browser"]);
    assert_eq!(app.ask(&discover(1)).await["error"]["code"], -32601);
    app.shake_hands().await;
    // What another process remembers meanwhile is kept.
    known["initialize"] = json!({});
    known["discover"] = json!({"supportedVersions": ["later"]});
    home.file(&file, known.to_string());
    app.approve().await;
    app.notification(TOOLS_CHANGED).await;
    app.hang_up().await;
    let kept = std::fs::read(&file).unwrap();
    let kept: Value = serde_json::from_slice(&kept).unwrap();
    assert_eq!(kept["discover"], known["discover"]);
    assert_ne!(kept["initialize"], known["initialize"]);
}

/// Who has begun with an older revision than the server speaks is told what helps.
#[tokio::test]
async fn a_client_that_began_before_the_revision_was_known_is_told_to_begin_again() {
    let home = Home::with(Testbed::builder().wire(Wire::Stateless)).await;
    let mut app = App::start(&home, &["--no-browser"]);
    app.shake_hands().await;
    app.approve().await;
    let text = |refused: &Value| {
        let text = refused["result"]["content"][0]["text"].as_str();
        text.unwrap().to_owned()
    };
    app.ask_until(&add(1), |refused| {
        let text = text(refused);
        let helps = text.contains("start the application again");
        assert!(helps || text.contains("login required"), "{text}");
        helps
    })
    .await;
}

#[tokio::test]
async fn a_login_from_another_window_is_found() {
    let home = Home::new().await;
    let mut app = App::start(&home, &["--no-browser"]);
    app.shake_hands().await;
    let refused = app.ask(&add(1)).await;
    assert_eq!(refused["result"]["isError"], true);
    home.login(&["notes", &home.url()]).await.succeeded();
    app.notification(TOOLS_CHANGED).await;
    assert_eq!(sum(&app.ask(&add(2)).await), Some(3));
}

/// Servers that compare redirect URIs with their ports show an error page to a client that comes from
/// another port: the proxy holds the one that was registered.
#[tokio::test]
async fn a_login_from_another_window_needs_no_port_that_the_proxy_holds() {
    let home = Home::with(Testbed::builder().exact_redirect_uris(true)).await;
    home.login(&["notes", &home.url()]).await.succeeded();
    home.run(&["logout", "notes"]).await.succeeded();
    let mut app = App::start(&home, &["--no-browser"]);
    app.shake_hands().await;
    let refused = app.ask(&add(1)).await;
    assert_eq!(refused["result"]["isError"], true);
    home.login(&["notes"]).await.succeeded();
    app.notification(TOOLS_CHANGED).await;
    assert_eq!(sum(&app.ask(&add(2)).await), Some(3));
}

#[tokio::test]
async fn a_login_from_another_window_is_found_after_one_that_was_denied() {
    let home = Home::new().await;
    let mut app = App::start(&home, &["--no-browser"]);
    app.shake_hands().await;
    let wanted = request(1, "completion/complete", &json!({}));
    let asked = url_of(&app.ask(&wanted).await).unwrap();
    drop(test_user::deny(&asked).await.unwrap());
    app.ask_until(&wanted, |refusal| url_of(refusal).is_none())
        .await;
    home.login(&["notes", &home.url()]).await.succeeded();
    // No call, only what a client asks for that sees no tools.
    let list = app.ask(&request(2, "tools/list", &json!({}))).await;
    assert_eq!(list["result"]["tools"], json!([]));
    app.notification(TOOLS_CHANGED).await;
    let list = app.ask(&request(3, "tools/list", &json!({}))).await;
    assert_eq!(list["result"]["tools"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn a_login_that_was_denied_begins_again_with_the_next_call() {
    let home = Home::new().await;
    let mut app = App::start(&home, &["--no-browser"]);
    app.shake_hands().await;
    let url = |answer: &Value| {
        let text = answer["result"]["content"][0]["text"].as_str().unwrap();
        text.split_whitespace().last().unwrap().parse::<url::Url>()
    };
    let first = url(&app.ask(&add(1)).await).unwrap();
    drop(test_user::deny(&first).await.unwrap());
    // The denial reaches the proxy when it reaches it: until then the first URL is named.
    let another = |refused: &Value| url(refused).is_ok_and(|second| second != first);
    let second = app.ask_until(&add(2), another).await;
    drop(test_user::approve(&url(&second).unwrap()).await.unwrap());
    app.notification(TOOLS_CHANGED).await;
    assert_eq!(sum(&app.ask(&add(3)).await), Some(4));
}

#[tokio::test]
async fn a_code_for_another_device_reaches_the_person_by_way_of_a_call() {
    let home = Home::with(device::devices()).await;
    let mut app = App::start(&home, &["--device"]);
    app.shake_hands().await;
    let refused = app.ask(&add(1)).await;
    let text = refused["result"]["content"][0]["text"].as_str().unwrap();
    let words = text.strip_prefix("login required: open ").unwrap();
    let (url, code) = words.split_once(" and enter the code ").unwrap();
    let entered = test_user::approve_device(&url.parse().unwrap(), code).await;
    drop(entered.unwrap());
    app.notification(TOOLS_CHANGED).await;
    assert_eq!(sum(&app.ask(&add(2)).await), Some(3));
}

#[tokio::test]
async fn a_scope_that_is_missing_is_asked_for_beside_the_call() {
    let home = Home::with(Testbed::builder().step_up(true)).await;
    home.login(&["notes", &home.url()]).await.succeeded();
    let mut app = App::ready(&home, &["--no-browser"]).await;
    let write = |id| call(id, "write_note", &json!({"text": "x"}));
    let refused = app.ask(&write(1)).await;
    let text = refused["result"]["content"][0]["text"].as_str().unwrap();
    let asked: url::Url = text.split_whitespace().last().unwrap().parse().unwrap();
    let scope = asked
        .query_pairs()
        .find(|(name, _)| name == "scope")
        .unwrap()
        .1
        .into_owned();
    assert_eq!(scope, "notes:read notes:write");
    // Meanwhile the rest goes on.
    assert_eq!(sum(&app.ask(&add(2)).await), Some(3));
    drop(test_user::approve(&asked).await.unwrap());
    let written = app
        .ask_until(&write(3), |answer| answer["result"]["isError"] == false)
        .await;
    assert_eq!(written["result"]["structuredContent"]["count"], 2);
}

#[tokio::test]
async fn a_token_that_is_refused_is_replaced_and_no_call_is_made_twice() {
    let home = Home::logged_in().await;
    let mut app = App::ready(&home, &[]).await;
    home.testbed.revoke_access_tokens();
    for id in 1..=50 {
        app.tell(&call(
            id,
            "write_note",
            &json!({"text": format!("note {id}")}),
        ))
        .await;
    }
    for id in 1..=50 {
        assert_eq!(app.answer(&json!(id)).await["result"]["isError"], false);
    }
    assert_eq!(home.testbed.token_requests("refresh_token"), 1);
    assert_eq!(home.testbed.notes().len(), 51);
}

#[tokio::test]
async fn a_server_that_refuses_every_token_does_not_make_anybody_log_in_again() {
    let home = Home::logged_in().await;
    let mut app = App::ready(&home, &[]).await;
    home.testbed.set_fault(Fault::RefusesEveryToken);
    let refused = app.ask(&add(1)).await;
    let text = refused["error"]["message"].as_str().unwrap();
    assert!(
        text.contains("refuses the token, and a fresh one too"),
        "{text}"
    );
    let asked = home
        .testbed
        .count(Peer::AuthorizationServer, "GET", "/authorize");
    assert_eq!(asked, 1);
}

#[tokio::test]
async fn a_server_that_takes_its_time_does_not_keep_a_client_waiting() {
    let home = Home::new().await;
    home.testbed
        .set_fault(Fault::Spoil(Endpoint::Mcp, Corruption::Held));
    let mut app = App::start(&home, &["--no-browser"]);
    let greeted = tokio::time::timeout(Duration::from_secs(5), app.shake_hands()).await;
    greeted.unwrap();
    home.testbed.release();
    app.approve().await;
    app.notification(TOOLS_CHANGED).await;
    assert_eq!(sum(&app.ask(&add(1)).await), Some(2));
}
