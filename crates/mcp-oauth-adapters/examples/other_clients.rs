//! Tokens for other HTTP stacks: a `tower` service, `reqwest-middleware` and a WebSocket.
//!
//! It runs offline: `cargo run -p mcp-oauth-adapters --example other_clients --all-features`.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example prints its results"
)]

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http_body_util::Empty;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use mcp_client_oauth::Session;
use mcp_oauth_adapters::{
    reqwest_middleware::AuthorizedMiddleware, tower::AuthorizedLayer, websocket,
};
use mcp_oauth_testbed::Testbed;
use tokio_tungstenite::tungstenite::Message;
use tower::{Layer as _, ServiceExt as _};

#[path = "../../mcp-client-oauth/examples/support/mod.rs"]
mod support;

type Outcome = Result<(), Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main]
pub(crate) async fn main() -> Outcome {
    let testbed = Testbed::start().await?;
    let server = testbed.server_url().to_string();
    let server = server.as_str();
    let session = support::builder().build().await?.login(server).await?;
    let notes = format!("{server}/notes");

    tower(session.clone(), &notes).await?;
    // Each adapter refreshes a token that is refused, and sends the request again if it can be copied.
    testbed.revoke_access_tokens();
    middleware(session.clone(), &notes).await?;
    testbed.revoke_access_tokens();
    socket(&session, &format!("{server}/socket")).await?;
    println!("{} refreshes", testbed.token_requests("refresh_token"));
    Ok(())
}

/// Any service of `http::Request`; this one is hyper's.
async fn tower(session: Session, notes: &str) -> Outcome {
    let hyper = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let client = AuthorizedLayer::new(session).layer(hyper);
    let request = http::Request::get(notes).body(Empty::new())?;
    println!("tower: {}", client.oneshot(request).await?.status());
    Ok(())
}

async fn middleware(session: Session, notes: &str) -> Outcome {
    // A redirect would send the token to another URL.
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    let client = reqwest_middleware::ClientBuilder::new(http.build()?)
        .with(AuthorizedMiddleware::new(session))
        .build();
    println!(
        "reqwest-middleware: {}",
        client.get(notes).send().await?.status()
    );
    Ok(())
}

async fn socket(session: &Session, url: &str) -> Outcome {
    let url = url.replacen("http", "ws", 1);
    let (mut socket, _) = websocket::connect(session, url).await?;
    socket.send(Message::text("hello")).await?;
    let echo = socket.next().await.ok_or("the socket is closed")??;
    println!("websocket: {echo}");
    socket.close(None).await?;
    Ok(())
}
