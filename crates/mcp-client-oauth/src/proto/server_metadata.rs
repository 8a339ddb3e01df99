//! Authorization server metadata (RFC 8414, OpenID Connect Discovery 1.0).

use std::fmt;

use mcp_oauth_support::UntrustedText;
use serde::{Deserialize, Serialize};
use url::Url;

use super::{dpop::ALGORITHM, endpoint::EndpointUrl, scope::Scope, serde_lenient};
use crate::platform::{AddressSpace, UrlPolicyError};

/// An issuer identifier, exactly as received: it is compared byte for byte, never normalised
/// (RFC 8414 §3.3, RFC 9207 §2.4).
#[derive(Clone, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Issuer(String);

impl Issuer {
    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether `other` is this issuer: byte for byte, or with the slash of an empty path that
    /// one of the two leaves out.
    ///
    /// `https://as.example` and `https://as.example/` are one URL, with one well-known location
    /// (RFC 3986 §6.2.3), and servers write either: the resource metadata of Box, Google, Xero and
    /// Close, and of pydantic, has the slash that the document of the authorization server does not have.
    /// An attacker gains nothing: both spellings name the same origin, which serves the document. With a
    /// path, a query, plain http or any other difference it is another issuer (RFC 8414 §3.3).
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        self == other || self.other_spelling().as_ref() == Some(other)
    }

    /// Returns the same issuer with the slash of its empty path added or left out; none if it is not
    /// an https URL of an origin alone.
    pub(crate) fn other_spelling(&self) -> Option<Self> {
        let bare = self.0.strip_suffix('/').unwrap_or(&self.0);
        let authority = bare.strip_prefix("https://")?;
        let is_plain = |c: char| c.is_ascii_graphic() && !"/?#\\@".contains(c);
        if authority.is_empty() || !authority.chars().all(is_plain) {
            return None;
        }
        Some(Self(if bare.len() == self.0.len() {
            format!("{bare}/")
        } else {
            bare.to_owned()
        }))
    }

    /// Returns the well-known URLs of the metadata of this issuer, in order (RFC 8414 §3.1; MCP
    /// authorization, Authorization Server Metadata Discovery). With a path, the document at the root is
    /// of another issuer and is never requested.
    ///
    /// The last URL is in no specification: Scalekit and Descope publish the document of RFC 8414
    /// below the path of the issuer, as OpenID Connect Discovery 1.0 does. An attacker gains nothing:
    /// control of that path is enough to publish the OpenID document there too, and the issuer in the
    /// document must match in any case.
    pub(crate) fn well_known_urls(
        &self,
        address_space: AddressSpace,
    ) -> Result<Vec<Url>, UrlPolicyError> {
        const OAUTH: &str = "/.well-known/oauth-authorization-server";
        const OPENID: &str = "/.well-known/openid-configuration";
        let base = EndpointUrl::parse(&self.0, address_space)?;
        let path = base.as_url().path().trim_end_matches('/').to_owned();
        let at = |path: String| {
            let mut url = base.as_url().clone();
            url.set_path(&path);
            url.set_query(None);
            url.set_fragment(None);
            url
        };
        let mut urls = vec![at(format!("{OAUTH}{path}")), at(format!("{OPENID}{path}"))];
        if !path.is_empty() {
            urls.push(at(format!("{path}{OPENID}")));
            urls.push(at(format!("{path}{OAUTH}")));
        }
        Ok(urls)
    }
}

impl From<&str> for Issuer {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<String> for Issuer {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        UntrustedText::new(&self.0).fmt(f)
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Issuer({self})")
    }
}

