//! The rules for redirect URIs, and their comparison.

use url::{Host, Url};

/// Returns whether a client may register this redirect URI: https, http on loopback, or a private-use
/// scheme (RFC 8252 §7, OAuth 2.1 §2.3); no fragment (RFC 6749 §3.1.2).
pub(super) fn is_acceptable(text: &str) -> bool {
    let Ok(url) = Url::parse(text) else {
        return false;
    };
    if url.fragment().is_some() {
        return false;
    }
    match url.scheme() {
        "https" => url.has_host(),
        "http" => is_loopback(&url),
        scheme => is_private_use(scheme),
    }
}

/// Returns whether this is the URI of a native application: loopback or a private-use scheme.
pub(super) fn is_native(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| url.scheme() != "https" || is_loopback(&url))
}

/// Returns whether a redirect URI equals the registered one, except for the port of a loopback URI (RFC
/// 8252 §7.3: "MUST allow any port to be specified at the time of the request").
pub(super) fn is_same(registered: &str, requested: &str) -> bool {
    if registered == requested {
        return true;
    }
    let (Ok(mut registered), Ok(mut requested)) = (Url::parse(registered), Url::parse(requested))
    else {
        return false;
    };
    let loopback = registered.scheme() == "http" && is_loopback(&registered);
    loopback
        && registered.set_port(None).is_ok()
        && requested.set_port(None).is_ok()
        && registered == requested
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// Returns whether a scheme can be a private-use one. RFC 8252 §7.1 requires a reversed domain name.
/// Names without a dot are common and harmless here, except those that a browser handles itself.
fn is_private_use(scheme: &str) -> bool {
    !matches!(
        scheme,
        "javascript" | "data" | "file" | "vbscript" | "about" | "blob" | "ftp" | "ws" | "wss"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_https_and_custom_schemes_are_acceptable() {
        for good in [
            "http://127.0.0.1/callback",
            "http://[::1]:9/",
            "http://localhost:1/x",
            "https://app.example/callback",
            "com.example.app:/callback",
            "cursor://anysphere/callback",
        ] {
            assert!(is_acceptable(good), "{good}");
        }
    }

    #[test]
    fn remote_http_fragments_and_script_schemes_are_refused() {
        for bad in [
            "http://app.example/callback",
            "https://app.example/#x",
            "javascript:alert(1)",
            "data:text/html,x",
            "/callback",
            "",
        ] {
            assert!(!is_acceptable(bad), "{bad}");
        }
    }

    #[test]
    fn only_the_port_of_a_loopback_uri_may_vary() {
        assert!(is_same(
            "http://127.0.0.1/callback",
            "http://127.0.0.1:5000/callback"
        ));
        assert!(is_same(
            "http://127.0.0.1:1/callback",
            "http://127.0.0.1:2/callback"
        ));
        assert!(!is_same(
            "http://127.0.0.1:1/callback",
            "http://127.0.0.1:1/other"
        ));
        assert!(!is_same(
            "http://127.0.0.1:1/callback",
            "http://localhost:1/callback"
        ));
        assert!(!is_same(
            "https://app.example/callback",
            "https://app.example:8443/callback"
        ));
    }
}
