//! Where a server wants things otherwise than the specifications have them: as data, for one server.
//!
//! What common providers want is known by their issuer; what somebody says for a server goes before
//! that. Nothing here changes what keeps a login ours: `state`, our PKCE, and where tokens are sent. Two
//! things give a check away, for one server, and say so: [`Quirks::pkce_unlisted`] and
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

/// Says how one server wants things otherwise. What is left open is as the specifications have it, or as
/// the provider is known to want it ([`Quirks::known`]).
///
/// ```
/// use mcp_client_oauth::{LoginOptions, Quirks, ResourceParameter};
///
/// let mut options = LoginOptions::default();
/// options.discovery.quirks.resource = Some(ResourceParameter::Omitted);
/// options.discovery.quirks.authorize.insert("audience", "https://api.example")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Quirks {
    /// Holds what `resource` says, which RFC 8707 and MCP have in every request. Where a token may be sent
    /// does not change with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<ResourceParameter>,
    /// Says whether a refresh names the scope of the login again, which RFC 6749 §6 leaves open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope_on_refresh: Option<bool>,
    /// More parameters of the authorization request.
    #[serde(skip_serializing_if = "AuthorizeParameters::is_empty")]
    pub authorize: AuthorizeParameters,
    /// Says whether a token answer may be form-encoded (H87). RFC 6749 §5.1 has it in JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub form_encoded_responses: Option<bool>,
    /// Says whether the server checks S256 though its metadata lists no PKCE methods (H4). What it lists
    /// is believed: one that lists only `plain` is refused all the same (H5).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assume_pkce: Option<bool>,
    /// Says whether a token response without `token_type`, which RFC 6749 §5.1 requires, brings a bearer
    /// token. `OpenAuth` (npm `@openauthjs/openauth`) leaves it out. An attacker gains nothing: a
    /// bearer token is sent where any other would be, and one that is bound to a key is not taken
    /// from such a response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assume_bearer: Option<bool>,
    /// By what other names the authorization server may call itself in its metadata (H2) and in the
    /// callback (H54); an empty one is for metadata without a name. Each is compared byte for byte,
    /// and its use is logged as a warning: it gives away what RFC 8414 §3.3 and RFC 9207 protect
    /// from, for the servers that are named here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub issuers: Vec<IssuerAlias>,
}

/// Another name by which an authorization server may call itself.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(from = "WrittenName")]
#[non_exhaustive]
pub struct IssuerAlias {
    /// The name, as it is written there.
    pub name: Issuer,
    /// Says which authorization server it is of. While that is not said, it is the one of the login that is
    /// there, or that is found next: the name is of no use to another one that comes after it, until
    /// it is said again with [`LoginOptions::afresh`](crate::LoginOptions::afresh).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<Issuer>,
}

/// As it is written down: records of before have the name alone.
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

impl From<WrittenName> for IssuerAlias {
    fn from(written: WrittenName) -> Self {
        match written {
            WrittenName::Alone(name) => Self::new(name),
            WrittenName::Whole { name, of } => Self { name, of },
        }
    }
}

impl IssuerAlias {
    /// Of whichever authorization server is found.
    pub fn new(name: Issuer) -> Self {
        Self { name, of: None }
    }

    fn is_of(&self, issuer: &Issuer) -> bool {
        self.of.as_ref().is_none_or(|of| of == issuer)
    }
}

/// Holds what the parameter `resource` says.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ResourceParameter {
    /// The resource, as its metadata has it.
    #[default]
    Default,
    /// It is not sent.
    Omitted,
    /// Another identifier, by which the authorization server knows the resource.
    Override(Resource),
}

