//! Provider overrides: how one server differs from the specifications, as data.
//!
//! The differences of common providers are known by their issuer; what the caller sets for a server
//! goes before them. Nothing here changes the checks that protect a login: `state`, PKCE, and where
//! tokens are sent. Two fields disable a check, for one server: [`Quirks::assume_pkce`] and
//! [`Quirks::issuers`].

use std::{collections::BTreeMap, time::SystemTime};

use serde::{Deserialize, Serialize};
use url::Url;

use crate::{
    platform::Response,
    proto::{
        authorize_parameters::AuthorizeParameters,
        resource_metadata::Resource,
        server_metadata::Issuer,
        token::{self, AuthScheme, TokenError, TokenSet, TokenTypes},
    },
};

/// The differences of one server from the specifications. For a field that is not set, the known quirks of
/// the provider apply, else the specifications.
///
/// ```
/// use mcp_client_oauth::flow::{Quirks, ResourceParameter};
///
/// let mut quirks = Quirks::default();
/// quirks.resource = Some(ResourceParameter::Omitted);
/// quirks.authorization_params.insert("audience", "https://api.example")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Quirks {
    /// The value of the parameter `resource`, which RFC 8707 and MCP require in every request. It does not
    /// change to which URLs a token may be sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<ResourceParameter>,
    /// Says whether a refresh names the scope of the login again, which RFC 6749 §6 leaves open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope_on_refresh: Option<bool>,
    /// Extra parameters of the authorization request.
    #[serde(
        rename = "authorize",
        skip_serializing_if = "AuthorizeParameters::is_empty"
    )]
    pub authorization_params: AuthorizeParameters,
    /// Says whether a token response may be form-encoded. RFC 6749 §5.1 requires JSON.
    #[serde(rename = "form_answers", skip_serializing_if = "Option::is_none")]
    pub form_encoded_responses: Option<bool>,
    /// Says whether the server checks S256 although its metadata lists no PKCE methods. It has no effect if
    /// there is a list: a server that lists only `plain` is refused (RFC 7636 §4.2).
    #[serde(rename = "pkce_unlisted", skip_serializing_if = "Option::is_none")]
    pub assume_pkce: Option<bool>,
    /// Says whether a token response without `token_type`, which RFC 6749 §5.1 requires, has a bearer
    /// token. `OpenAuth` (npm `@openauthjs/openauth`) leaves it out. An attacker gains nothing: the token
    /// is sent only to the URLs that any other token is sent to, and a login that requires a token bound to
    /// a key does not accept such a response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assume_bearer: Option<bool>,
    /// Other issuer names that the authorization server may have in its metadata and in the callback; an
    /// empty one is for metadata without a name. Each is compared byte for byte, and its use is logged
    /// as a warning: it disables the protection of RFC 8414 §3.3 and RFC 9207 for the servers that are
    /// named here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub issuers: Vec<IssuerAlias>,
}

/// Another issuer name of an authorization server.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(from = "WrittenName")]
#[non_exhaustive]
pub struct IssuerAlias {
    /// The name, as it stands in the metadata or the callback.
    pub name: Issuer,
    /// The authorization server that the name belongs to. If it is not set, the name is bound to the one of
    /// the existing login, or to the one that discovery finds next. It is then not valid for another one,
    /// unless it is given again with [`Login::force`](crate::Login::force).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<Issuer>,
}

/// An [`IssuerAlias`] in JSON: earlier records have the name alone.
#[derive(Deserialize)]
#[serde(untagged)]
enum WrittenName {
    Alone(Issuer),
    Whole {
        name: Issuer,
        #[serde(default)]
        of: Option<Issuer>,
    },
}

/// An alias of the authorization server that discovery finds.
impl From<Issuer> for IssuerAlias {
    fn from(name: Issuer) -> Self {
        Self { name, of: None }
    }
}

