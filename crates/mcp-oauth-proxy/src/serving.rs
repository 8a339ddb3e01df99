//! Serves a client until it ends.

use std::{sync::Arc, time::Duration};

use tokio::{sync::mpsc, task::JoinSet};

use crate::{
    connection::ServerConnection,
    lines::{Line, Lines, Output},
    mcp_client::McpClient,
    settings::Settings,
};

/// The number of lines that are handled concurrently; the next one waits in the pipe. It is much larger
/// than the number of concurrent requests, so that a response that a call needs is not blocked by calls
/// that wait for a request slot.
const MAX_PENDING_LINES: usize = 4096;
/// The time that pending requests may take after the end of the input.
const RESPONSE_DRAIN_TIMEOUT: Duration = Duration::from_secs(1);
/// The time that the client may take to read the last lines.
const OUTPUT_DRAIN_TIMEOUT: Duration = Duration::from_millis(250);

/// Serves the client of these lines until it ends.
pub(crate) async fn serve(connection: ServerConnection, settings: Settings, lines: Lines) {
    let Lines {
        mut input,
        out,
        written,
        tasks,
    } = lines;
    let clock = Arc::clone(&connection.platform().clock);
    {
        let client = McpClient::new(connection, out.clone(), settings);
        let mut work = JoinSet::new();
        let serving = async {
            if handle_lines(&client, &mut input, &out, &mut work).await {
                finish(&client, &mut work).await;
            }
        };
        tokio::select! {
            () = serving => {}
            () = client.listen() => {}
        }
        work.shutdown().await;
    }
    drop(out);
    // The writer ends with its last sender.
    tokio::select! {
        _written = written => {}
        () = clock.sleep(OUTPUT_DRAIN_TIMEOUT) => {}
    }
    drop(tasks);
}

/// Handles lines until the client ends or stops reading. Returns whether it still reads, so that the
/// pending requests are worth finishing.
async fn handle_lines(
    client: &McpClient,
    lines: &mut mpsc::Receiver<Line>,
    out: &Output,
    work: &mut JoinSet<()>,
) -> bool {
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

/// Finishes the pending requests after the end of the input, for at most [`RESPONSE_DRAIN_TIMEOUT`].
async fn finish(client: &McpClient, work: &mut JoinSet<()>) {
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
