//! `proxy`: a server for applications that speak MCP over stdio alone. What the client writes goes
//! to the server with a token, and what the server says goes to the client: byte for byte, but for a
//! token that it echoes.
//!
//! [`client`] decides about each line. [`stdio`] is the side of the application, [`jsonrpc`] a message,
//! and [`pending_requests`] holds the requests without a response yet. [`connection`] sends to the server
//! and logs in; [`upstream`] holds its transports and sessions, and [`forward`] passes on what it says.
//! [`offline_responses`] is what the client gets without a login, and [`subscription`] how it learns of
//! the login without a session. [`listen`] is the same over HTTP. [`options`] is what may be chosen, and
//! [`error`] why there is no response.
//!
//! Of the rest of the command it uses the login that asks the user (`login_flow`, `terminal`), the lines
//! on stderr (`ui`), failures (`error`) and the commands in their hints (`hints`). It knows neither the
//! command line nor the configuration: `commands/proxy.rs` hands over what they say.

use std::{sync::Arc, time::Duration};

use tokio::task::JoinSet;

mod client;
pub(crate) mod connection;
mod error;
mod filter;
mod forward;
mod header_params;
mod jsonrpc;
mod legacy_sse;
pub(crate) mod listen;
mod offline_responses;
mod options;
mod pending_requests;
mod stdio;
mod subscription;
mod upstream;

pub(crate) use filter::Filter;
pub(crate) use options::{Limits, Options, Transport};

use client::Client;
use connection::ServerConnection;
use stdio::Output;

/// Says how many lines are under way at once: the next waits in the pipe. They are far more than requests
/// have places, so that an answer that a call needs gets past the calls that wait for theirs.
const UNDER_WAY: usize = 4096;
/// Says how long what is under way may take after the client's end.
const LAST_ANSWERS: Duration = Duration::from_secs(1);
/// Says how long the last lines may take to be read.
const LAST_LINES: Duration = Duration::from_millis(250);

/// Speaks for the server until the client is gone.
pub(crate) async fn run(door: ServerConnection, options: Options) {
    let (out, written) = Output::start();
    let clock = Arc::clone(&door.platform().clock);
    let closing = Closing(door.clone());
    {
        let client = Client::new(door, out.clone(), options);
        let mut work = JoinSet::new();
        let serving = async {
            if serve(&client, &out, &mut work).await {
                finish(&client, &mut work).await;
            }
        };
        tokio::select! {
            () = serving => {}
            () = client.listen() => {}
        }
        work.shutdown().await;
    }
    drop((closing, out));
    // The thread that writes ends with its last sender.
    tokio::select! {
        _written = written => {}
        () = clock.sleep(LAST_LINES) => {}
    }
}

/// A login that is under way ends with the client, however that ends.
struct Closing(ServerConnection);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Until stdin ends, or nobody reads stdout any more: then there is nobody to finish for.
async fn serve(client: &Client, out: &Output, work: &mut JoinSet<()>) -> bool {
    let mut lines = stdio::input();
    let mut logins = client.logins();
    loop {
        tokio::select! {
            line = lines.recv(), if work.len() < UNDER_WAY => match line {
                Some(line) => client.take(line, work),
                None => return true,
            },
            () = out.closed() => return false,
            Some(_done) = work.join_next() => {}
            Ok(()) = logins.changed() => client.go_on(work),
        }
    }
}

/// The client has said all: that may still be sent, and what it waits for may come, for a moment.
async fn finish(client: &Client, work: &mut JoinSet<()>) {
    tracing::debug!("the client has ended");
    let last_answers = async {
        while work.join_next().await.is_some() {}
        // On a stream of 2024-11-05 an answer comes after all work for it is done.
        client.all_answered().await;
    };
    tokio::select! {
        () = last_answers => {}
        () = client.clock().sleep(LAST_ANSWERS) => {}
    }
    client.end().await;
}