impl From<WrittenName> for IssuerAlias {
    fn from(written: WrittenName) -> Self {
        match written {
            WrittenName::Alone(name) => Self::from(name),
            WrittenName::Whole { name, of } => Self { name, of },
        }
    }
}

impl IssuerAlias {
    fn is_of(&self, issuer: &Issuer) -> bool {
        self.of.as_ref().is_none_or(|of| of == issuer)
    }
}

/// The value of the parameter `resource`.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ResourceParameter {
    /// The resource, as in its metadata.
    #[default]
    #[serde(rename = "published")]
    Default,
    /// It is not sent.
    Omitted,
    /// Another identifier, under which the resource is registered with the authorization server.
    #[serde(rename = "named")]
    Override(Resource),
}

impl Quirks {
    /// Returns the known differences of the provider of `issuer`.
    ///
    /// | issuer | difference | seen |
    /// |---|---|---|
    /// | Microsoft Entra v2 (three clouds) | no `resource` (AADSTS901002, AADSTS9010010), the scope on refresh (AADSTS90009); its metadata lists no PKCE methods, and it checks S256 | |
    /// | the tenants `organizations`, `common`, `consumers` of it | the issuer in the metadata is the literal `https://<host>/{tenantid}/v2.0` | `openid-configuration` of 2026-10-01 |
    /// | Google | `access_type=offline` and `prompt=consent`, or there is no refresh token | |
    /// | GitHub | may respond with a form | |
    /// | `https://cognito-idp.<region>.amazonaws.com/<pool>` (Amazon Cognito, `AgentCore` too) | its metadata lists no PKCE methods, and it checks S256 | anthropics/claude-code#13275, #35846; AWS: "Using PKCE in authorization code grants", 2026-10 |
    /// | `https://auth.monday.com/mcp` | its callback names the issuer `https://auth.monday.com` | NousResearch/hermes-agent#96107; metadata of 2026-10-01 |
    /// | `https://mcp.slack.com`, `https://slack.com` | `token_type` may be `user`, which is a bearer token | different-ai/openwork#3569; metadata of 2026-10-01 |
    /// | `https://www.dropbox.com` | `token_access_type=offline`, or there is no refresh token | Dropbox OAuth guide, nextauthjs/next-auth#12161; metadata of 2026-10-01 |
    ///
    /// The issuer aliases of Entra and monday.com and the `token_type` of Slack are always accepted from
    /// these issuers; no field here changes them.
    pub(crate) fn for_issuer(issuer: &Issuer) -> Self {
        let Ok(url) = Url::parse(issuer.as_str()) else {
            return Self::default();
        };
        match (url.scheme(), url.host_str().unwrap_or_default()) {
            ("https", host) if ENTRA.contains(&host) && is_below(&url, "v2.0") => Self {
                resource: Some(ResourceParameter::Omitted),
                scope_on_refresh: Some(true),
                assume_pkce: Some(true),
                ..Self::default()
            },
            ("https", host) if is_cognito(host) && !url.path().trim_matches('/').is_empty() => {
                Self {
                    assume_pkce: Some(true),
                    ..Self::default()
                }
            }
            ("https", "accounts.google.com") => Self {
                authorization_params: parameters(GOOGLE),
                ..Self::default()
            },
            ("https", "www.dropbox.com") => Self {
                authorization_params: parameters(DROPBOX),
                ..Self::default()
            },
            ("https", "github.com") => Self {
                form_encoded_responses: Some(true),
                ..Self::default()
            },
            _ => Self::default(),
        }
    }