/// The metadata of an authorization server (RFC 8414 §2), with checked endpoints.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ServerMetadata {
    /// Its issuer identifier.
    pub issuer: Issuer,
    /// The page that the browser opens.
    pub authorization_endpoint: Option<EndpointUrl>,
    /// The endpoint for token requests.
    pub token_endpoint: EndpointUrl,
    /// The endpoint for dynamic client registration (RFC 7591).
    pub registration_endpoint: Option<EndpointUrl>,
    /// The endpoint for token revocation (RFC 7009).
    pub revocation_endpoint: Option<EndpointUrl>,
    /// The endpoint for device codes (RFC 8628 §4). Without it the device grant is not offered, even if
    /// `grant_types_supported` has it.
    pub device_authorization_endpoint: Option<EndpointUrl>,
    /// The grants that it lists. The endpoints decide whether a grant is offered; this list only
    /// explains why one is not.
    pub grant_types_supported: Option<Vec<String>>,
    /// The scopes that it lists, as far as they are within the limits of this client (1,024 scopes, 16 KiB).
    /// Of these, only `offline_access` is requested because it is listed here.
    pub scopes_supported: Option<Scope>,
    /// The client authentication methods of the token endpoint.
    pub token_endpoint_auth_methods_supported: Option<Vec<String>>,
    /// The client authentication methods of the revocation endpoint; none if the server lists none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation_endpoint_auth_methods_supported: Option<Vec<String>>,
    /// The algorithms for `private_key_jwt`.
    pub token_endpoint_auth_signing_alg_values_supported: Option<Vec<String>>,
    /// The PKCE methods; none means that PKCE is not supported (MCP authorization, Authorization Code
    /// Protection).
    pub code_challenge_methods_supported: Option<Vec<String>>,
    /// Says whether the URL of a client metadata document is accepted as a client id.
    pub client_id_metadata_document_supported: bool,
    /// Says whether the server sends `iss` in the authorization response (RFC 9207 §3).
    pub authorization_response_iss_parameter_supported: bool,
    /// The algorithms of DPoP proofs (RFC 9449 §5.1); none if the server lists none.
    pub dpop_signing_alg_values_supported: Option<Vec<String>>,
    /// The profiles of the JWT bearer grant that it supports (SEP-990); none if the server lists none.
    pub authorization_grant_profiles_supported: Option<Vec<String>>,
}

/// The grant profile of an ID-JAG, the assertion of an identity provider (SEP-990).
pub(crate) const ID_JAG_PROFILE: &str = "urn:ietf:params:oauth:grant-profile:id-jag";

/// Says why a document is not the metadata of an issuer.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ServerMetadataError {
    /// Not JSON, or a member that is missing, of the wrong type, or occurs twice.
    #[error("it is not authorization server metadata ({0})")]
    Unreadable(UntrustedText),
    /// RFC 8414 §3.3: the document of another issuer must not be used.
    #[error("it belongs to the issuer `{found}`, but `{expected}` was requested")]
    IssuerMismatch {
        /// The requested issuer.
        expected: Issuer,
        /// The issuer in the document.
        found: Issuer,
    },
    /// An endpoint that the network policy forbids.
    #[error("its `{member}` cannot be used: {cause}")]
    UnsafeEndpoint {
        /// The member of the document.
        member: &'static str,
        /// The reason.
        #[source]
        cause: UrlPolicyError,
    },
}

#[derive(Deserialize)]
struct Wire {
    #[serde(default)]
    issuer: Option<String>,
    #[serde(default, deserialize_with = "serde_lenient::optional")]
    authorization_endpoint: Option<String>,
    token_endpoint: String,
    #[serde(default, deserialize_with = "serde_lenient::optional")]
    registration_endpoint: Option<String>,
    #[serde(default, deserialize_with = "serde_lenient::optional")]
    revocation_endpoint: Option<String>,
    #[serde(default, deserialize_with = "serde_lenient::optional")]
    device_authorization_endpoint: Option<String>,
    #[serde(default, deserialize_with = "serde_lenient::strings")]
    grant_types_supported: Option<Vec<String>>,
    #[serde(default, deserialize_with = "serde_lenient::all_strings")]
    scopes_supported: Option<Vec<String>>,
    #[serde(default, deserialize_with = "serde_lenient::strings")]
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default, deserialize_with = "serde_lenient::strings")]
    revocation_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default, deserialize_with = "serde_lenient::strings")]
    token_endpoint_auth_signing_alg_values_supported: Option<Vec<String>>,
    #[serde(default, deserialize_with = "serde_lenient::strings")]
    code_challenge_methods_supported: Option<Vec<String>>,
    #[serde(default, deserialize_with = "serde_lenient::flag")]
    client_id_metadata_document_supported: bool,
    #[serde(default, deserialize_with = "serde_lenient::flag")]
    authorization_response_iss_parameter_supported: bool,
    #[serde(default, deserialize_with = "serde_lenient::strings")]
    dpop_signing_alg_values_supported: Option<Vec<String>>,
    #[serde(default, deserialize_with = "serde_lenient::strings")]
    authorization_grant_profiles_supported: Option<Vec<String>>,
}

