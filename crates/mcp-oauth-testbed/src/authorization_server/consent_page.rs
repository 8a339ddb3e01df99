//! The pages for the user. They load no resources, and run no scripts.

use std::fmt::Write;

use axum::response::{Html, IntoResponse, Response};
use http::{StatusCode, header};

/// The content of the consent page.
#[derive(Debug)]
pub(super) struct Question<'a> {
    pub(super) client: &'a str,
    pub(super) server: &'a str,
    pub(super) flow: Flow<'a>,
    pub(super) scopes: &'a [String],
    pub(super) ticket: &'a str,
}

/// The flow that shows the page.
#[derive(Debug)]
pub(super) enum Flow<'a> {
    /// From an application, to its redirect URI.
    Redirect { host: &'a str },
    /// From a device that shows this code.
    Device { code: &'a str },
}

impl Flow<'_> {
    fn action(&self) -> &'static str {
        match self {
            Self::Redirect { .. } => "/authorize/decision",
            Self::Device { .. } => "/device/decision",
        }
    }

    /// Returns the note for the user. RFC 8628 §5.4: a user without a device that shows this code may be
    /// the target of a phishing attack.
    fn note(&self) -> String {
        match self {
            Self::Redirect { host } => format!("Afterwards you return to {}.", escaped(host)),
            Self::Device { code } => format!(
                "Approve only if your device shows the code <code>{}</code>.",
                escaped(code)
            ),
        }
    }
}

const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1d2430; --soft: #5a6474; --paper: #fff; --back: #eef1f5;
  --line: #d6dce5; --blue: #1a5fd0; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8ecf2; --soft: #a3adbc; --paper: #1c222c;
  --back: #11151b; --line: #38414f; --blue: #2f74e6; } }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; align-items: center; justify-items: center; padding: 1.5rem;
  background: var(--back); color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
main { width: 100%; max-width: 27rem; padding: 2rem; background: var(--paper);
  border: 1px solid var(--line); border-radius: 1rem; }
h1 { margin: 0 0 1rem; font-size: 1.35rem; line-height: 1.3; }
h2 { margin: 1.5rem 0 .5rem; font-size: 1rem; }
code { overflow-wrap: anywhere; font-size: .9em; }
ul { margin: 0; padding-left: 1.25rem; }
li + li { margin-top: .35rem; }
li code, .note { color: var(--soft); font-size: .875rem; }
form { display: flex; gap: .75rem; margin-top: 1.75rem; }
input:not([type=hidden]) { width: 100%; min-height: 2.75rem; padding: 0 .75rem; font: inherit;
  letter-spacing: .15em; border: 1px solid var(--line); border-radius: .6rem;
  background: transparent; color: inherit; }
form.entry { flex-direction: column; }
button { flex: 1; min-height: 2.75rem; font: inherit; font-weight: 600; cursor: pointer;
  border: 1px solid var(--line); border-radius: .6rem; background: transparent; color: inherit; }
button#approve { background: var(--blue); border-color: var(--blue); color: #fff; }
button:focus-visible { outline: 3px solid var(--blue); outline-offset: 2px; }
";

/// Returns the consent page.
pub(super) fn page(question: &Question<'_>) -> String {
    let client = escaped(question.client);
    let body = format!(
        "<h1>Allow <strong>{client}</strong> to use your notes?</h1>\n\
         <p>The application wants to use the MCP server <code>{server}</code> in your name.</p>\n\
         <h2>It will be able to</h2>\n<ul>\n{scopes}</ul>\n\
         <p class=\"note\">{note} This is a test server: nothing real is behind it.</p>\n\
         <form method=\"post\" action=\"{action}\">\n\
         <input type=\"hidden\" name=\"ticket\" value=\"{ticket}\">\n\
         <button name=\"decision\" value=\"approve\" id=\"approve\">Approve</button>\n\
         <button name=\"decision\" value=\"deny\" id=\"deny\">Deny</button>\n\
         </form>\n",
        server = escaped(question.server),
        scopes = scope_list(question.scopes),
        note = question.flow.note(),
        action = question.flow.action(),
        ticket = escaped(question.ticket),
    );
    document("Allow access?", &body)
}

/// Returns the page where the user enters the code of a device.
pub(super) fn code_entry(problem: Option<&str>) -> String {
    let problem = problem.map_or_else(String::new, |problem| {
        format!("<p role=\"alert\">{}</p>\n", escaped(problem))
    });
    let body = format!(
        "<h1>Connect a device</h1>\n{problem}\
         <form class=\"entry\" method=\"post\" action=\"/device\">\n\
         <label for=\"user_code\">Enter the code that your device shows.</label>\n\
         <input id=\"user_code\" name=\"user_code\" required autofocus autocomplete=\"off\" \
         autocapitalize=\"characters\" spellcheck=\"false\">\n\
         <button id=\"continue\">Continue</button>\n</form>\n"
    );
    document("Connect a device", &body)
}

/// Returns the last page of the device flow.
pub(super) fn outcome_page(approved: bool) -> String {
    let outcome = if approved {
        "The device is connected"
    } else {
        "The device is not connected"
    };
    let body =
        format!("<h1>{outcome}</h1>\n<p>You can close this page, and return to your device.</p>\n");
    document(outcome, &body)
}

/// Responds with the page for an error that cannot be sent to the client.
pub(super) fn error_page(reason: &str) -> Response {
    page_response(StatusCode::BAD_REQUEST, error(reason))
}

/// Responds with a page. The policy has no `form-action`: browsers would apply it to the redirect after
/// the form, and the callback is on another origin.
pub(super) fn page_response(status: StatusCode, page: String) -> Response {
    let headers = [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; \
             frame-ancestors 'none'",
        ),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (status, headers, Html(page)).into_response()
}

/// Returns the page for an error that cannot be sent to the client.
fn error(reason: &str) -> String {
    let body = format!(
        "<h1>This login cannot go on</h1>\n<p role=\"alert\">{}</p>\n\
         <p class=\"note\">Return to the application and begin again.</p>\n",
        escaped(reason)
    );
    document("Login error", &body)
}

fn document(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n\
         <body>\n<main>\n{body}</main>\n</body>\n</html>\n"
    )
}

fn scope_list(scopes: &[String]) -> String {
    let mut list = String::new();
    for scope in scopes {
        // Writing to a string does not fail.
        let _infallible = writeln!(
            list,
            "<li>{} <code>{}</code></li>",
            scope_description(scope),
            escaped(scope)
        );
    }
    if list.is_empty() {
        list.push_str("<li>see that you have an account</li>\n");
    }
    list
}

fn scope_description(scope: &str) -> &'static str {
    match scope {
        "notes:read" => "read your notes",
        "notes:write" => "write and change your notes",
        "offline_access" => "stay signed in when you are away",
        _ => "use a further permission",
    }
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_in_the_page() {
        let page = page(&Question {
            client: "<script>alert(1)</script>",
            server: "\" onload=\"x",
            flow: Flow::Redirect { host: "<b>" },
            scopes: &["<i>".to_owned()],
            ticket: "\"><form action=\"//evil.example\">",
        });
        for forbidden in ["<script", "<b>", "<i>", "\" onload", "<form action"] {
            assert!(!page.contains(forbidden), "{forbidden}");
        }
    }

    #[test]
    fn a_code_is_escaped_in_the_page() {
        let code = "<script>";
        let note = Flow::Device { code }.note();
        assert!(!note.contains("<script"), "{note}");
    }

    #[test]
    fn a_scope_has_a_description() {
        let scopes = ["notes:write".to_owned()];
        assert!(scope_list(&scopes).contains("write and change your notes"));
    }
}
