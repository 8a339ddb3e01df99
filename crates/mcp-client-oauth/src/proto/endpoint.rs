//! A URL of a server, checked against the network policy when it is parsed (MCP security best
//! practices, Server-Side Request Forgery; docs/hostile.md H25-H34). Every URL that the browser opens
//! or that secrets are posted to has this type.

use std::fmt;

use serde::{Deserialize, Serialize};
use url::{Host, Url};

use crate::{
    platform::{AddressSpace, UrlPolicyError},
    server_url::is_plaintext,
};

/// The longest URL that is accepted from a server.
pub(crate) const LONGEST_URL: usize = 2048;

/// An absolute URL, `https` or `http` on loopback (or in a private network where the user allows that),
/// without user info, that does not lead to a more private address space than the server that named it.
#[derive(Clone, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(transparent)]
pub struct EndpointUrl(Url);

impl EndpointUrl {
    /// Parses and checks the URL of a server. The scheme is compared after parsing, so that no spelling
    /// of `javascript:` is accepted.
    pub fn parse(text: &str, address_space: AddressSpace) -> Result<Self, UrlPolicyError> {
        if text.len() > LONGEST_URL || text.chars().any(char::is_control) {
            return Err(UrlPolicyError::Malformed);
        }
        let url = Url::parse(text).map_err(|_| UrlPolicyError::Malformed)?;
        address_space.check_url(&url)?;
        Ok(Self(url))
    }

    /// Parses the URL of a page that the user visits, named by the server at `from`. The browser
    /// resolves its name, not this client: plain http is accepted for literal addresses, which
    /// `address_space` checks, and for the host of `from`, which has been checked.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub(crate) fn parse_page(
        text: &str,
        address_space: AddressSpace,
        from: &Url,
    ) -> Result<Self, UrlPolicyError> {
        let page = Self::parse(text, address_space)?;
        let is_name = matches!(page.0.host(), Some(Host::Domain(_)));
        if is_plaintext(&page.0) && is_name && page.0.host() != from.host() {
            return Err(UrlPolicyError::Scheme(page.0.scheme().to_owned()));
        }
        Ok(page)
    }

    /// Returns the URL.
    pub fn as_url(&self) -> &Url {
        &self.0
    }
}

impl fmt::Display for EndpointUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for EndpointUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EndpointUrl({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_plain_http_is_accepted_at_the_host_of_the_server_alone() {
        let page = |text, from: &str| {
            let from = Url::parse(from).unwrap();
            EndpointUrl::parse_page(text, AddressSpace::PrivateOverHttp, &from).is_ok()
        };
        let issuer = "http://as:8080/realm";
        for good in [
            "http://as:8080/authorize",
            "http://as:9090/authorize",
            "http://10.0.0.7/authorize",
            "https://login.example/authorize",
        ] {
            assert!(page(good, issuer), "{good}");
        }
        assert!(!page("http://login.example/authorize", issuer));
        assert!(!page("http://as/authorize", "https://login.example"));
    }

    #[test]
    fn no_spelling_of_another_scheme_is_an_endpoint() {
        for bad in [
            "javascript:alert(1)",
            "JaVaScRiPt:alert(1)",
            " javascript:alert(1)",
            "java\nscript:alert(1)",
            "\u{1}javascript:alert(1)",
            "data:text/html,x",
            "vbscript:x",
            "file:///etc/passwd",
            "ms-settings:x",
            "ssh://-oProxyCommand=x",
            "--help",
            "/authorize",
            "",
            "http://as.example/authorize",
            "https://accounts.google.com@evil.example/",
            "https://10.0.0.1/token",
        ] {
            assert!(
                EndpointUrl::parse(bad, AddressSpace::Public).is_err(),
                "{bad:?}"
            );
        }
        assert!(
            EndpointUrl::parse(
                "https://as.example/authorize?tenant=x",
                AddressSpace::Public
            )
            .is_ok()
        );
    }
}
