//! Several applications, one server, one login.

use mcp_oauth_testbed::Peer;
use serde_json::json;

use super::{App, add, sum};
use crate::support::Home;

const PROXIES: u64 = 24;

#[tokio::test]
async fn many_proxies_on_one_expired_login_cause_one_refresh() {
    let home = Home::logged_in().await;
    home.testbed.revoke_access_tokens();
    let mut apps: Vec<_> = (0..PROXIES).map(|_| App::start(&home, &[])).collect();
    for app in &mut apps {
        app.send(&super::initialize(0)).await;
    }
    for app in &mut apps {
        let response = app.response(&json!(0)).await;
        assert_eq!(
            response["result"]["protocolVersion"], "2025-11-25",
            "{response}"
        );
        app.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))
            .await;
        app.send(&add(1)).await;
    }
    for app in &mut apps {
        assert_eq!(sum(&app.response(&json!(1)).await), Some(2));
    }
    assert_eq!(home.testbed.token_requests("refresh_token"), 1);
    for app in &mut apps {
        assert_eq!(app.close().await, 0);
    }
}

#[tokio::test]
async fn many_proxies_without_a_login_start_one_login() {
    let home = Home::new().await;
    let mut apps: Vec<_> = (0..PROXIES / 4)
        .map(|_| App::start(&home, &["--no-browser"]))
        .collect();
    for app in &mut apps {
        app.handshake().await;
    }
    let mut asked = None;
    for app in &mut apps {
        let refused = app.request(&add(1)).await;
        let text = refused["result"]["content"][0]["text"]
            .as_str()
            .unwrap()
            .to_owned();
        let url = text
            .split_whitespace()
            .last()
            .unwrap()
            .parse::<url::Url>()
            .ok();
        assert!(
            url.is_some() || text.contains("in another window"),
            "{text}"
        );
        asked = asked.or(url);
    }
    drop(
        mcp_oauth_testbed::test_user::approve(&asked.unwrap())
            .await
            .unwrap(),
    );
    for app in &mut apps {
        app.notification("notifications/tools/list_changed").await;
        assert_eq!(sum(&app.request(&add(2)).await), Some(3));
    }
    let exchanges = home.testbed.token_requests("authorization_code");
    let registered = home
        .testbed
        .count(Peer::AuthorizationServer, "POST", "/register");
    assert_eq!((exchanges, registered), (1, 1));
}
