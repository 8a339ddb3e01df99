//! One process of a herd: it has a session over the store that all share, and does what it is told.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use http::HeaderValue;
use mcp_client_oauth::{
    Session, TokenSource as _, TokenStore,
    platform::{HttpClient, HttpError, Platform, Request, ReqwestClient, Response},
    proto::challenge::Challenge,
    store::LoginKey,
    testing::{ManualClock, RecordedInteraction},
};
use tokio::process::Command;

use super::{
    place,
    process::{again, orders, say, variable},
};
use crate::support::the_time;

const SERVER: &str = "MCP_OAUTH_TEST_SERVER";
const NAME: &str = "MCP_OAUTH_TEST_NAME";
/// By it the testbed's record tells who sent what.
pub(crate) const SENDER: &str = "x-sender";

/// The command that starts a member, but for its place.
pub(crate) fn member(name: &str, server: &str) -> Command {
    let mut command = again("herd::member::a_member_does_what_it_is_told");
    command.env(NAME, name).env(SERVER, server);
    command
}

/// A network in which each request says whose it is.
pub(crate) struct Signed(HeaderValue, ReqwestClient);

impl Signed {
    pub(crate) fn platform(name: &str, clock: &ManualClock) -> Platform {
        let http = Self(name.parse().unwrap(), ReqwestClient::default());
        let person = RecordedInteraction::default();
        Platform::new(Arc::new(http), Arc::new(clock.clone()), Arc::new(person))
    }
}

#[async_trait]
impl HttpClient for Signed {
    async fn send(&self, mut request: Request) -> Result<Response, HttpError> {
        request.headers.insert(SENDER, self.0.clone());
        self.1.send(request).await
    }
}

/// The time, in the seconds of the herd.
pub(crate) fn at(seconds: u64) -> SystemTime {
    the_time() + Duration::from_secs(seconds)
}

/// Does nothing unless a herd started this process. While it waits for an order its one worker
/// thread does what is still to be done.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_member_does_what_it_is_told() {
    let Some(name) = variable(NAME) else { return };
    obey(&name, place::of_this_process()).await;
}

async fn obey(name: &str, store: TokenStore) {
    let clock = ManualClock::new(the_time());
    let key = LoginKey::new(variable(SERVER).unwrap().parse().unwrap());
    let platform = Signed::platform(name, &clock);
    let session = Session::open(platform, store.clone(), key).await.unwrap();
    let session = session.expect("somebody has logged in");
    let mut token = session.record().tokens.access_token;
    let mut is_refused = false;
    say("ready");
    for order in orders() {
        let (verb, seconds) = order.split_once(' ').unwrap();
        clock.set(at(seconds.parse().unwrap()));
        match verb {
            "token" => is_refused = false,
            "replace" => is_refused = true,
            // Who has a new token already keeps it.
            "again" => {}
            _ => panic!("what is {verb}?"),
        }
        let response = if is_refused {
            session
                .refresh_after_rejection(&token, &Challenge::default())
                .await
        } else {
            session.token().await
        };
        match response {
            Ok(new) => {
                say(&format!("token {}", new.expose()));
                (token, is_refused) = (new, false);
            }
            Err(error) => say(&format!("error {:?}: {error}", error.remedy())),
        }
        // A lease that is not given back yet keeps the others waiting.
        store.flush().await;
    }
}