    /// Returns these quirks, with the fields that are not set taken from `other`.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        let issuers = [self.issuers, other.issuers].concat();
        Self {
            resource: self.resource.or(other.resource),
            scope_on_refresh: self.scope_on_refresh.or(other.scope_on_refresh),
            authorization_params: self.authorization_params.or(other.authorization_params),
            form_encoded_responses: self.form_encoded_responses.or(other.form_encoded_responses),
            assume_pkce: self.assume_pkce.or(other.assume_pkce),
            assume_bearer: self.assume_bearer.or(other.assume_bearer),
            issuers,
        }
    }

    /// Returns the same, with each alias that has no issuer bound to `issuer`.
    #[must_use]
    pub(crate) fn bind_issuer(mut self, issuer: &Issuer) -> Self {
        for other in &mut self.issuers {
            other.of.get_or_insert_with(|| issuer.clone());
        }
        self
    }

    /// Returns the same, with each alias bound to the issuer that it has in `before`.
    pub(crate) fn bound_as_in(mut self, before: &Self) -> Self {
        for other in self.issuers.iter_mut().filter(|other| other.of.is_none()) {
            let mut known = before.issuers.iter();
            let known = known.find(|known| known.name == other.name);
            other.of = known.and_then(|known| known.of.clone());
        }
        self
    }

    /// Returns the configured aliases of `issuer`.
    pub(crate) fn names_of(&self, issuer: &Issuer) -> Vec<Issuer> {
        let names = self.issuers.iter().filter(|other| other.is_of(issuer));
        names.map(|other| other.name.clone()).collect()
    }

    /// Returns the aliases that are accepted in the metadata of `issuer`.
    pub(crate) fn names_in_metadata(&self, issuer: &Issuer) -> Vec<Issuer> {
        let mut names = self.names_of(issuer);
        names.extend(entra_template(issuer));
        names
    }

    /// Returns the aliases that are accepted in a callback of `issuer`.
    pub(crate) fn names_in_callback(&self, issuer: &Issuer) -> Vec<Issuer> {
        let mut names = self.names_of(issuer);
        names.extend((issuer.as_str() == MONDAY).then(|| Issuer::from(MONDAY_IN_CALLBACK)));
        names
    }

    /// Returns whether no field is set.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns the value of the parameter `resource`, for tokens for `published`.
    pub(crate) fn resource_parameter<'a>(
        &'a self,
        published: &'a Resource,
    ) -> Option<&'a Resource> {
        match &self.resource {
            None | Some(ResourceParameter::Default) => Some(published),
            Some(ResourceParameter::Omitted) => None,
            Some(ResourceParameter::Override(named)) => Some(named),
        }
    }

    /// Returns whether each token request names the resource that the token is for.
    pub(crate) fn tells_resources_apart(&self) -> bool {
        matches!(self.resource, None | Some(ResourceParameter::Default))
    }

    /// Parses a token response of `issuer` ([`token::response_of`]) in the form that this server sends.
    pub(crate) fn tokens(
        &self,
        issuer: &Issuer,
        response: &Response,
        now: SystemTime,
        secrets: &[&str],
        scheme: AuthScheme,
    ) -> Result<TokenSet, TokenError> {
        let types = TokenTypes {
            missing_is_bearer: self.assume_bearer == Some(true),
            // Slack issues each token of a user with this type, and accepts it as a bearer token.
            bearer_alias: SLACK.contains(&issuer.as_str()).then_some("user"),
        };
        token::response_of(response, now, secrets, scheme, types)
    }

    /// Returns the response of a token endpoint in JSON (RFC 6749 §5.1).
    pub(crate) fn token_response(&self, response: Response) -> Response {
        match self.form_encoded_responses {
            Some(true) => token::form_to_json(response),
            _ => response,
        }
    }
}

