//! Hands the URL of a callback over to a login that waits on this machine, such as that of a proxy, which has
//! no terminal. The browser that ended on the URL runs on another machine.

use std::time::Duration;

use http::{Method, StatusCode};
use mcp_client_oauth::{
    error::{HttpErrorKind, UntrustedText},
    platform::{AddressSpace, Request},
};
use serde_json::json;
use url::Url;

use crate::{
    context::Context,
    error::{Exit, Failure},
    servers::is_loopback,
    ui::GOOD,
};

/// The longest time for the login to accept the URL.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Hands over a URL on loopback. Returns `None` if no login waits there.
pub(super) async fn hand_over(context: &Context, url: Url) -> Result<Option<Exit>, Failure> {
    if url.scheme() != "http" || !is_loopback(&url) {
        return Ok(None);
    }
    let origin = url.origin().ascii_serialization();
    let error = url.query_pairs().find(|(name, _)| name == "error");
    let error = error.map(|(_, error)| UntrustedText::new(&error).to_string());
    let mut request = Request::new(Method::GET, url, AddressSpace::Loopback);
    request.deadline = TIMEOUT;
    request.head_only = true;
    let response = match context.platform.http.send(request).await {
        Err(error) if matches!(error.cause, HttpErrorKind::Connect(_)) => return Ok(None),
        response => response?,
    };
    if response.status != StatusCode::SEE_OTHER {
        return Err(Failure::other(
            "login_complete",
            format!("the login that waits at {origin} does not accept this URL"),
            Some("it belongs to another login: open the URL that is shown now".to_owned()),
        ));
    }
    let document = json!({ "handed_over": true, "error": error });
    context.ui.result(&document, || match &error {
        None => format!("{GOOD}Handed over{GOOD:#} to the login that waits"),
        Some(error) => format!("Handed over: the server refused the login (`{error}`)"),
    });
    Ok(Some(Exit::Done))
}
