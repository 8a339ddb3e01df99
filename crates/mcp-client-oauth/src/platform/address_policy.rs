//! The address policy: the addresses that a request may be sent to (MCP security best practices,
//! Server-Side Request Forgery).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};
use url::{Host, Url};

use crate::server_url::{ServerUrl, is_loopback, is_plaintext};

/// The address space of an address, or the limit of a request. A URL that a server names must not lead to a
/// more private address than the server URL of the user, so the variants are ordered from public to
/// private.
#[derive(
    Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize,
)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum AddressSpace {
    /// The public Internet, also for the server URL itself: for a client that takes server URLs from its
    /// users ([`ClientBuilder::public_networks_only`](crate::ClientBuilder::public_networks_only)). No
    /// address has this value: it is a limit.
    PublicOnly,
    /// The public Internet.
    #[default]
    Public,
    /// RFC 1918, RFC 6598 and unique local IPv6 addresses: a private network.
    Private,
    /// The same, with plain http too: for a server in a network that the user trusts
    /// ([`ServerUrl::parse_allow_http`]). Plain http goes to private addresses only
    /// ([`check_address`](Self::check_address)). No address has this value: it is a limit.
    PrivateOverHttp,
    /// Link-local addresses, and the other addresses of instance metadata in clouds.
    LinkLocal,
    /// Loopback addresses, and all others that no network should route.
    Loopback,
}

/// Says why a request must not be sent to a URL.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlPolicyError {
    /// Not https, and not http on loopback for a server that is itself on loopback.
    #[error("only https is allowed, not `{0}`")]
    Scheme(String),
    /// User info: `https://bank.example@evil.example/` looks like another host.
    #[error("a URL with user info is not allowed")]
    UserInfo,
    /// No host.
    #[error("a URL without a host is not allowed")]
    NoHost,
    /// The address is more private than that of the server that named it.
    #[error("{0} is a {1} address, and the server that names it is not on one")]
    Address(String, AddressSpace),
    /// The address is not public, and the client sends requests to public addresses only: it takes server
    /// URLs from its users
    /// ([`ClientBuilder::public_networks_only`](crate::ClientBuilder::public_networks_only)).
    #[error("{0} is a {1} address, and this client connects to public addresses only")]
    NotPublic(String, AddressSpace),
    /// Plain http to an address that is not private.
    #[error("plain http is allowed to private addresses only, and {0} is a {1} one")]
    Plaintext(String, AddressSpace),
    /// Control characters, or longer than 2 KiB.
    #[error("the URL is malformed or too long")]
    Malformed,
}

impl std::fmt::Display for AddressSpace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::PublicOnly | Self::Public => "public",
            Self::Private | Self::PrivateOverHttp => "private",
            Self::LinkLocal => "link-local",
            Self::Loopback => "loopback",
        })
    }
}

impl AddressSpace {
    /// The number of variants.
    #[cfg(feature = "reqwest")]
    pub(super) const COUNT: usize = Self::Loopback as usize + 1;