/// The hosts of Microsoft Entra, of its national clouds too.
const ENTRA: &[&str] = &[
    "login.microsoftonline.com",
    "login.microsoftonline.us",
    "login.partner.microsoftonline.cn",
];
/// The tenant names of Microsoft Entra that mean any of several tenants: their metadata is a template.
const ENTRA_TENANTS: &[&str] = &["organizations", "common", "consumers"];
/// The parameters without which the second login of a Google account gets no refresh token.
const GOOGLE: &[(&str, &str)] = &[("access_type", "offline"), ("prompt", "consent")];
/// The parameter without which a Dropbox login gets no refresh token.
const DROPBOX: &[(&str, &str)] = &[("token_access_type", "offline")];
/// The issuer of monday.com, and the `iss` of its callback.
const MONDAY: &str = "https://auth.monday.com/mcp";
const MONDAY_IN_CALLBACK: &str = "https://auth.monday.com";
/// The issuers of Slack: that of its MCP server, and that of its workspaces.
const SLACK: &[&str] = &["https://mcp.slack.com", "https://slack.com"];

fn parameters(known: &[(&str, &str)]) -> AuthorizeParameters {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let parameters: BTreeMap<_, _> = known.iter().map(owned).collect();
    AuthorizeParameters::try_from(parameters).unwrap_or_default()
}

/// Returns the literal `issuer` in the metadata of `issuer`, if that has one of the tenant names
/// [`ENTRA_TENANTS`] of Microsoft Entra.
///
/// An attacker gains nothing: the document comes from the same host, over TLS, and the value of `issuer`
/// does not change to which endpoints tokens are sent.
fn entra_template(issuer: &Issuer) -> Option<Issuer> {
    ENTRA.iter().find_map(|host| {
        let tenant = issuer.as_str().strip_prefix("https://")?;
        let tenant = tenant.strip_prefix(host)?.strip_prefix('/')?;
        let tenant = tenant.strip_suffix("/v2.0")?;
        let is_known = ENTRA_TENANTS.contains(&tenant);
        is_known.then(|| Issuer::from(format!("https://{host}/{{tenantid}}/v2.0")))
    })
}

/// Returns whether `host` is `cognito-idp.<region>.amazonaws.com`.
fn is_cognito(host: &str) -> bool {
    let region = host.strip_prefix("cognito-idp.");
    let region = region.and_then(|rest| rest.strip_suffix(".amazonaws.com"));
    region.is_some_and(|region| {
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        !region.is_empty() && region.chars().all(is_plain)
    })
}

