//! `login --complete`: completes a login that waits on this machine, with the URL that a browser on another
//! machine ended on. It is for a login without a terminal, such as that of a proxy.

use std::{
    io::{BufRead as _, Read as _, stdin},
    path::Path,
    time::Duration,
};

use http::{Method, StatusCode};
use mcp_client_oauth::{
    Secret, ServerUrl,
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

/// The longest URL in bytes.
const LONGEST: u64 = 64 * 1024;

/// The longest time for the login to accept the URL.
const TIMEOUT: Duration = Duration::from_secs(5);

pub(in crate::commands) async fn complete(context: &Context) -> Result<Exit, Failure> {
    let url = callback(&read(context)?)?;
    let origin = url.origin().ascii_serialization();
    let error = url.query_pairs().find(|(name, _)| name == "error");
    let error = error.map(|(_, error)| UntrustedText::new(&error).to_string());
    let mut request = Request::new(Method::GET, url, AddressSpace::Loopback);
    request.deadline = TIMEOUT;
    request.head_only = true;
    let response = context.platform.http.send(request).await;
    let response = response.map_err(|error| match error.cause {
        HttpErrorKind::Connect(_) => Failure::other(
            "login_complete",
            format!("no login waits at {origin} on this machine"),
            Some("run this on the machine where the login waits, before it times out".to_owned()),
        ),
        _ => error.into(),
    })?;
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
    Ok(Exit::Done)
}

/// Reads the URL. It has an authorization code, so it is not an argument: other users can see arguments.
fn read(context: &Context) -> Result<Secret<String>, Failure> {
    if Context::is_interactive() {
        context
            .ui
            .say("Enter the URL of the page that the browser ended on:");
    }
    let mut line = String::new();
    let read = stdin().lock().take(LONGEST).read_line(&mut line);
    let line = Secret::new(line);
    read.map_err(|error| Failure::file("read", Path::new("stdin"), &error))?;
    Ok(line)
}

/// Parses the URL of a callback: a login waits on this machine, at a loopback address with parameters.
fn callback(text: &Secret<String>) -> Result<Url, Failure> {
    let not_callback = || {
        Failure::usage(
            "cannot complete the login: the input is not the URL of a callback on 127.0.0.1 or localhost",
            "copy the whole address bar of the browser at the end of the login",
        )
    };
    let server: ServerUrl = text.expose().trim().parse().map_err(|_| not_callback())?;
    if !is_loopback(server.as_url()) || server.as_url().query().is_none() {
        return Err(not_callback());
    }
    Ok(server.as_url().clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callback_is_a_loopback_url_with_parameters() {
        let read = |text: &str| callback(&Secret::new(text.to_owned()));
        for good in [
            "http://127.0.0.1:41234/callback?code=c&state=s",
            " http://localhost:41234/callback?error=access_denied&state=s ",
            "http://[::1]:41234/callback?code=c&state=s",
        ] {
            assert!(read(good).is_ok(), "{good}");
        }
        for bad in [
            "http://127.0.0.1:41234/callback",
            "https://elsewhere.example/callback?code=c&state=s",
            "http://elsewhere.example/callback?code=c&state=s",
            "app://callback?code=c",
            "code=c&state=s",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
