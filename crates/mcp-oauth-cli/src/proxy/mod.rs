//! `proxy`: a stdio server for applications that support MCP over stdio only. It forwards the client's
//! messages to the remote server with an access token, and the server's messages to the client. Both
//! are forwarded byte for byte, except that a token which the server echoes is redacted.
//!
//! [`client`] handles each line of the client. [`stdio`] reads and writes the lines, [`jsonrpc`] parses a
//! message, and [`pending_requests`] holds the requests without a response. [`connection`] sends requests
//! to the server and logs in; [`upstream`] holds the transports and sessions, and [`forward`] forwards the
//! server's messages. [`offline_responses`] builds the responses without a login, and [`subscription`]
//! reports the login to a client without a session. [`listen`] does the same over HTTP. [`options`] holds
//! the settings, and [`error`] the reasons for a missing response.
//!
//! Of the rest of the command it uses the interactive login (`login_flow`, `terminal`), the lines on stderr
//! (`ui`), failures (`error`) and the commands in their hints (`hints`). It does not depend on the command
//! line or the configuration: `commands/proxy.rs` passes their values.

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

/// The number of lines that are handled concurrently; the next one waits in the pipe. It is much larger
/// than the number of concurrent requests, so that a response that a call needs is not blocked by calls
/// that wait for a request slot.
const MAX_PENDING_LINES: usize = 4096;
/// The time that pending requests may take after the end of stdin.
const RESPONSE_DRAIN_TIMEOUT: Duration = Duration::from_secs(1);
/// The time that the client may take to read the last lines.
const OUTPUT_DRAIN_TIMEOUT: Duration = Duration::from_millis(250);

/// Runs the proxy until the client ends.
pub(crate) async fn run(connection: ServerConnection, options: Options) {
    let (out, written) = Output::start();
    let clock = Arc::clone(&connection.platform().clock);
    let closing = Closing(connection.clone());
    {
        let client = Client::new(connection, out.clone(), options);
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
        () = clock.sleep(OUTPUT_DRAIN_TIMEOUT) => {}
    }
}

/// Ends a login in progress when the client ends, for whatever reason.
struct Closing(ServerConnection);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Handles lines until stdin ends or stdout is closed. Returns whether stdout is still open, so that the
/// pending requests are worth finishing.
async fn serve(client: &Client, out: &Output, work: &mut JoinSet<()>) -> bool {
    let mut lines = stdio::read_lines();
    let mut logins = client.logins();
    loop {
        tokio::select! {
            line = lines.recv(), if work.len() < MAX_PENDING_LINES => match line {
                Some(line) => client.handle_line(line, work),
                None => return true,
            },
            () = out.closed() => return false,
            Some(_done) = work.join_next() => {}
            Ok(()) = logins.changed() => client.reconnect(work),
        }
    }
}

/// Finishes the pending requests after the end of stdin, for at most [`RESPONSE_DRAIN_TIMEOUT`].
async fn finish(client: &Client, work: &mut JoinSet<()>) {
    tracing::debug!("the client has ended");
    let drain = async {
        while work.join_next().await.is_some() {}
        // In the transport of 2024-11-05 a response arrives on the stream after its task has ended.
        client.wait_for_responses().await;
    };
    tokio::select! {
        () = drain => {}
        () = client.clock().sleep(RESPONSE_DRAIN_TIMEOUT) => {}
    }
    client.end().await;
}