impl ServerMetadata {
    /// Creates the metadata of an issuer from given endpoints. PKCE with S256 is assumed; set the other
    /// members as needed.
    pub fn manual(
        issuer: Issuer,
        authorization_endpoint: EndpointUrl,
        token_endpoint: EndpointUrl,
    ) -> Self {
        Self {
            issuer,
            authorization_endpoint: Some(authorization_endpoint),
            token_endpoint,
            registration_endpoint: None,
            revocation_endpoint: None,
            device_authorization_endpoint: None,
            grant_types_supported: None,
            scopes_supported: None,
            token_endpoint_auth_methods_supported: None,
            revocation_endpoint_auth_methods_supported: None,
            token_endpoint_auth_signing_alg_values_supported: None,
            code_challenge_methods_supported: Some(vec!["S256".to_owned()]),
            client_id_metadata_document_supported: false,
            authorization_response_iss_parameter_supported: false,
            dpop_signing_alg_values_supported: None,
            authorization_grant_profiles_supported: None,
        }
    }

    /// Parses the body of a metadata response that was requested for `expected`. The issuer is compared
    /// before any other member is used (RFC 8414 §3.3).
    pub(crate) fn parse(
        body: &[u8],
        expected: &Issuer,
        address_space: AddressSpace,
    ) -> Result<Self, ServerMetadataError> {
        Self::parse_with_aliases(body, expected, &[], address_space)
    }

