//! The canonical URL of an MCP server: the key of its records, tokens and requests.

use std::{
    fmt,
    hash::{Hash, Hasher},
    str::FromStr,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use url::{Host, Url};

/// The URL of an MCP server: `https` (or `http` on loopback, or where the user
/// [allows it](Self::parse_allow_http)), without user info and fragment.
///
/// Two server URLs are equal if the WHATWG URL parser normalizes them to the same URL (letter case of
/// scheme and host, default port). The original text is kept too, because a resource identifier is
/// compared as text (RFC 9728 §3.3).
///
/// ```
/// use mcp_client_oauth::ServerUrl;
///
/// let server: ServerUrl = "https://MCP.example:443/mcp".parse()?;
/// assert_eq!(server.as_str(), "https://mcp.example/mcp");
/// assert!("http://mcp.example/mcp".parse::<ServerUrl>().is_err());
/// # Ok::<(), mcp_client_oauth::error::ServerUrlError>(())
/// ```
#[derive(Clone)]
pub struct ServerUrl {
    url: Url,
    text: String,
}

/// Says why a text is not the URL of an MCP server.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ServerUrlError {
    /// The text is not an absolute URL.
    #[error("`{0}` is not a URL; a server URL looks like `https://mcp.example.com/mcp`")]
    NotAUrl(String),
    /// Not `https`: tokens must be encrypted in transit (MCP authorization, Communication Security).
    #[error(
        "`{0}` is not https; plain http is only for loopback, or for a private network if you \
         allow it"
    )]
    NotHttps(String),
    /// A password in a URL ends up in logs and histories.
    #[error("the server URL has user info; remove the text before the `@`")]
    UserInfo,
    /// RFC 8707 §2: a resource identifier has no fragment.
    #[error("the server URL has a fragment; remove the `#` and the text after it")]
    Fragment,
}

impl ServerUrl {
    /// Parses a URL as [`from_str`](Self::from_str) does, and allows `http` on any host: for a server in a
    /// network that you trust, of containers, for example. The URLs that it names may be plain http too.
    ///
    /// Plain http goes to private addresses only. [`ReqwestClient`](crate::platform::ReqwestClient) checks
    /// the address that a name resolves to when it connects. An application that sends requests with
    /// another client, as the [`adapters`](crate::adapters) do, must check it itself: they do not
    /// resolve names.
    ///
    /// ```
    /// use mcp_client_oauth::ServerUrl;
    ///
    /// let server = ServerUrl::parse_allow_http("http://mcp-server:8080/mcp")?;
    /// assert!(server.is_plaintext());
    /// # Ok::<(), mcp_client_oauth::error::ServerUrlError>(())
    /// ```
    ///
    /// # Errors
    /// As [`from_str`](Self::from_str), except [`ServerUrlError::NotHttps`] for `http`.
    pub fn parse_allow_http(text: &str) -> Result<Self, ServerUrlError> {
        read(text, true)
    }

    /// Deserializes a URL that the user has allowed before, by `#[serde(deserialize_with = …)]`: for files
    /// that this crate wrote, and not for the configuration of a project that others wrote.
    ///
    /// # Errors
    /// As [`parse_allow_http`](Self::parse_allow_http).
    pub(crate) fn deserialize_allow_http<'de, D>(deserializer: D) -> Result<Self, D::Error>
    where
        D: Deserializer<'de>,
    {
        Self::parse_allow_http(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }

    /// Returns whether requests to it are sent unencrypted over a network: `http`, and not on loopback.
    pub fn is_plaintext(&self) -> bool {
        is_plaintext(&self.url)
    }

    /// Returns the URL.
    pub fn as_url(&self) -> &Url {
        &self.url
    }

    /// Returns the canonical text, which is the key of records.
    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }

    /// Returns the resource identifier to send if the server publishes none: the URL as the user wrote it,
    /// without a trailing slash after a bare authority (MCP authorization, Canonical Server URI).
    pub(crate) fn resource_identifier(&self) -> &str {
        if self.url.path() == "/" && self.url.query().is_none() {
            self.text.trim_end_matches('/')
        } else {
            &self.text
        }
    }

    /// Returns whether the host is a loopback address or `localhost`.
    pub(crate) fn is_loopback(&self) -> bool {
        is_loopback(&self.url)
    }

    /// Returns the URL of a request: a relative `path` is appended to the path of the server, a path with a
    /// leading slash starts at the host, and an absolute URL is returned as it is.
    ///
    /// # Errors
    /// [`ServerUrlError::NotAUrl`].
    pub(crate) fn join(&self, path: &str) -> Result<Url, ServerUrlError> {
        let unusable = |_| ServerUrlError::NotAUrl(shown(path));
        if path.contains("://") {
            return Url::parse(path).map_err(unusable);
        }
        let mut base = self.url.clone();
        if path.is_empty() || path.starts_with(['/', '?']) {
            return base.join(path).map_err(unusable);
        }
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        // The prefix keeps `notes:1` a path: without it, `notes` would be a scheme (RFC 3986 §4.2).
        base.join(&format!("./{path}")).map_err(unusable)
    }

    /// Returns whether `url` has this server's origin and lies at or below its path, by whole segments.
    pub(crate) fn covers(&self, url: &Url) -> bool {
        covers(&self.url, url)
    }
}

