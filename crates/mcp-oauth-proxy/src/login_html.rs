//! The responses of the login page: no scripts, no frames, no referrers and no copies (RFC 9700 §4.2.4).

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use mcp_client_oauth::platform::DevicePrompt;
use url::Url;

/// The headers of every response.
const HEADERS: [(HeaderName, &str); 7] = [
    (header::CONTENT_TYPE, "text/html; charset=utf-8"),
    (header::CACHE_CONTROL, "no-store"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CONNECTION, "close"),
];
const STYLE: &str = ":root{color-scheme:light dark}\
    body{margin:0;min-height:100vh;display:flex;align-items:center;justify-content:center;font:17px/1.55 system-ui,sans-serif}\
    main{max-width:28rem;padding:2rem;text-align:center}\
    strong{display:block;font:600 2rem ui-monospace,monospace;margin:1rem}";

/// Builds a response with a fixed text.
pub(crate) fn fixed(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    response(status, Bytes::from_static(text.as_bytes()))
}

/// Builds the redirect to the login.
pub(crate) fn redirect(url: &Url) -> Response<Full<Bytes>> {
    let mut response = response(StatusCode::FOUND, Bytes::new());
    // A `Url` is ASCII without control characters, so it is a header value.
    if let Ok(location) = HeaderValue::from_str(url.as_str()) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// Builds the page for a link that was used before.
pub(crate) fn used() -> Response<Full<Bytes>> {
    page(
        StatusCode::GONE,
        "Link already used",
        "<p>This link works once. Go back to the application and start the login there again.</p>",
    )
}

/// Builds the page with the code of a device (RFC 8628 §3.3).
pub(crate) fn device(prompt: &DevicePrompt) -> Response<Full<Bytes>> {
    let url = escaped(prompt.verification_uri.as_str());
    let host = escaped(prompt.verification_uri.host_str().unwrap_or_default());
    let warning = if prompt.is_third_party_host {
        format!(
            "<p>Warning: {host} is not the host of the authorization server. Continue only if you know \
             that it belongs to the same operator.</p>"
        )
    } else {
        String::new()
    };
    let code = escaped(&prompt.user_code);
    let body = format!(
        "{warning}<p>Open <a href=\"{url}\" rel=\"noreferrer\">{host}</a> and enter the code</p>\
         <strong>{code}</strong><p>If the page shows another code, do not confirm it.</p>"
    );
    page(StatusCode::OK, "Log in", &body)
}

fn page(status: StatusCode, title: &'static str, body: &str) -> Response<Full<Bytes>> {
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>{title}</title>\
         <style>{STYLE}</style></head><body><main><h1>{title}</h1>{body}</main></body></html>\n"
    );
    response(status, Bytes::from(html))
}

fn response(status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    for (name, value) in HEADERS {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    response
}

/// Escapes text for HTML: the code and the URL come from the authorization server.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_a_server_is_no_markup() {
        assert_eq!(
            escaped(r#"<b a="1" c='2'>&"#),
            "&lt;b a=&quot;1&quot; c=&#39;2&#39;&gt;&amp;"
        );
    }
}