    /// Parses the same, and accepts the `other` issuers too; an empty one accepts a document without an
    /// issuer. The issuer of the result is then `expected`: clients and tokens are bound to the issuer
    /// that was requested.
    ///
    /// Where the two differ in the slash of an empty path alone ([`Issuer::is_same_as`]), the issuer is
    /// the one of the document, because the `iss` of a callback is compared with that one byte for byte
    /// (RFC 9207 §2.4).
    pub(crate) fn parse_with_aliases(
        body: &[u8],
        expected: &Issuer,
        other: &[Issuer],
        address_space: AddressSpace,
    ) -> Result<Self, ServerMetadataError> {
        let unreadable = |reason: &str| ServerMetadataError::Unreadable(UntrustedText::new(reason));
        let wire: Wire =
            serde_json::from_slice(body).map_err(|error| unreadable(&error.to_string()))?;
        let found = Issuer::from(wire.issuer.as_deref().unwrap_or_default());
        let issuer = if found == *expected || other.contains(&found) {
            expected.clone()
        } else if found.is_same_as(expected) {
            found
        } else {
            if wire.issuer.is_none() {
                return Err(unreadable("missing field `issuer`"));
            }
            return Err(ServerMetadataError::IssuerMismatch {
                expected: expected.clone(),
                found,
            });
        };
        let endpoint = |member: &'static str, text: &str| {
            EndpointUrl::parse(text, address_space)
                .map_err(|cause| ServerMetadataError::UnsafeEndpoint { member, cause })
        };
        let optional =
            |member, text: Option<String>| text.map(|text| endpoint(member, &text)).transpose();
        let requested = EndpointUrl::parse(expected.as_str(), address_space);
        let page = |member: &'static str, text: String| {
            let from = requested.as_ref().map_err(Clone::clone);
            from.and_then(|from| EndpointUrl::parse_page(&text, address_space, from.as_url()))
                .map_err(|cause| ServerMetadataError::UnsafeEndpoint { member, cause })
        };
        Ok(Self {
            issuer,
            authorization_endpoint: wire
                .authorization_endpoint
                .map(|text| page("authorization_endpoint", text))
                .transpose()?,
            token_endpoint: endpoint("token_endpoint", &wire.token_endpoint)?,
            registration_endpoint: optional("registration_endpoint", wire.registration_endpoint)?,
            revocation_endpoint: optional("revocation_endpoint", wire.revocation_endpoint)?,
            device_authorization_endpoint: optional(
                "device_authorization_endpoint",
                wire.device_authorization_endpoint,
            )?,
            grant_types_supported: wire.grant_types_supported,
            scopes_supported: Scope::within_limits(wire.scopes_supported.unwrap_or_default()).0,
            token_endpoint_auth_methods_supported: wire.token_endpoint_auth_methods_supported,
            revocation_endpoint_auth_methods_supported: wire
                .revocation_endpoint_auth_methods_supported,
            token_endpoint_auth_signing_alg_values_supported: wire
                .token_endpoint_auth_signing_alg_values_supported,
            code_challenge_methods_supported: wire.code_challenge_methods_supported,
            client_id_metadata_document_supported: wire.client_id_metadata_document_supported,
            authorization_response_iss_parameter_supported: wire
                .authorization_response_iss_parameter_supported,
            dpop_signing_alg_values_supported: wire.dpop_signing_alg_values_supported,
            authorization_grant_profiles_supported: wire.authorization_grant_profiles_supported,
        })
    }

    /// Returns whether the server lists S256 (MCP authorization, Authorization Code Protection).
    pub(crate) fn supports_pkce(&self) -> bool {
        let methods = self.code_challenge_methods_supported.as_ref();
        methods.is_some_and(|methods| methods.iter().any(|method| method == "S256"))
    }

    /// Returns the client authentication methods of the revocation endpoint, if the server lists any.
    /// Without such a list, the methods of the token endpoint are used, although the default of RFC 8414 §2
    /// is Basic: a client without a secret could not use that.
    pub(crate) fn revocation_auth_methods(&self) -> Option<&[String]> {
        self.revocation_endpoint_auth_methods_supported
            .as_deref()
            .or(self.token_endpoint_auth_methods_supported.as_deref())
    }

    /// Returns whether the server may accept DPoP proofs with [`ALGORITHM`] (RFC 9449 §5.1). A server
    /// that lists no algorithm may accept them.
    pub(crate) fn supports_dpop(&self) -> bool {
        let algorithms = self.dpop_signing_alg_values_supported.as_ref();
        algorithms.is_none_or(|listed| listed.iter().any(|name| name == ALGORITHM))
    }

    /// Returns whether the server may support ID-JAG (SEP-990). A server that lists no profile may
    /// support it, because the member is newer than the grant.
    pub(crate) fn supports_id_jag(&self) -> bool {
        let profiles = self.authorization_grant_profiles_supported.as_ref();
        profiles.is_none_or(|listed| listed.iter().any(|name| name == ID_JAG_PROFILE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_well_known_urls_is_that_of_the_specification() {
        let urls = |issuer: &str| -> Vec<String> {
            let urls = Issuer::from(issuer)
                .well_known_urls(AddressSpace::Public)
                .unwrap();
            urls.iter().map(ToString::to_string).collect()
        };
        assert_eq!(
            urls("https://as/t1"),
            [
                "https://as/.well-known/oauth-authorization-server/t1",
                "https://as/.well-known/openid-configuration/t1",
                "https://as/t1/.well-known/openid-configuration",
                "https://as/t1/.well-known/oauth-authorization-server",
            ]
        );
        for bare in ["https://as", "https://as/"] {
            assert_eq!(
                urls(bare),
                [
                    "https://as/.well-known/oauth-authorization-server",
                    "https://as/.well-known/openid-configuration",
                ]
            );
        }
        assert!(
            Issuer::from("http://as")
                .well_known_urls(AddressSpace::Public)
                .is_err()
        );
    }

    fn document(issuer: &str) -> serde_json::Value {
        serde_json::json!({
            "issuer": issuer,
            "authorization_endpoint": "https://as.example/authorize",
            "token_endpoint": "https://as.example/token",
        })
    }

    fn parse(document: &serde_json::Value) -> Result<ServerMetadata, ServerMetadataError> {
        let expected = Issuer::from("https://as.example");
        ServerMetadata::parse(
            document.to_string().as_bytes(),
            &expected,
            AddressSpace::Public,
        )
    }

    /// RFC 8414 §2.
    #[test]
    fn revocation_uses_its_own_method_list_or_that_of_the_token_endpoint() {
        let mut document = document("https://as.example");
        document["token_endpoint_auth_methods_supported"] = serde_json::json!(["none"]);
        let parsed = parse(&document).unwrap();
        assert_eq!(parsed.revocation_auth_methods().unwrap(), ["none"]);
        let own = ["client_secret_basic"];
        document["revocation_endpoint_auth_methods_supported"] = serde_json::json!(own);
        let parsed = parse(&document).unwrap();
        assert_eq!(parsed.revocation_auth_methods().unwrap(), own);
    }

    #[test]
    fn another_spelling_of_the_issuer_is_refused() {
        assert!(parse(&document("https://as.example")).is_ok());
        for other in [
            "https://as.example//",
            "https://as.example/?",
            "https://as.example/#",
            "https://as.example/.",
            "https://AS.example",
            "https://AS.example/",
            "https://as.example:443",
            "https://as.example:443/",
            " https://as.example/",
            "https://as.ex%61mple",
            "https://xn--as.example",
            "https://evil.example",
            "http://as.example",
            "",
        ] {
            let error = parse(&document(other)).unwrap_err();
            assert!(
                matches!(error, ServerMetadataError::IssuerMismatch { .. }),
                "{other}"
            );
        }
    }

    /// RFC 3986 §6.2.3, for https alone.
    #[test]
    fn an_empty_path_and_a_slash_are_one_issuer() {
        let parse = |expected: &str, found: &str| {
            let expected = Issuer::from(expected);
            let body = document(found).to_string();
            ServerMetadata::parse(body.as_bytes(), &expected, AddressSpace::Loopback)
                .map(|metadata| metadata.issuer.as_str().to_owned())
        };
        for (expected, found) in [
            ("https://as.example", "https://as.example/"),
            ("https://as.example/", "https://as.example"),
            ("https://as.example:8443/", "https://as.example:8443"),
            ("https://[2001:db8::1]", "https://[2001:db8::1]/"),
        ] {
            assert_eq!(parse(expected, found).unwrap(), found);
        }
        for (expected, found) in [
            ("https://as.example/t", "https://as.example/t/"),
            ("https://as.example/t/", "https://as.example/t"),
            ("https://as.example/", "https://as.example//"),
            ("https://as.example", "https://as.example:443/"),
            ("https://as.example", "https://AS.example/"),
            ("https://as.example?", "https://as.example?/"),
            ("https://as.example?x", "https://as.example?x/"),
            ("https://as.example#", "https://as.example#/"),
            ("https://u@as.example", "https://u@as.example/"),
            ("https://as.example\\", "https://as.example\\/"),
            ("HTTPS://as.example", "HTTPS://as.example/"),
            ("http://127.0.0.1:8000", "http://127.0.0.1:8000/"),
            ("http://127.0.0.1:8000/", "http://127.0.0.1:8000"),
            ("https://", "https:///"),
            ("", "/"),
        ] {
            let error = parse(expected, found).unwrap_err();
            assert!(
                matches!(error, ServerMetadataError::IssuerMismatch { .. }),
                "{expected} {found}: {error}"
            );
        }
    }

    /// Clients and tokens stay bound to the requested issuer.
    #[test]
    fn an_accepted_alias_does_not_change_the_issuer() {
        let [requested, named] = ["https://as.example/", "https://as.example"].map(Issuer::from);
        let body = document(named.as_str()).to_string();
        let aliases = std::slice::from_ref(&named);
        let parsed = ServerMetadata::parse_with_aliases(
            body.as_bytes(),
            &requested,
            aliases,
            AddressSpace::Public,
        );
        assert_eq!(parsed.unwrap().issuer, requested);
    }

    #[test]
    fn a_document_with_one_unsafe_endpoint_is_refused() {
        for member in [
            "authorization_endpoint",
            "token_endpoint",
            "registration_endpoint",
            "revocation_endpoint",
            "device_authorization_endpoint",
        ] {
            for bad in [
                "http://as.example/x",
                "javascript:x",
                "https://169.254.169.254/",
                "https://u@as.example/",
                "x",
            ] {
                let mut document = document("https://as.example");
                document[member] = bad.into();
                let error = parse(&document).unwrap_err();
                assert!(
                    matches!(error, ServerMetadataError::UnsafeEndpoint { .. }),
                    "{member} {bad}"
                );
            }
        }
    }

    #[test]
    fn absent_or_plain_methods_mean_no_pkce() {
        let mut document = document("https://as.example");
        assert!(!parse(&document).unwrap().supports_pkce());
        for (methods, supported) in [
            (serde_json::json!(["plain"]), false),
            (serde_json::json!("S256"), false),
            (serde_json::json!(null), false),
            (serde_json::json!(["plain", "S256"]), true),
        ] {
            document["code_challenge_methods_supported"] = methods;
            assert_eq!(
                parse(&document).unwrap().supports_pkce(),
                supported,
                "{document}"
            );
        }
    }

    #[test]
    fn a_document_with_a_duplicate_member_is_refused() {
        let body = br#"{"issuer":"https://as.example","token_endpoint":"https://as.example/token","token_endpoint":"https://evil.example/token"}"#;
        let error = ServerMetadata::parse(
            body,
            &Issuer::from("https://as.example"),
            AddressSpace::Public,
        );
        assert!(
            error
                .unwrap_err()
                .to_string()
                .contains("duplicate field `token_endpoint`")
        );
    }
}