impl Quirks {
    /// Returns what the provider behind `issuer` is known to want.
    ///
    /// | issuer | wants | seen |
    /// |---|---|---|
    /// | Microsoft Entra v2 (three clouds) | no `resource` (AADSTS901002, AADSTS9010010), the scope on refresh (AADSTS90009); its metadata lists no PKCE methods, and it checks S256 | |
    /// | the tenants `organizations`, `common`, `consumers` of it | the issuer in the metadata is the literal `https://<host>/{tenantid}/v2.0` | `openid-configuration` of 2026-10-01 |
    /// | Google | `access_type=offline` and `prompt=consent`, or there is no refresh token | |
    /// | GitHub | may answer with a form | |
    /// | `https://cognito-idp.<region>.amazonaws.com/<pool>` (Amazon Cognito, `AgentCore` too) | its metadata lists no PKCE methods, and it checks S256 | anthropics/claude-code#13275, #35846; AWS: "Using PKCE in authorization code grants", 2026-10 |
    /// | `https://auth.monday.com/mcp` | its callback names the issuer `https://auth.monday.com` | NousResearch/hermes-agent#96107; metadata of 2026-10-01 |
    /// | `https://mcp.slack.com`, `https://slack.com` | `token_type` may be `user`, which is a bearer token | different-ai/openwork#3569; metadata of 2026-10-01 |
    /// | `https://www.dropbox.com` | `token_access_type=offline`, or there is no refresh token | Dropbox OAuth guide, nextauthjs/next-auth#12161; metadata of 2026-10-01 |
    ///
    /// The other names of Entra and monday.com and the `token_type` of Slack hold for these issuers
    /// whatever is configured; they are not among the fields here.
    pub fn for_issuer(issuer: &Issuer) -> Self {
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
                authorize: parameters(GOOGLE),
                ..Self::default()
            },
            ("https", "www.dropbox.com") => Self {
                authorize: parameters(DROPBOX),
                ..Self::default()
            },
            ("https", "github.com") => Self {
                form_encoded_responses: Some(true),
                ..Self::default()
            },
            _ => Self::default(),
        }
    }

    /// These, and what they leave open as in `other`.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        let issuers = [self.issuers, other.issuers].concat();
        Self {
            resource: self.resource.or(other.resource),
            scope_on_refresh: self.scope_on_refresh.or(other.scope_on_refresh),
            authorize: self.authorize.or(other.authorize),
            form_encoded_responses: self.form_encoded_responses.or(other.form_encoded_responses),
            assume_pkce: self.assume_pkce.or(other.assume_pkce),
            assume_bearer: self.assume_bearer.or(other.assume_bearer),
            issuers,
        }
    }

    /// The same, with names of the authorization server that are of `issuer` and of no other.
    #[must_use]
    pub fn bind_issuer(mut self, issuer: &Issuer) -> Self {
        for other in &mut self.issuers {
            other.of.get_or_insert_with(|| issuer.clone());
        }
        self
    }

    /// The same, where names that were bound in `before` are of the same server still.
    pub(crate) fn bound_as_in(mut self, before: &Self) -> Self {
        for other in self.issuers.iter_mut().filter(|other| other.of.is_none()) {
            let mut known = before.issuers.iter();
            let known = known.find(|known| known.name == other.name);
            other.of = known.and_then(|known| known.of.clone());
        }
        self
    }

    /// By what other names `issuer` may call itself, as it was said.
    pub(crate) fn names_of(&self, issuer: &Issuer) -> Vec<Issuer> {
        let names = self.issuers.iter().filter(|other| other.is_of(issuer));
        names.map(|other| other.name.clone()).collect()
    }

    /// Returns the other names by which `issuer` may call itself in its metadata.
    pub(crate) fn names_in_metadata(&self, issuer: &Issuer) -> Vec<Issuer> {
        let mut names = self.names_of(issuer);
        names.extend(entra_template(issuer));
        names
    }

    /// Returns the other names by which `issuer` may call itself in a callback.
    pub(crate) fn names_in_callback(&self, issuer: &Issuer) -> Vec<Issuer> {
        let mut names = self.names_of(issuer);
        names.extend((issuer.as_str() == MONDAY).then(|| Issuer::new(MONDAY_IN_CALLBACK)));
        names
    }

    /// Returns whether they leave everything open.
    pub fn is_empty(&self) -> bool {
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

    /// Returns whether a token request can say which of several resources its token is for.
    pub(crate) fn tells_resources_apart(&self) -> bool {
        matches!(self.resource, None | Some(ResourceParameter::Default))
    }

    /// Reads a token response of `issuer` ([`token::response`]) as this server writes it.
    pub(crate) fn tokens(
        &self,
        issuer: &Issuer,
        answer: &Response,
        now: SystemTime,
        secrets: &[&str],
        scheme: AuthScheme,
    ) -> Result<TokenSet, TokenError> {
        let types = TokenTypes {
            missing_is_bearer: self.assume_bearer == Some(true),
            // Slack gives each token of a user this type, and takes it as a bearer token.
            bearer_alias: SLACK.contains(&issuer.as_str()).then_some("user"),
        };
        token::response_of(answer, now, secrets, scheme, types)
    }

    /// Returns the answer of a token endpoint, as RFC 6749 §5.1 has it.
    pub(crate) fn token_answer(&self, answer: Response) -> Response {
        match self.form_encoded_responses {
            Some(true) => token::json_of_form(answer),
            _ => answer,
        }
    }
}

