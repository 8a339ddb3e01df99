//! `request`: sends one request with the token, as curl would.

use std::{borrow::Cow, io::Read as _, path::Path};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use mcp_client_oauth::{
    Error, ServerUrl, Session,
    error::{AuthorizationError, UntrustedText},
    flow::{Scope, TokenSet},
    platform::Response,
};
use mcp_oauth_support::redact::Redactor;
use serde_json::{Value, json};
use url::Url;

use crate::{
    args::{Request, TargetArgs},
    context::{Context, is_url, record},
    error::{Exit, Failure},
};

pub(super) async fn run(context: &Context, typed: &Request) -> Result<Exit, Failure> {
    let target = context.target(&TargetArgs {
        server: typed.server.clone(),
        account: typed.account.clone(),
    })?;
    let body = typed.data.as_deref().map(body).transpose()?;
    let (method, url) = method_and_url(typed, target.key.server(), body.is_some())?;
    let headers = typed.headers.iter().map(|text| parse_header(text));
    let headers = headers.collect::<Result<Vec<_>, _>>()?;
    let session = context.session(&target).await?;
    let mut request = session.request(method, url).timeout(typed.timeout);
    if body.is_some() && !headers.iter().any(|(name, _)| name == header::CONTENT_TYPE) {
        request = request.header(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
    }
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request
        .body(body.unwrap_or_default())
        .retry_on_401(!typed.no_retry);
    let spinner = context.ui.spinner("waiting for the server");
    let response = request.send().await;
    drop(spinner);
    let response = response.map_err(|error| with_wider_scope(error, &session))?;
    print(context, typed, &response, &record(&session)?.tokens);
    Ok(exit_of(response.status))
}

/// Returns the method and the URL; the default method is `GET`, or `POST` with a body.
fn method_and_url(
    typed: &Request,
    server: &ServerUrl,
    has_body: bool,
) -> Result<(Method, Url), Failure> {
    let (method, text) = match typed.what.as_slice() {
        [method, url] => {
            let bad = || {
                Failure::usage(
                    format!("`{}` is not an HTTP method", UntrustedText::new(method)),
                    "use a method such as GET",
                )
            };
            (
                Method::from_bytes(method.as_bytes()).map_err(|_| bad())?,
                url,
            )
        }
        [url] if has_body => (Method::POST, url),
        [url] => (Method::GET, url),
        _ => {
            return Err(Failure::usage(
                "a URL is needed",
                "mcp-oauth request NAME URL",
            ));
        }
    };
    Ok((method, resolve(server, text)?))
}

/// Resolves a whole URL; a path from the root of the host; or a path below the URL of the server.
fn resolve(server: &ServerUrl, text: &str) -> Result<Url, Failure> {
    let base = server.as_url();
    let resolved = if is_url(text) {
        Url::parse(text)
    } else if text.starts_with('/') {
        base.join(text)
    } else {
        let mut below = base.clone();
        below.set_query(None);
        below.set_path(&format!("{}/", base.path().trim_end_matches('/')));
        below.join(&format!("./{text}"))
    };
    resolved.map_err(|error| {
        Failure::usage(
            format!("`{}` is not a URL: {error}", UntrustedText::new(text)),
            "give a whole URL, or a path at the server",
        )
    })
}

fn parse_header(text: &str) -> Result<(HeaderName, HeaderValue), Failure> {
    let parsed = text.split_once(':').and_then(|(name, value)| {
        let name = HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
        Some((name, HeaderValue::from_str(value.trim()).ok()?))
    });
    match parsed {
        Some((name, _)) if name == header::AUTHORIZATION => Err(Failure::usage(
            "cannot set the Authorization header: it has the token of the login",
            "leave the header out",
        )),
        Some(parsed) => Ok(parsed),
        // The value may be a secret: it is not repeated (CWE-532).
        None => Err(Failure::usage(
            "a header must be `Name: value`",
            "use a header such as -H 'Accept: text/csv'",
        )),
    }
}

fn body(data: &str) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    match data.strip_prefix('@') {
        Some(file) => {
            return std::fs::read(file)
                .map_err(|error| Failure::file("read", Path::new(file), &error));
        }
        None if data == "-" => {
            let read = std::io::stdin().lock().read_to_end(&mut bytes);
            read.map_err(|error| Failure::file("read", Path::new("stdin"), &error))?;
        }
        None => bytes.extend_from_slice(data.as_bytes()),
    }
    Ok(bytes)
}