    /// Returns the address space of `address`. An address that embeds another one has that one's.
    pub(crate) fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => of_v4(v4),
            IpAddr::V6(v6) => of_v6(v6),
        }
    }

    /// Returns the address space of the host in `url`: a literal address or `localhost`. A name counts as
    /// public until it is resolved.
    pub(crate) fn of_url(url: &Url) -> Self {
        match url.host() {
            Some(Host::Ipv4(v4)) => of_v4(v4),
            Some(Host::Ipv6(v6)) => of_v6(v6),
            Some(Host::Domain(_)) if is_loopback(url) => Self::Loopback,
            _ => Self::Public,
        }
    }

    /// Returns the limit of requests to `server` itself. The user named it, so it may be at any address; one
    /// with plain http must be in a private network.
    pub(crate) fn for_server(server: &ServerUrl) -> Self {
        if server.is_plaintext() {
            Self::PrivateOverHttp
        } else {
            Self::Loopback
        }
    }

    /// Returns the address space of `server`, which limits the URLs that it names. A name counts as public.
    pub(crate) fn of_server(server: &ServerUrl) -> Self {
        if server.is_plaintext() {
            Self::PrivateOverHttp
        } else {
            Self::of_url(server.as_url())
        }
    }

    /// Checks that a request to `url` with this limit may connect to `address`, which the name in `url`
    /// resolves to. For a literal address [`check_url`](Self::check_url) does the same.
    ///
    /// # Errors
    /// [`UrlPolicyError::Address`], [`UrlPolicyError::Plaintext`].
    pub fn check_address(self, url: &Url, address: IpAddr) -> Result<(), UrlPolicyError> {
        let limit = match self {
            Self::PrivateOverHttp if !is_plaintext(url) => Self::Private,
            limit => limit,
        };
        limit.check_resolved(url.host_str().unwrap_or_default(), address)
    }

    /// Checks an address, for a request that uses plain http if the limit is
    /// [`PrivateOverHttp`](Self::PrivateOverHttp).
    pub(super) fn check_resolved(self, host: &str, address: IpAddr) -> Result<(), UrlPolicyError> {
        let found = Self::of(address);
        match self {
            Self::PublicOnly if found != Self::Public => {
                // The user typed a name, so the address explains the refusal.
                let is_literal = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
                let host = if is_literal {
                    host.to_owned()
                } else {
                    format!("{host} ({address})")
                };
                Err(UrlPolicyError::NotPublic(host, found))
            }
            Self::PublicOnly => Ok(()),
            Self::PrivateOverHttp if is_inside(address) => Ok(()),
            Self::PrivateOverHttp => Err(UrlPolicyError::Plaintext(host.to_owned(), found)),
            limit if found <= limit => Ok(()),
            _ => Err(UrlPolicyError::Address(host.to_owned(), found)),
        }
    }

    /// Checks that a request with this limit may be sent to `url`. The address that a name resolves to is
    /// checked when the connection is made ([`check_address`](Self::check_address)).
    ///
    /// # Errors
    /// [`UrlPolicyError`].
    pub fn check_url(self, url: &Url) -> Result<(), UrlPolicyError> {
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UrlPolicyError::UserInfo);
        }
        let found = Self::of_url(url);
        // Before the scheme, because `http://localhost` is no better with https.
        if self == Self::PublicOnly && found != Self::Public {
            let host = url.host_str().unwrap_or_default().to_owned();
            return Err(UrlPolicyError::NotPublic(host, found));
        }
        match url.scheme() {
            "https" => {}
            "http" if is_loopback(url) && self == Self::Loopback => {}
            "http" if self == Self::PrivateOverHttp => return check_plaintext(url),
            other => return Err(UrlPolicyError::Scheme(other.to_owned())),
        }
        let host = url.host_str().ok_or(UrlPolicyError::NoHost)?;
        if self != Self::PublicOnly && found > self {
            return Err(UrlPolicyError::Address(host.to_owned(), found));
        }
        Ok(())
    }
}

/// Checks a plain-http URL. A name is checked when it is resolved; `localhost` is not in a private network.
fn check_plaintext(url: &Url) -> Result<(), UrlPolicyError> {
    let address = match url.host() {
        Some(Host::Ipv4(v4)) => IpAddr::V4(v4),
        Some(Host::Ipv6(v6)) => IpAddr::V6(v6),
        Some(Host::Domain(_)) if is_loopback(url) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        Some(Host::Domain(_)) => return Ok(()),
        None => return Err(UrlPolicyError::NoHost),
    };
    AddressSpace::PrivateOverHttp.check_resolved(url.host_str().unwrap_or_default(), address)
}

/// Returns whether packets to `address` stay in a private network. Those to an address that embeds a private
/// one (6to4, Teredo, NAT64) are routed elsewhere, except an IPv4-mapped one, which is the same address.
fn is_inside(address: IpAddr) -> bool {
    let address = match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    };
    match address {
        IpAddr::V4(v4) => of_v4(v4) == AddressSpace::Private,
        IpAddr::V6(v6) => v6.is_unique_local() && of_v6(v6) == AddressSpace::Private,
    }
}

/// The addresses of instance metadata that are not link-local: those of Alibaba, AWS and Google.
const METADATA_V4: Ipv4Addr = Ipv4Addr::new(100, 100, 100, 200);
const METADATA_V6: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
];

