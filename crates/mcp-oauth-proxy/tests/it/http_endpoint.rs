//! The endpoint on loopback.

use std::{io::Write as _, net::SocketAddr};

use mcp_client_oauth::Secret;
use mcp_oauth_proxy::{Proxy, ProxyError};
use mcp_oauth_testbed::Testbed;
use tokio::{net::TcpListener, task::JoinHandle};

use crate::support::{bounded, client};

async fn listen(proxy: Proxy) -> (SocketAddr, JoinHandle<Result<(), ProxyError>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (address, tokio::spawn(proxy.serve_http(listener)))
}

#[tokio::test]
async fn requests_get_the_token_and_need_the_endpoints_own() {
    let testbed = Testbed::start().await.unwrap();
    let (client, _, server) = client(&testbed);
    client.login(&server).await.unwrap();
    let proxy = Proxy::builder(&client, &server).bearer_token(Secret::new("own".to_owned()));
    let (address, serving) = listen(proxy.build().await.unwrap()).await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut body = Vec::new();
    write!(
        body,
        r#"{{"jsonrpc":"2.0","id":1,"method":"initialize","params":{{"protocolVersion":"2025-11-25","capabilities":{{}}}}}}"#
    )
    .unwrap();
    let post = |bearer: &str| {
        http.post(format!("http://{address}/"))
            .bearer_auth(bearer)
            .header("accept", "application/json, text/event-stream")
            .header("content-type", "application/json")
            .body(body.clone())
            .send()
    };
    assert_eq!(bounded(post("other")).await.unwrap().status(), 401);
    let response = bounded(post("own")).await.unwrap();
    assert_eq!(response.status(), 200);
    let text = response.text().await.unwrap();
    assert!(text.contains("protocolVersion"), "{text}");
    serving.abort();
}

#[tokio::test]
async fn other_machines_are_not_served() {
    let testbed = Testbed::start().await.unwrap();
    let (client, _, server) = client(&testbed);
    let proxy = Proxy::builder(&client, &server).build().await.unwrap();
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let error = bounded(proxy.serve_http(listener)).await.unwrap_err();
    assert!(matches!(error, ProxyError::NotLoopback(_)), "{error}");
}

#[tokio::test]
async fn an_endpoint_does_not_pretend_to_hide_tools() {
    let testbed = Testbed::start().await.unwrap();
    let (client, _, server) = client(&testbed);
    let proxy = Proxy::builder(&client, &server).hide_tools(["add"]);
    let (_, serving) = listen(proxy.build().await.unwrap()).await;
    let error = bounded(serving).await.unwrap().unwrap_err();
    assert!(matches!(error, ProxyError::CannotHideTools), "{error}");
}
