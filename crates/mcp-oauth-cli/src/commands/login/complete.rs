//! `login --complete`: completes a login with the URL that its browser ended on. It was begun by
//! `login --no-wait`, or waits on this machine.

use std::{
    io::{BufRead as _, Read as _, stdin},
    path::Path,
};

use mcp_client_oauth::{Error, Secret, error::AuthorizationError};
use url::Url;

use super::{begun::BegunLogin, conclude::conclude, hand_over::hand_over};
use crate::{
    context::{Context, is_url, unknown_name},
    error::{Exit, Failure},
};

/// The longest URL in bytes.
const LONGEST: u64 = 64 * 1024;

pub(in crate::commands) async fn complete(
    context: &Context,
    name: Option<&str>,
) -> Result<Exit, Failure> {
    if name.is_some_and(is_url) {
        return Err(Failure::usage(
            "the URL of a callback must not be an argument: other users of the machine can see arguments",
            "enter it after this command, or pipe it to it: mcp-oauth login --complete",
        ));
    }
    // Before anything is awaited, so that Ctrl-C ends the prompt.
    let url = callback(&read()?)?;
    let store = context.store().await?;
    let begun = BegunLogin::find(&store, name).await?;
    let client = context.client(store.clone());
    let mut refusal = AuthorizationError::NotPending;
    for login in &begun {
        match client.finish(&url, &login.browser_secret).await {
            Ok(session) => {
                login.remove(&store).await;
                return conclude(context, &login.name, login.server.clone(), &session);
            }
            // Nothing was changed: the URL may belong to a login of another name.
            Err(Error::Authorization(AuthorizationError::NotPending)) => {}
            Err(Error::Authorization(other @ AuthorizationError::OtherBrowser)) => refusal = other,
            Err(error) => return Err(refused(context, error, Some(login))),
        }
    }
    if let Some(name) = name
        && begun.is_empty()
    {
        let servers = context.servers()?;
        if servers.find(name).is_none() {
            return Err(unknown_name(name, &servers));
        }
    } else if name.is_none()
        && matches!(refusal, AuthorizationError::NotPending)
        && let Some(exit) = hand_over(context, url).await?
    {
        return Ok(exit);
    }
    let only = if let [only] = &begun[..] {
        Some(only)
    } else {
        None
    };
    Err(refused(context, refusal.into(), only))
}

/// Returns the failure with the command that begins the login again, if that is what the user has to do.
fn refused(context: &Context, error: Error, begun: Option<&BegunLogin>) -> Failure {
    let is_of_other = matches!(
        error,
        Error::Authorization(AuthorizationError::OtherBrowser)
    );
    let rendered = Failure::from(error).render(Some(&context.known_subject()));
    let again = begun.filter(|_| rendered.exit == Exit::LogIn);
    let again = again.map(|begun| begun.command.clone());
    let again = again.or(rendered.hint);
    // The library speaks of a browser, which stands for the secret of a begun login here.
    let (message, hint) = if is_of_other {
        let message = "this URL belongs to another login, or to one that was begun again since";
        let hint = again
            .map(|again| format!("open the URL that was printed last, or begin again: {again}"));
        (message.to_owned(), hint)
    } else {
        (rendered.message, again)
    };
    Failure::Other {
        code: rendered.code,
        message,
        hint,
        exit: rendered.exit,
    }
}

/// Reads the URL. It has an authorization code, so it is not an argument, which other users can see, and it is
/// not echoed.
fn read() -> Result<Secret<String>, Failure> {
    let failed = |error| Failure::file("read", Path::new("stdin"), &error);
    if Context::is_interactive() {
        let prompt = "URL of the page that the browser ended on (it is not shown): ";
        return rpassword::prompt_password(prompt)
            .map(Secret::new)
            .map_err(failed);
    }
    let mut line = String::new();
    let read = stdin().lock().take(LONGEST).read_line(&mut line);
    let line = Secret::new(line);
    read.map_err(failed)?;
    Ok(line)
}

/// Parses the URL of a callback, which has the `state` of its login (RFC 6749 §4.1.2).
fn callback(text: &Secret<String>) -> Result<Url, Failure> {
    let url: Option<Url> = text.expose().trim().parse().ok();
    let has_state = |url: &Url| url.query_pairs().any(|(name, _)| name == "state");
    url.filter(has_state).ok_or_else(|| {
        Failure::usage(
            "cannot complete the login: the input is not the URL of a callback",
            "copy the whole address bar of the browser at the end of the login",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callback_is_a_url_with_a_state() {
        let read = |text: &str| callback(&Secret::new(text.to_owned()));
        for good in [
            "http://127.0.0.1:41234/callback?code=c&state=s",
            " http://localhost:41234/callback?error=access_denied&state=s ",
            "https://app.example/callback?state=s&code=c",
            "com.example.app:/callback?code=c&state=s",
        ] {
            assert!(read(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "http://127.0.0.1:41234/callback",
            "https://as.example/callback?code=c",
            "/callback?code=c&state=s",
            "code=c&state=s",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