fn of_v4(v4: Ipv4Addr) -> AddressSpace {
    let [a, b, ..] = v4.octets();
    if v4.is_link_local() || v4 == METADATA_V4 {
        AddressSpace::LinkLocal
    } else if v4.is_private() || (a == 100 && (64..128).contains(&b)) {
        AddressSpace::Private
    } else if a == 0
        || a >= 224
        || v4.is_loopback()
        || v4.is_documentation()
        || (a == 192 && b == 0 && v4.octets()[2] == 0)
        || (a == 198 && (18..20).contains(&b))
    {
        AddressSpace::Loopback
    } else {
        AddressSpace::Public
    }
}

fn of_v6(v6: Ipv6Addr) -> AddressSpace {
    let s = v6.segments();
    if let Some(v4) = embedded_v4(v6) {
        return of_v4(v4);
    }
    if v6.is_unicast_link_local() || METADATA_V6.contains(&v6) {
        AddressSpace::LinkLocal
    } else if v6.is_unique_local() || (s[0] & 0xffc0) == 0xfec0 {
        AddressSpace::Private
    } else if v6.is_loopback()
        || v6.is_unspecified()
        || v6.is_multicast()
        || (s[0] == 0x2001 && s[1] == 0x0db8)
        || (s[0] == 0x3fff && s[1] < 0x1000)
        // Only 2000::/3 is global unicast (RFC 4291 §2.4, IANA).
        || (s[0] & 0xe000) != 0x2000
    {
        AddressSpace::Loopback
    } else {
        AddressSpace::Public
    }
}

