//! A URL that a server named, checked against the network policy when it was read (spec-checklist
//! I6, I8; H25-H34). What the browser is sent to and what we post secrets to has this type.

use std::fmt;

use serde::{Deserialize, Serialize};
use url::{Host, Url};

use crate::{
    platform::{AddressSpace, UrlPolicyError},
    server_url::is_in_clear,
};

/// The longest URL that is taken from a server.
pub(crate) const LONGEST_URL: usize = 2048;

/// An absolute URL, `https` or `http` on loopback (or in a private network whose owner allows that),
/// without user info, that does not lead to a more private place than the server that named it.
#[derive(Clone, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(transparent)]
pub struct EndpointUrl(Url);

impl EndpointUrl {
    /// Reads what a server wrote. The scheme is compared after parsing, so that no spelling of
    /// `javascript:` gets by.
    pub fn parse(text: &str, reach: AddressSpace) -> Result<Self, UrlPolicyError> {
        if text.len() > LONGEST_URL || text.chars().any(char::is_control) {
            return Err(UrlPolicyError::Malformed);
        }
        let url = Url::parse(text).map_err(|_| UrlPolicyError::Malformed)?;
        reach.check_url(&url)?;
        Ok(Self(url))
    }

    /// Returns the same of a page that a person is to visit, as the server at `from` says. Their browser
    /// resolves its name, and we do not: plain http is for literal addresses, which `reach` judges, and
    /// for the host that we were connected to, which has been judged.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn parse_page(text: &str, reach: AddressSpace, from: &Url) -> Result<Self, UrlPolicyError> {
        let page = Self::parse(text, reach)?;
        let is_name = matches!(page.0.host(), Some(Host::Domain(_)));
        if is_in_clear(&page.0) && is_name && page.0.host() != from.host() {
            return Err(UrlPolicyError::Scheme(page.0.scheme().to_owned()));
        }
        Ok(page)
    }

    /// Returns the URL.
    pub fn as_url(&self) -> &Url {
        &self.0
    }

    /// Scheme, host and port: what a person should look at before trusting it.
    pub fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }
}

impl fmt::Display for EndpointUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for EndpointUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_plain_http_is_at_the_host_that_we_were_connected_to() {
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
