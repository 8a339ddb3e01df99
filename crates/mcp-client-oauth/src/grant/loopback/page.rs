//! The pages that the browser shows at the end of a login: fixed text, so that nothing of a request can
//! be in them (GHSA-cvhv-6xm6-c3v4), and no scripts, frames, referrers or copies (RFC 9700 §4.2.4).

use std::sync::LazyLock;

use http::{HeaderName, HeaderValue, StatusCode, header};

/// The headers of every page.
pub(super) static HEADERS: LazyLock<Vec<(HeaderName, HeaderValue)>> = LazyLock::new(|| {
    let fixed = HeaderValue::from_static;
    vec![
        (header::CONTENT_TYPE, fixed("text/html; charset=utf-8")),
        (header::CACHE_CONTROL, fixed("no-store")),
        (
            header::CONTENT_SECURITY_POLICY,
            fixed(
                "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
            ),
        ),
        (header::X_CONTENT_TYPE_OPTIONS, fixed("nosniff")),
        (header::X_FRAME_OPTIONS, fixed("DENY")),
        (header::REFERRER_POLICY, fixed("no-referrer")),
        (header::CONNECTION, fixed("close")),
    ]
});

/// A page.
pub(super) struct Page {
    pub(super) status: StatusCode,
    pub(super) html: &'static str,
}

macro_rules! page {
    ($title:literal, $colour:literal, $sign:literal, $heading:literal, $text:literal) => {
        concat!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">",
            "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>",
            $title,
            "</title><style>",
            ":root{color-scheme:light dark}",
            "body{margin:0;min-height:100vh;display:grid;place-items:center;",
            "font:17px/1.55 system-ui,sans-serif;background:Canvas;color:CanvasText}",
            "main{max-width:26rem;padding:2rem;text-align:center}",
            "b{display:grid;place-items:center;width:4rem;height:4rem;margin:0 auto 1.25rem;",
            "border-radius:50%;color:#fff;font-size:2rem;background:",
            $colour,
            "}h1{font-size:1.5rem;margin:0 0 .5rem}p{margin:0;opacity:.8}",
            "</style></head><body><main><b aria-hidden=\"true\">",
            $sign,
            "</b><h1>",
            $heading,
            "</h1><p>",
            $text,
            "</p></main></body></html>\n"
        )
    };
}

impl Page {
    /// The path of the page for granted access, below the path of the callback.
    pub(super) const DONE_PATH: &'static str = "/done";
    /// The path of the page for denied access.
    pub(super) const DENIED_PATH: &'static str = "/denied";

    const DONE: Self = Self {
        status: StatusCode::OK,
        html: page!(
            "Access granted",
            "#1a7f37",
            "&#10003;",
            "Access granted",
            "You can close this window. The application that opened it continues the login."
        ),
    };
    const DENIED: Self = Self {
        status: StatusCode::OK,
        html: page!(
            "Access not granted",
            "#9a6700",
            "&#33;",
            "Access was not granted",
            "Nothing was stored. You can close this window; the application that opened it shows the reason."
        ),
    };
    /// The redirect to one of these pages.
    pub(super) const MOVED: Self = Self {
        status: StatusCode::SEE_OTHER,
        html: "",
    };
    /// A callback that is not of this login.
    pub(super) const UNKNOWN_LOGIN: Self = Self {
        status: StatusCode::BAD_REQUEST,
        html: page!(
            "Not this login",
            "#9a6700",
            "?",
            "This link does not belong to a pending login",
            "It may be an old one. Go back to the application and start the login there."
        ),
    };
    /// Any other path, such as the request of the browser for an icon.
    pub(super) const NOT_FOUND: Self = Self {
        status: StatusCode::NOT_FOUND,
        html: "Not found\n",
    };
    /// A request that is no navigation by `GET`.
    pub(super) const NOT_ALLOWED: Self = Self {
        status: StatusCode::METHOD_NOT_ALLOWED,
        html: "Not allowed\n",
    };
    /// A `Host` that does not name this listener.
    pub(super) const WRONG_HOST: Self = Self {
        status: StatusCode::MISDIRECTED_REQUEST,
        html: "Misdirected\n",
    };

    /// Returns the last page of a login, if `path` is that of one.
    pub(super) fn at_the_end(callback: &str, path: &str) -> Option<Self> {
        let end = path.strip_prefix(callback.trim_end_matches('/'))?;
        match end {
            Self::DONE_PATH => Some(Self::DONE),
            Self::DENIED_PATH => Some(Self::DENIED),
            _ => None,
        }
    }
}
