//! Non-interactive token requests: client credentials (RFC 6749 §4.4) and assertions (RFC 7523 §2.1).

use mcp_oauth_support::Secret;

use super::{
    access_token::LONGEST_TOKEN, client_auth::ClientAuth, endpoint::EndpointUrl,
    resource_metadata::Resource, scope::Scope,
};
use crate::platform::{AddressSpace, Request};

/// A JWT that a third party has issued: a workload identity, an ID token, an ID-JAG. It is sent unchanged;
/// the server that receives it verifies it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Assertion(Secret<String>);

impl Assertion {
    /// Parses the first line of `text`, without the blanks around it; none if that is not a JWT: three
    /// parts in base64url (RFC 7515 §7.1), and no longer than a token may be.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let line = text.lines().next()?.trim();
        let is_part = |part: &str| {
            let mut bytes = part.bytes();
            !part.is_empty() && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        let is_jwt = line.split('.').count() == 3 && line.split('.').all(is_part);
        (is_jwt && line.len() <= LONGEST_TOKEN).then(|| Self(Secret::new(line.to_owned())))
    }

    /// Returns the text. The name marks each place where the secret leaves its wrapper.
    pub(crate) fn expose(&self) -> &str {
        self.0.expose()
    }
}

/// Returns the request for client credentials (RFC 6749 §4.4.2, SEP-1046).
pub(crate) fn client_credentials_request(
    endpoint: &EndpointUrl,
    address_space: AddressSpace,
    client: &ClientAuth<'_>,
    resource: Option<&Resource>,
    scope: Option<&Scope>,
) -> Request {
    let grant = [("grant_type", "client_credentials")];
    post(endpoint, address_space, client, &grant, resource, scope)
}

/// Returns the request that exchanges an assertion for tokens (RFC 7523 §2.1).
pub(crate) fn assertion_request(
    endpoint: &EndpointUrl,
    address_space: AddressSpace,
    client: &ClientAuth<'_>,
    resource: Option<&Resource>,
    scope: Option<&Scope>,
    assertion: &Assertion,
) -> Request {
    let grant = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
        ("assertion", assertion.expose()),
    ];
    post(endpoint, address_space, client, &grant, resource, scope)
}

fn post(
    endpoint: &EndpointUrl,
    address_space: AddressSpace,
    client: &ClientAuth<'_>,
    grant: &[(&str, &str)],
    resource: Option<&Resource>,
    scope: Option<&Scope>,
) -> Request {
    let scope = scope.map(ToString::to_string);
    let mut fields = grant.to_vec();
    fields.extend(resource.map(|resource| ("resource", resource.as_str())));
    fields.extend(scope.as_deref().map(|scope| ("scope", scope)));
    client.build_form_request(endpoint, address_space, &fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_read_without_blanks() {
        for text in [
            "aa.b-b.c_c",
            " aa.b-b.c_c \n",
            "aa.b-b.c_c\r\nmore\n",
            "\taa.b-b.c_c",
        ] {
            assert_eq!(Assertion::parse(text).unwrap().expose(), "aa.b-b.c_c");
        }
    }

    #[test]
    fn a_text_that_is_no_jwt_is_refused() {
        let long = format!("a.b.{}", "c".repeat(LONGEST_TOKEN));
        for text in [
            "",
            "\n",
            "\na.b.c",
            "a",
            "a.b",
            "a.b.c.d",
            "a..c",
            "a.b.",
            ".b.c",
            "a.b c.d",
            "a.b=.c",
            "a.é.c",
            "a.b.c\u{0}",
            &long,
        ] {
            assert_eq!(Assertion::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn an_assertion_is_never_printed() {
        let assertion = Assertion::parse("planted.planted.planted").unwrap();
        assert!(!format!("{assertion:?}").contains("planted"));
    }
}
