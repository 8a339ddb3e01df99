//! A server of the MCP revision 2025-03-26: the question whether to trust its metadata.

use std::io::{IsTerminal as _, stderr, stdin};

use mcp_client_oauth::{Error, error::DiscoveryError};
use tokio::sync::oneshot;

use crate::{context::Context, ui::HEAD};

/// Asks on the terminal whether metadata of the revision 2025-03-26 may be used, if the login failed for
/// lack of it. Without a terminal, and without a clear yes, it may not.
///
/// Without protected resource metadata (RFC 9728) the only link between the authorization server and the
/// MCP server is their common origin. On a host that several parties share, that proves nothing, so the
/// user decides, once for each name.
pub(super) async fn is_accepted(context: &Context, error: &Error) -> bool {
    let Error::Discovery(DiscoveryError::LegacyMetadata {
        server,
        url,
        issuer,
        ..
    }) = error
    else {
        return false;
    };
    if !stdin().is_terminal() || !stderr().is_terminal() {
        return false;
    }
    context.ui.say(format_args!(
        "{server} has no protected resource metadata (RFC 9728). Its own origin has metadata of an \
         authorization server, as in MCP 2025-03-26:\n\n  {}\n\nUse the authorization server \
         {HEAD}{issuer}{HEAD:#}? y/N",
        context.ui.link(url)
    ));
    let line = read_line().await;
    matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

/// Reads on a separate thread, because a read from a terminal cannot be cancelled, and Ctrl-C must still end
/// the command. The end of the input is an empty line.
async fn read_line() -> String {
    let (sender, line) = oneshot::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        // A failed read counts as no.
        let _is_read = stdin().read_line(&mut line);
        let _waits = sender.send(line);
    });
    line.await.unwrap_or_default()
}