/// Adds the granted scope to the missing one in the error: a login for the missing scope alone would lose
/// the granted one.
fn with_wider_scope(error: Error, session: &Session) -> Error {
    match error {
        Error::Authorization(AuthorizationError::ScopeNotGranted { server, scope }) => {
            let record = session.record();
            let had = record.and_then(|record| record.tokens.scope.or(record.requested));
            let scope = Scope::union_of(had.as_ref(), Some(&scope)).unwrap_or(scope);
            AuthorizationError::ScopeNotGranted { server, scope }.into()
        }
        other => other,
    }
}

fn exit_of(status: StatusCode) -> Exit {
    match status.as_u16() {
        401 => Exit::LogIn,
        429 | 503 => Exit::Later,
        400.. => Exit::Failed,
        _ => Exit::Done,
    }
}

fn print(context: &Context, typed: &Request, response: &Response, tokens: &TokenSet) {
    let ui = &context.ui;
    let refresh_token = tokens.refresh_token.iter();
    let secrets = refresh_token.map(|token| token.expose().as_str());
    let redactor = Redactor::new(secrets.chain([tokens.access_token.expose()]));
    let has_token = if ui.is_json() {
        let (document, has_token) = document(response, &redactor);
        ui.result(&document, String::new);
        has_token
    } else {
        let head = if typed.include {
            let head = head(response);
            let clean = redactor.redact(&head);
            ui.line(&format!("{}\n", UntrustedText::escape_lines(&clean)));
            matches!(clean, Cow::Owned(_))
        } else {
            if response.status.as_u16() >= 400 {
                ui.say(format_args!(
                    "the server responded with HTTP {}",
                    response.status
                ));
            }
            false
        };
        let body = redactor.redact_bytes(&response.body);
        print_body(context, &body);
        head || matches!(body, Cow::Owned(_))
    };
    if has_token {
        ui.warn("the response contains a token of this login: it is redacted");
    }
}

fn print_body(context: &Context, body: &[u8]) {
    let ui = &context.ui;
    match std::str::from_utf8(body) {
        Ok(text) if ui.is_terminal() => ui.line(&UntrustedText::escape_lines(text)),
        Err(_) if ui.is_terminal() => {
            ui.say(format_args!(
                "the body is binary ({} bytes): redirect it to a file with `> FILE`",
                body.len()
            ));
        }
        _ => ui.bytes(body),
    }
}

/// Returns the response as JSON, and whether a token had to be redacted in it.
fn document(response: &Response, redactor: &Redactor) -> (Value, bool) {
    let headers = response.headers.keys().map(|name| {
        let values = response.headers.get_all(name).iter();
        let values = values.map(|value| String::from_utf8_lossy(value.as_bytes()));
        (name.to_string(), Value::from(values.collect::<Vec<_>>()))
    });
    let body = response.body.as_ref();
    let clean = redactor.redact_bytes(body);
    let (member, value) = match (serde_json::from_slice(body), std::str::from_utf8(body)) {
        (Ok(value), _) => ("body", value),
        (_, Ok(text)) => ("body", Value::from(text)),
        _ => ("body_base64", Value::from(BASE64_STANDARD.encode(&clean))),
    };
    let mut document = json!({
        "status": response.status.as_u16(),
        "headers": headers.collect::<serde_json::Map<_, _>>(),
        member: value,
    });
    let has_token = redactor.redact_json(&mut document) || matches!(clean, Cow::Owned(_));
    (document, has_token)
}

fn head(response: &Response) -> String {
    let mut lines = vec![format!("HTTP {}", response.status)];
    lines.extend(response.headers.iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes());
        format!("{name}: {value}")
    }));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server() -> ServerUrl {
        "https://mcp.example/mcp?x=1".parse().unwrap()
    }

    #[test]
    fn a_url_is_resolved_below_the_server_from_its_root_or_as_it_is() {
        for (text, url) in [
            ("notes", "https://mcp.example/mcp/notes"),
            ("notes/7?a=b", "https://mcp.example/mcp/notes/7?a=b"),
            ("/other", "https://mcp.example/other"),
            ("https://elsewhere.example/", "https://elsewhere.example/"),
            ("a:b", "https://mcp.example/mcp/a:b"),
        ] {
            assert_eq!(resolve(&server(), text).unwrap().as_str(), url, "{text}");
        }
        assert!(resolve(&server(), "https://").is_err());
    }

    #[test]
    fn the_authorization_header_or_an_invalid_one_is_refused_without_its_value() {
        assert!(parse_header("Accept: text/csv").is_ok());
        for bad in [
            "authorization: Bearer planted",
            "planted",
            "Na me: planted",
            "A: plan\nted",
        ] {
            let rendered = parse_header(bad).unwrap_err().render(None);
            assert_eq!(rendered.exit, Exit::Usage);
            assert!(!rendered.message.contains("plan"), "{}", rendered.message);
        }
    }
}