/// The hosts of Microsoft Entra, of its national clouds too.
const ENTRA: &[&str] = &[
    "login.microsoftonline.com",
    "login.microsoftonline.us",
    "login.partner.microsoftonline.cn",
];
/// The tenants of Microsoft Entra that stand for many: their metadata is a template.
const ENTRA_TENANTS: &[&str] = &["organizations", "common", "consumers"];
/// Without both, the second login of an account brings no refresh token.
const GOOGLE: &[(&str, &str)] = &[("access_type", "offline"), ("prompt", "consent")];
/// Without it, a login brings no refresh token.
const DROPBOX: &[(&str, &str)] = &[("token_access_type", "offline")];
/// The issuer of monday.com, and what its callback calls it.
const MONDAY: &str = "https://auth.monday.com/mcp";
const MONDAY_IN_CALLBACK: &str = "https://auth.monday.com";
/// The issuers of Slack: of its MCP server, and of its workspaces.
const SLACK: &[&str] = &["https://mcp.slack.com", "https://slack.com"];

fn parameters(known: &[(&str, &str)]) -> AuthorizeParameters {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let parameters: BTreeMap<_, _> = known.iter().map(owned).collect();
    AuthorizeParameters::try_from(parameters).unwrap_or_default()
}

/// Returns what the metadata of `issuer` calls itself, literally, if that is a tenant of Microsoft
/// Entra that stands for many.
///
/// An attacker gains nothing: the document comes from the same host, over TLS, and the tokens go to
/// its endpoints whatever the member says.
fn entra_template(issuer: &Issuer) -> Option<Issuer> {
    ENTRA.iter().find_map(|host| {
        let tenant = issuer.as_str().strip_prefix("https://")?;
        let tenant = tenant.strip_prefix(host)?.strip_prefix('/')?;
        let tenant = tenant.strip_suffix("/v2.0")?;
        let is_known = ENTRA_TENANTS.contains(&tenant);
        is_known.then(|| Issuer::new(format!("https://{host}/{{tenantid}}/v2.0")))
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
        Quirks::for_issuer(&Issuer::new(issuer))
    }

    #[test]
    fn a_provider_is_known_by_its_whole_host() {
        let entra = known("https://login.microsoftonline.com/9188040d/v2.0");
        assert_eq!(entra.resource, Some(ResourceParameter::Omitted));
        assert_eq!(entra.scope_on_refresh, Some(true));
        let google = known("https://accounts.google.com");
        assert_eq!(google.authorize.iter().collect::<Vec<_>>(), GOOGLE);
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
    fn what_is_known_of_a_provider_is_known_of_its_issuer_alone() {
        let cognito = "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_AbCdEf";
        assert_eq!(known(cognito).assume_pkce, Some(true));
        let dropbox = known("https://www.dropbox.com");
        assert_eq!(dropbox.authorize.iter().collect::<Vec<_>>(), DROPBOX);
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
    fn another_name_is_known_of_three_tenants_and_one_callback() {
        let names = |issuer: &str| {
            let (quirks, issuer) = (Quirks::default(), Issuer::new(issuer));
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
    fn what_is_said_goes_before_what_is_known() {
        let mut own = Quirks {
            resource: Some(ResourceParameter::Default),
            ..Quirks::default()
        };
        own.authorize.insert("prompt", "login").unwrap();
        let both = own
            .clone()
            .or(known("https://login.microsoftonline.com/t/v2.0"));
        assert_eq!(both.resource, Some(ResourceParameter::Default));
        assert_eq!(both.scope_on_refresh, Some(true));
        let both = own.or(known("https://accounts.google.com"));
        let sent: Vec<_> = both.authorize.iter().collect();
        assert_eq!(sent, [("access_type", "offline"), ("prompt", "login")]);
    }

    #[test]
    fn a_name_is_of_the_server_that_it_was_said_of() {
        let [one, other] = ["https://one.example", "https://other.example"].map(Issuer::new);
        let own = Quirks {
            issuers: vec![IssuerAlias::new(Issuer::new("https://name.example"))],
            ..Quirks::default()
        };
        assert_eq!(own.names_of(&one).len(), 1);
        let bound = own.bind_issuer(&one).bind_issuer(&other);
        assert_eq!(bound.names_of(&one), [Issuer::new("https://name.example")]);
        assert_eq!(bound.names_of(&other), []);
    }

    #[test]
    fn what_is_left_open_is_not_written() {
        assert_eq!(serde_json::to_string(&Quirks::default()).unwrap(), "{}");
        let own = Quirks {
            resource: Some(ResourceParameter::Override(Resource::new("api://x"))),
            form_encoded_responses: Some(false),
            issuers: vec![IssuerAlias::new(Issuer::new("https://other.example"))],
            ..Quirks::default()
        };
        let written = serde_json::to_string(&own).unwrap();
        assert_eq!(serde_json::from_str::<Quirks>(&written).unwrap(), own);
        let before = r#"{"issuers":["https://other.example"]}"#;
        let before: Quirks = serde_json::from_str(before).unwrap();
        assert_eq!(before.issuers, own.issuers);
    }
}