fn is_below(url: &Url, last: &str) -> bool {
    let path = url.path().trim_end_matches('/');
    path.rsplit('/').next() == Some(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(issuer: &str) -> Quirks {
        Quirks::for_issuer(&Issuer::from(issuer))
    }

    #[test]
    fn a_provider_is_known_by_its_whole_host() {
        let entra = known("https://login.microsoftonline.com/9188040d/v2.0");
        assert_eq!(entra.resource, Some(ResourceParameter::Omitted));
        assert_eq!(entra.scope_on_refresh, Some(true));
        let google = known("https://accounts.google.com");
        assert_eq!(
            google.authorization_params.iter().collect::<Vec<_>>(),
            GOOGLE
        );
        assert_eq!(
            known("https://github.com/login/oauth").form_encoded_responses,
            Some(true)
        );
        for other in [
            "https://login.microsoftonline.com/9188040d/",
            "https://login.microsoftonline.com.evil.example/t/v2.0",
            "https://evil.example/login.microsoftonline.com/v2.0",
            "http://accounts.google.com",
            "https://accounts.google.com.evil.example",
            "https://as.example",
            "no URL",
        ] {
            assert!(known(other).is_empty(), "{other}");
        }
    }

    #[test]
    fn known_differences_hold_for_the_exact_issuer_alone() {
        let cognito = "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_AbCdEf";
        assert_eq!(known(cognito).assume_pkce, Some(true));
        let dropbox = known("https://www.dropbox.com");
        assert_eq!(
            dropbox.authorization_params.iter().collect::<Vec<_>>(),
            DROPBOX
        );
        for other in [
            "http://cognito-idp.us-east-1.amazonaws.com/us-east-1_AbCdEf",
            "https://cognito-idp.us-east-1.amazonaws.com",
            "https://cognito-idp.amazonaws.com/pool",
            "https://cognito-idp.evil.example.amazonaws.com/pool",
            "https://cognito-idp.us-east-1.amazonaws.com.evil.example/pool",
            "https://evil.amazonaws.com/pool",
            "https://dropbox.com",
            "https://www.dropbox.com.evil.example",
        ] {
            assert!(known(other).is_empty(), "{other}");
        }
    }

    #[test]
    fn three_entra_tenants_and_the_monday_callback_have_a_known_alias() {
        let names = |issuer: &str| {
            let (quirks, issuer) = (Quirks::default(), Issuer::from(issuer));
            let known = [
                quirks.names_in_metadata(&issuer),
                quirks.names_in_callback(&issuer),
            ];
            known.map(|names| {
                names
                    .iter()
                    .map(|name| name.as_str().to_owned())
                    .collect::<Vec<_>>()
            })
        };
        for host in ENTRA {
            for tenant in ENTRA_TENANTS {
                let template = format!("https://{host}/{{tenantid}}/v2.0");
                let found = names(&format!("https://{host}/{tenant}/v2.0"));
                assert_eq!(found, [vec![template], vec![]]);
            }
        }
        let monday = names("https://auth.monday.com/mcp");
        assert_eq!(monday, [vec![], vec!["https://auth.monday.com".to_owned()]]);
        for other in [
            "https://login.microsoftonline.com/9188040d/v2.0",
            "https://login.microsoftonline.com/organizations/v2.0/",
            "https://login.microsoftonline.com/organizations",
            "https://login.microsoftonline.com.evil.example/organizations/v2.0",
            "http://login.microsoftonline.com/organizations/v2.0",
            "https://login.microsoftonline.com/a/organizations/v2.0",
            "https://auth.monday.com",
            "https://auth.monday.com/mcp/",
        ] {
            assert_eq!(names(other), [vec![""; 0], vec![]], "{other}");
        }
    }

    #[test]
    fn configured_quirks_go_before_known_ones() {
        let mut own = Quirks {
            resource: Some(ResourceParameter::Default),
            ..Quirks::default()
        };
        own.authorization_params.insert("prompt", "login").unwrap();
        let both = own
            .clone()
            .or(known("https://login.microsoftonline.com/t/v2.0"));
        assert_eq!(both.resource, Some(ResourceParameter::Default));
        assert_eq!(both.scope_on_refresh, Some(true));
        let both = own.or(known("https://accounts.google.com"));
        let sent: Vec<_> = both.authorization_params.iter().collect();
        assert_eq!(sent, [("access_type", "offline"), ("prompt", "login")]);
    }

    #[test]
    fn an_alias_is_valid_for_the_issuer_that_it_is_bound_to() {
        let [one, other] = ["https://one.example", "https://other.example"].map(Issuer::from);
        let own = Quirks {
            issuers: vec![IssuerAlias::from(Issuer::from("https://name.example"))],
            ..Quirks::default()
        };
        assert_eq!(own.names_of(&one).len(), 1);
        let bound = own.bind_issuer(&one).bind_issuer(&other);
        assert_eq!(bound.names_of(&one), [Issuer::from("https://name.example")]);
        assert_eq!(bound.names_of(&other), []);
    }

    #[test]
    fn fields_that_are_not_set_are_not_serialized() {
        assert_eq!(serde_json::to_string(&Quirks::default()).unwrap(), "{}");
        let own = Quirks {
            resource: Some(ResourceParameter::Override(Resource::from("api://x"))),
            form_encoded_responses: Some(false),
            issuers: vec![IssuerAlias::from(Issuer::from("https://other.example"))],
            ..Quirks::default()
        };
        let written = serde_json::to_string(&own).unwrap();
        assert_eq!(serde_json::from_str::<Quirks>(&written).unwrap(), own);
        let before = r#"{"issuers":["https://other.example"]}"#;
        let before: Quirks = serde_json::from_str(before).unwrap();
        assert_eq!(before.issuers, own.issuers);
    }
}
