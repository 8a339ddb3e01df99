//! The record of one login, and its format.

use std::fmt;

use mcp_oauth_support::Secret;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    client_registration::ClientIdentity,
    discovery::Discovery,
    error::TokenStorageError,
    grant::RecordedGrant,
    proto::{
        challenge::Challenge,
        dpop::DpopKey,
        scope::{OFFLINE_ACCESS, Scope},
        server_metadata::Issuer,
        token::TokenSet,
    },
    server_url::{ServerUrl, ServerUrlError},
};

/// The version of the format of a record. Older ones are read: version 1 had no `lender`, version 2 no
/// non-interactive grant and no key, version 3 had the source of an assertion.
const RECORD_VERSION: u64 = 4;
/// The capacity of the buffer for a record: two tokens of 16 KiB, and the largest number of scopes.
const BUFFER_CAPACITY: usize = 256 * 1024;
/// The start of the name of a login, and of that of a client registration.
const LOGIN: &str = "login ";
const CLIENT: &str = "client ";

/// The key of a login: one account at one server. Accounts at the same server are separate, and a name
/// that is changed to another URL finds no tokens (docs/hostile.md H92, H93).
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct LoginKey {
    // The user has allowed http at the login.
    #[serde(deserialize_with = "ServerUrl::deserialize_allow_http")]
    server: ServerUrl,
    account: Option<String>,
}

impl LoginKey {
    /// Returns the key of one of several accounts at the server.
    #[must_use]
    pub fn with_account(mut self, account: impl Into<String>) -> Self {
        self.account = Some(account.into());
        self
    }

    /// Returns the server.
    pub fn server(&self) -> &ServerUrl {
        &self.server
    }

    /// Returns the account, if there are several.
    pub fn account(&self) -> Option<&str> {
        self.account.as_deref()
    }

    /// Returns the name of the record. A server URL has no fragment and no space, so the parts can be
    /// separated.
    pub(super) fn name(&self) -> String {
        match &self.account {
            Some(account) => format!("{LOGIN}{}#{account}", self.server),
            None => format!("{LOGIN}{}", self.server),
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        let rest = name.strip_prefix(LOGIN)?;
        let (server, account) = match rest.split_once('#') {
            Some((server, account)) => (server, Some(account.to_owned())),
            None => (rest, None),
        };
        Some(Self {
            server: ServerUrl::parse_allow_http(server).ok()?,
            account,
        })
    }
}

/// The key of the only account at a server.
impl From<ServerUrl> for LoginKey {
    fn from(server: ServerUrl) -> Self {
        Self {
            server,
            account: None,
        }
    }
}

impl From<&ServerUrl> for LoginKey {
    fn from(server: &ServerUrl) -> Self {
        Self::from(server.clone())
    }
}

impl From<&Self> for LoginKey {
    fn from(key: &Self) -> Self {
        key.clone()
    }
}

impl TryFrom<&str> for LoginKey {
    type Error = ServerUrlError;

    fn try_from(server: &str) -> Result<Self, Self::Error> {
        server.parse::<ServerUrl>().map(Self::from)
    }
}

impl TryFrom<String> for LoginKey {
    type Error = ServerUrlError;

    fn try_from(server: String) -> Result<Self, Self::Error> {
        server.parse::<ServerUrl>().map(Self::from)
    }
}

impl fmt::Display for LoginKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.account {
            Some(account) => write!(f, "{} ({account})", self.server),
            None => self.server.fmt(f),
        }
    }
}

/// The stored data of one login.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Record {
    /// The discovered metadata. Only the endpoints in it get these tokens, so a later change of the server's
    /// metadata cannot redirect them (MCP security best practices).
    pub discovery: Discovery,
    /// The client that has logged in.
    pub identity: ClientIdentity,
    /// The requested scope.
    pub requested: Option<Scope>,
    /// The tokens.
    pub tokens: TokenSet,
    /// The login with the refresh token for this record, if this one has none: a login at another resource
    /// of the same issuer.
    #[serde(rename = "lender", default, skip_serializing_if = "Option::is_none")]
    pub shared_from: Option<LoginKey>,
    /// The grant, if it needs no user. The source of its assertion is not stored: the caller
    /// passes it.
    #[serde(rename = "machine", default, skip_serializing_if = "Option::is_none")]
    pub non_interactive: Option<RecordedGrant>,
    /// The key that the tokens are bound to, if they are (RFC 9449).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dpop: Option<DpopKey>,
}

