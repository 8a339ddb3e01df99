//! Tokens in the HTTP of other stacks: where they go, and what happens when they are refused.

use std::sync::Arc;

use mcp_client_oauth::{
    LoginOptions, Session, TokenSource,
    platform::{Clock as _, SystemClock},
};
use mcp_oauth_testbed::{DpopPolicy, Fault, Peer, Testbed};

use crate::support::Scene;

mod header;
mod reqwest_middleware;
mod rmcp_credentials;
mod tower;
mod websocket;

const NOTES: &str = "/mcp/notes";

async fn logged_in() -> (Scene, Arc<Session>) {
    let scene = Scene::start().await;
    let session = scene.login().await.unwrap();
    (scene, Arc::new(session))
}

/// TargetArgs tokens are bound to a key, at servers that want nonces.
async fn bound() -> (Scene, Arc<Session>) {
    let builder = Testbed::builder()
        .dpop(DpopPolicy::Required)
        .dpop_nonces_at(Peer::Mcp);
    let scene = Scene::with(builder).await;
    // A proof has the time of its making in it.
    scene.clock.set(SystemClock::default().now());
    let session = scene.login().await.unwrap();
    (scene, Arc::new(session))
}

fn url(scene: &Scene, path: &str) -> String {
    scene.server.as_url().join(path).unwrap().to_string()
}

/// How many requests there were, with a token or not.
fn seen(scene: &Scene, method: &str, path: &str) -> usize {
    scene.testbed.count(Peer::Mcp, method, path)
}

/// A person who may be asked again.
async fn interactive(scene: &Scene) -> Arc<dyn TokenSource> {
    let (platform, store) = (scene.platform.clone(), scene.store.clone());
    let opened = mcp_client_oauth::InteractiveSession::open(
        platform,
        store,
        scene.server.clone(),
        LoginOptions::default(),
    );
    Arc::new(opened.await.unwrap())
}

/// What lies elsewhere, and not at this server.
fn foreign(scene: &Scene) -> String {
    format!("{}{NOTES}", scene.testbed.issuer())
}

fn refuse_every_token(scene: &Scene) {
    scene.testbed.set_fault(Fault::RefusesEveryToken);
}