/// Returns the IPv4 address inside a mapped, compatible, NAT64, 6to4 or Teredo address.
fn embedded_v4(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let s = v6.segments();
    let join = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match s {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, _, _, _, _, high, low] => {
            Some(join(high, low))
        }
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => Some(join(high, low)),
        [0x2002, high, low, ..] => Some(join(high, low)),
        [0x2001, 0, _, _, _, _, high, low] => Some(join(!high, !low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_private_address_is_recognized() {
        for (host, address_space) in [
            ("0x7f.1", AddressSpace::Loopback),
            ("2130706433", AddressSpace::Loopback),
            ("0177.0.0.1", AddressSpace::Loopback),
            ("127.1", AddressSpace::Loopback),
            ("[::ffff:127.0.0.1]", AddressSpace::Loopback),
            ("[::127.0.0.1]", AddressSpace::Loopback),
            ("[64:ff9b::7f00:1]", AddressSpace::Loopback),
            ("[2002:7f00:1::]", AddressSpace::Loopback),
            (
                "[2001:0:4136:e378:8000:63bf:80ff:fffe]",
                AddressSpace::Loopback,
            ),
            ("localhost.", AddressSpace::Loopback),
            ("LOCALHOST", AddressSpace::Loopback),
            ("１２７.0.0.1", AddressSpace::Loopback),
            ("0.0.0.0", AddressSpace::Loopback),
            ("[::]", AddressSpace::Loopback),
            ("169.254.169.254", AddressSpace::LinkLocal),
            ("[fe80::1]", AddressSpace::LinkLocal),
            ("100.100.100.200", AddressSpace::LinkLocal),
            ("[fd00:ec2::254]", AddressSpace::LinkLocal),
            ("[fd20:ce::254]", AddressSpace::LinkLocal),
            ("[::ffff:100.100.100.200]", AddressSpace::LinkLocal),
            ("10.1.2.3", AddressSpace::Private),
            ("192.168.1.1", AddressSpace::Private),
            ("172.31.0.1", AddressSpace::Private),
            ("100.64.0.1", AddressSpace::Private),
            ("[fd00::1]", AddressSpace::Private),
            ("[::ffff:0:7f00:1]", AddressSpace::Loopback),
            ("[5f00::1]", AddressSpace::Loopback),
            ("[3fff::1]", AddressSpace::Loopback),
            ("[100::1]", AddressSpace::Loopback),
            ("[ff02::1]", AddressSpace::Loopback),
            ("8.8.8.8", AddressSpace::Public),
            ("[2606:4700::1111]", AddressSpace::Public),
            ("172.32.0.1", AddressSpace::Public),
        ] {
            let url = Url::parse(&format!("https://{host}/")).unwrap();
            assert_eq!(AddressSpace::of_url(&url), address_space, "{host}");
        }
    }

    #[test]
    fn a_public_server_cannot_name_a_private_address() {
        let private = Url::parse("https://10.0.0.1/").unwrap();
        assert!(AddressSpace::Public.check_url(&private).is_err());
        assert!(AddressSpace::Private.check_url(&private).is_ok());
        assert!(AddressSpace::Loopback.check_url(&private).is_ok());
        let plain = Url::parse("http://127.0.0.1/").unwrap();
        assert!(AddressSpace::Private.check_url(&plain).is_err());
        assert!(AddressSpace::Loopback.check_url(&plain).is_ok());
        let bad_everywhere = [
            "http://mcp.example/",
            "https://a@mcp.example/",
            "javascript:alert(1)",
            "file:///x",
        ];
        for bad in bad_everywhere {
            let url = Url::parse(bad).unwrap();
            assert!(AddressSpace::Loopback.check_url(&url).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_client_for_public_networks_refuses_every_other_address() {
        let limit = AddressSpace::PublicOnly;
        for (url, host, address_space) in [
            (
                "http://127.0.0.1:8080/mcp",
                "127.0.0.1",
                AddressSpace::Loopback,
            ),
            ("https://localhost/mcp", "localhost", AddressSpace::Loopback),
            (
                "https://[::ffff:10.0.0.1]/",
                "[::ffff:a00:1]",
                AddressSpace::Private,
            ),
            ("https://100.64.0.1/", "100.64.0.1", AddressSpace::Private),
            ("https://[fd00::1]/", "[fd00::1]", AddressSpace::Private),
            (
                "https://169.254.169.254/",
                "169.254.169.254",
                AddressSpace::LinkLocal,
            ),
        ] {
            let url: Url = url.parse().unwrap();
            let refused = Err(UrlPolicyError::NotPublic(host.to_owned(), address_space));
            assert_eq!(limit.check_url(&url), refused, "{url}");
        }
        let plain: Url = "http://mcp.example/".parse().unwrap();
        assert_eq!(
            limit.check_url(&plain),
            Err(UrlPolicyError::Scheme("http".to_owned()))
        );
        let named: Url = "https://mcp.example/".parse().unwrap();
        assert_eq!(limit.check_url(&named), Ok(()));
        assert_eq!(
            limit.check_address(&named, "8.8.8.8".parse().unwrap()),
            Ok(())
        );
        let refused = limit.check_address(&named, "10.0.0.7".parse().unwrap());
        assert_eq!(
            refused.unwrap_err().to_string(),
            "mcp.example (10.0.0.7) is a private address, and this client connects to public addresses only"
        );
    }

    #[test]
    fn plain_http_stays_in_a_private_network() {
        let address_space = AddressSpace::PrivateOverHttp;
        let check = |url: &str| address_space.check_url(&Url::parse(url).unwrap());
        for good in [
            "http://10.0.0.7/mcp",
            "http://100.64.0.7/mcp",
            "http://[fd00::7]/mcp",
            "http://[::ffff:10.0.0.7]/mcp",
            "http://mcp-server:8080/mcp",
            "https://as.example/",
            "https://10.0.0.7/",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in [
            "http://8.8.8.8/",
            "http://127.0.0.1/",
            "http://localhost:8080/",
            "http://169.254.169.254/",
            "http://100.100.100.200/",
            "http://[fd00:ec2::254]/",
            "http://[2002:a00:1::]/",
            "http://[64:ff9b::a00:1]/",
            "http://[::10.0.0.1]/",
            "http://a@10.0.0.7/",
            "https://169.254.169.254/",
            "https://127.0.0.1/",
            "ftp://10.0.0.7/",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
        assert!(
            AddressSpace::Private
                .check_url(&"http://10.0.0.7/".parse().unwrap())
                .is_err()
        );
    }
}