impl Record {
    /// Creates a record from its parts.
    pub fn new(
        discovery: Discovery,
        identity: ClientIdentity,
        requested: Option<Scope>,
        tokens: TokenSet,
    ) -> Self {
        Self {
            discovery,
            identity,
            requested,
            tokens,
            shared_from: None,
            non_interactive: None,
            dpop: None,
        }
    }

    /// Returns whether a new access token can be requested non-interactively.
    pub fn is_refreshable(&self) -> bool {
        self.tokens.refresh_token.is_some()
            || self.shared_from.is_some()
            || self.non_interactive.is_some()
    }

    /// Returns the scope that a login must request to satisfy `challenge`: the scope that was requested and
    /// granted before, and that of the challenge (MCP authorization, "Step-Up Authorization Flow").
    pub(crate) fn widened_scope(&self, challenge: &Challenge) -> Option<Scope> {
        let before = self.known_scope();
        Scope::union_of(before.as_ref(), challenge.scope.as_ref())
    }

    /// Returns the `scope` parameter of a refresh, for a server that requires one: the granted scope, if
    /// the login response had one, because a refresh may request no more (RFC 6749 §6); else the requested
    /// scope. `offline_access` is added if it was requested: servers issue a refresh token for it, and do not
    /// list it in the granted scope.
    pub(crate) fn scope_on_refresh(&self) -> Option<Scope> {
        if self.discovery.quirks.scope_on_refresh != Some(true) {
            return None;
        }
        let (requested, Some(granted)) = (self.requested.as_ref(), &self.tokens.scope) else {
            return self.requested.clone();
        };
        let offline = requested.is_some_and(|scope| scope.contains(OFFLINE_ACCESS));
        let offline = offline
            .then(|| Scope::from_tokens([OFFLINE_ACCESS]))
            .flatten();
        Scope::union_of(Some(granted), offline.as_ref())
    }

    /// Returns the union of the requested and the granted scope.
    pub fn known_scope(&self) -> Option<Scope> {
        Scope::union_of(self.requested.as_ref(), self.tokens.scope.as_ref())
    }

    /// Returns the part of the requested scope that was not granted. A response without `scope` grants the
    /// requested scope (RFC 6749 §5.1).
    pub fn missing_scope(&self) -> Option<Scope> {
        let granted = self.tokens.scope.as_ref()?;
        let missing = self.requested.as_ref()?.not_granted_by(granted)?;
        if self.tokens.refresh_token.is_none() {
            return Some(missing);
        }
        // The refresh token shows that `offline_access` was granted; Microsoft Entra does not list it.
        Scope::from_tokens(missing.tokens().filter(|token| *token != OFFLINE_ACCESS))
    }
}

#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    version: u64,
    #[serde(flatten)]
    content: T,
}

/// Returns the name of the registration with `issuer`.
pub(super) fn client_name(issuer: &Issuer) -> String {
    format!("{CLIENT}{}", issuer.as_str())
}

pub(super) fn encode<T: Serialize>(
    name: &str,
    content: &T,
) -> Result<Secret<Vec<u8>>, TokenStorageError> {
    // The buffer never grows, which would leave a copy of the tokens in memory.
    let mut bytes = Secret::new(Vec::with_capacity(BUFFER_CAPACITY));
    serde_json::to_writer(
        bytes.expose_mut(),
        &Versioned {
            version: RECORD_VERSION,
            content,
        },
    )
    .map_err(|_| corrupt(name, "it cannot be written as JSON"))?;
    Ok(bytes)
}

pub(super) fn decode<T: DeserializeOwned>(
    name: &str,
    bytes: &Secret<Vec<u8>>,
) -> Result<T, TokenStorageError> {
    readable(name, bytes)?;
    let versioned: Versioned<T> =
        serde_json::from_slice(bytes.expose()).map_err(unreadable(name))?;
    Ok(versioned.content)
}

/// Checks the version: a record of a later version must not be replaced (docs/hostile.md H150).
pub(super) fn readable(name: &str, bytes: &Secret<Vec<u8>>) -> Result<(), TokenStorageError> {
    #[derive(Deserialize)]
    struct Version {
        version: u64,
    }
    let Version { version } = serde_json::from_slice(bytes.expose()).map_err(unreadable(name))?;
    if version > RECORD_VERSION {
        return Err(TokenStorageError::UnsupportedVersion {
            location: name.to_owned(),
            version,
        });
    }
    Ok(())
}

fn unreadable(name: &str) -> impl Fn(serde_json::Error) -> TokenStorageError {
    move |_| corrupt(name, "it is not a record of mcp-client-oauth")
}

fn corrupt(name: &str, why: &'static str) -> TokenStorageError {
    TokenStorageError::Corrupt {
        location: format!("the record `{name}`"),
        why,
    }
}