/// Returns whether `inner` has the origin of `outer` and lies at or below its path, by whole segments.
pub(crate) fn covers(outer: &Url, inner: &Url) -> bool {
    let outer_path = outer.path().trim_end_matches('/');
    outer.origin() == inner.origin()
        && inner
            .path()
            .strip_prefix(outer_path)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Returns whether a request to `url` is sent unencrypted over a network.
pub(crate) fn is_plaintext(url: &Url) -> bool {
    url.scheme() == "http" && !is_loopback(url)
}

/// Returns whether the host of `url` is a loopback address or `localhost`.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name.trim_end_matches('.').eq_ignore_ascii_case("localhost"),
        None => false,
    }
}

impl FromStr for ServerUrl {
    type Err = ServerUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        read(text, false)
    }
}

fn read(text: &str, allow_http: bool) -> Result<ServerUrl, ServerUrlError> {
    let text = text.trim();
    let url = Url::parse(text).map_err(|_| ServerUrlError::NotAUrl(shown(text)))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(ServerUrlError::UserInfo);
    }
    match url.scheme() {
        "https" => {}
        "http" if allow_http || is_loopback(&url) => {}
        _ if url.cannot_be_a_base() => return Err(ServerUrlError::NotAUrl(shown(text))),
        _ => return Err(ServerUrlError::NotHttps(shown(text))),
    }
    if url.fragment().is_some() {
        return Err(ServerUrlError::Fragment);
    }
    let text = text.to_owned();
    Ok(ServerUrl { url, text })
}

/// Returns the text without control characters, shortened to a line.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(120).collect()
}

impl TryFrom<&str> for ServerUrl {
    type Error = ServerUrlError;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl TryFrom<&String> for ServerUrl {
    type Error = ServerUrlError;

    fn try_from(text: &String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl TryFrom<String> for ServerUrl {
    type Error = ServerUrlError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<&Self> for ServerUrl {
    fn from(server: &Self) -> Self {
        server.clone()
    }
}

impl PartialEq for ServerUrl {
    fn eq(&self, other: &Self) -> bool {
        self.url == other.url
    }
}

impl Eq for ServerUrl {}

impl Hash for ServerUrl {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.url.hash(state);
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.url.fmt(f)
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerUrl({})", self.url)
    }
}

impl Serialize for ServerUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for ServerUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ServerUrl, ServerUrlError> {
        text.parse()
    }

    #[test]
    fn only_https_or_loopback_is_a_server_url() {
        for good in [
            "https://mcp.example/mcp",
            "http://127.0.0.1:8080/mcp",
            "http://localhost/",
            "http://[::1]:1/mcp",
        ] {
            assert!(parse(good).is_ok(), "{good}");
        }
        for bad in [
            "mcp.example",
            "http://mcp.example/",
            "ftp://mcp.example/",
            "",
            "javascript:x",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert_eq!(
            parse("https://u:p@mcp.example/"),
            Err(ServerUrlError::UserInfo)
        );
        assert_eq!(
            parse("https://mcp.example/#a"),
            Err(ServerUrlError::Fragment)
        );
    }

    #[test]
    fn plain_http_is_refused_unless_it_is_allowed() {
        let plaintext = ServerUrl::parse_allow_http("http://mcp-server:8080/mcp").unwrap();
        assert!(plaintext.is_plaintext());
        let text = serde_json::to_string(&plaintext).unwrap();
        assert!(serde_json::from_str::<ServerUrl>(&text).is_err());
        let mut read = serde_json::Deserializer::from_str(&text);
        let read = ServerUrl::deserialize_allow_http(&mut read);
        assert_eq!(read.unwrap(), plaintext);
        for other in [
            "https://mcp.example/",
            "http://127.0.0.1/",
            "http://localhost/",
        ] {
            assert!(!ServerUrl::parse_allow_http(other).unwrap().is_plaintext());
        }
        for bad in [
            "ftp://mcp.example/",
            "http://a:b@mcp/",
            "http://mcp/#x",
            "mcp:8080",
        ] {
            assert!(ServerUrl::parse_allow_http(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_error_about_a_url_never_shows_a_password() {
        let error = parse("http://user:planted@mcp.example/").unwrap_err();
        assert!(!error.to_string().contains("planted"));
    }

    #[test]
    fn the_resource_identifier_keeps_what_was_written() {
        for (text, resource) in [
            ("https://mcp.example/", "https://mcp.example"),
            ("https://mcp.example", "https://mcp.example"),
            ("https://mcp.example/mcp/", "https://mcp.example/mcp/"),
            ("HTTPS://MCP.example/mcp", "HTTPS://MCP.example/mcp"),
        ] {
            assert_eq!(parse(text).unwrap().resource_identifier(), resource);
        }
    }

    #[test]
    fn a_server_covers_whole_path_segments_of_its_own_origin() {
        let server = parse("https://mcp.example/mcp").unwrap();
        for (url, covered) in [
            ("https://mcp.example/mcp", true),
            ("https://mcp.example/mcp/notes?x=1", true),
            ("https://mcp.example/mcpx", false),
            ("https://mcp.example/", false),
            ("https://mcp.example:8443/mcp", false),
            ("http://mcp.example/mcp", false),
            ("https://mcp.example.evil/mcp", false),
        ] {
            assert_eq!(server.covers(&url.parse().unwrap()), covered, "{url}");
        }
    }
}
