//! `paste`: the URL that a browser on another machine ended on, for a login that waits on this one
//! and cannot be typed at: that of a proxy, say.

use std::{
    io::{BufRead as _, Read as _, stdin},
    path::Path,
    time::Duration,
};

use http::{Method, StatusCode};
use mcp_client_oauth::{
    Secret, ServerUrl,
    error::HttpErrorKind,
    platform::{AddressSpace, Request},
    proto::untrusted_text::UntrustedText,
};
use serde_json::json;
use url::Url;

use crate::{
    context::Context,
    error::{Exit, Failure},
    ui::GOOD,
};

/// The longest URL.
const LONGEST: u64 = 64 * 1024;

/// Says how long the login may take to take it.
const TIMEOUT: Duration = Duration::from_secs(5);

pub(super) async fn run(context: &Context) -> Result<Exit, Failure> {
    let url = callback(&read(context)?)?;
    let place = url.origin().ascii_serialization();
    let error = url.query_pairs().find(|(name, _)| name == "error");
    let error = error.map(|(_, error)| UntrustedText::new(&error).to_string());
    let mut request = Request::new(Method::GET, url, AddressSpace::Loopback);
    request.deadline = TIMEOUT;
    request.head_only = true;
    let response = context.platform.http.send(request).await;
    let response = response.map_err(|error| match error.cause {
        HttpErrorKind::Connect(_) => Failure::other(
            "paste",
            format!("no login waits at {place} on this machine"),
            Some("run this where the login waits, while it does".to_owned()),
        ),
        _ => error.into(),
    })?;
    if response.status != StatusCode::SEE_OTHER {
        return Err(Failure::other(
            "paste",
            format!("the login that waits at {place} does not take this URL"),
            Some("it belongs to another try: log in by the URL that is shown now".to_owned()),
        ));
    }
    let document = json!({ "handed_over": true, "error": error });
    context.ui.result(&document, || match &error {
        None => format!("{GOOD}Handed over{GOOD:#}: the login goes on where it waits"),
        Some(error) => format!("Handed over: the server has refused the login (`{error}`)"),
    });
    Ok(Exit::Done)
}

/// There is a code in it, so it is no argument: others can see those.
fn read(context: &Context) -> Result<Secret<String>, Failure> {
    if Context::is_interactive() {
        context
            .ui
            .say("The URL of the page that the browser ended on:");
    }
    let mut line = String::new();
    let read = stdin().lock().take(LONGEST).read_line(&mut line);
    let line = Secret::new(line);
    read.map_err(|error| Failure::file("read", Path::new("stdin"), &error))?;
    Ok(line)
}

/// Returns the place where a login waits is on this machine, and its browser was told so.
fn callback(text: &Secret<String>) -> Result<Url, Failure> {
    let elsewhere = || {
        Failure::usage(
            "that is not the URL of a page on 127.0.0.1 or localhost",
            "paste all that is in the address bar of the browser when it has logged in",
        )
    };
    let server: ServerUrl = text.expose().trim().parse().map_err(|_| elsewhere())?;
    if !server.is_loopback() || server.as_url().query().is_none() {
        return Err(elsewhere());
    }
    Ok(server.as_url().clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callback_leads_to_this_machine() {
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
