//! What is kept of one login, and how it is written.

use std::fmt;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    client_registration::ClientIdentity,
    discovery::Discovery,
    error::TokenStorageError,
    non_interactive::RecordedGrant,
    proto::{
        challenge::Challenge,
        dpop::DpopKey,
        scope::{OFFLINE_ACCESS, Scope},
        server_metadata::Issuer,
        token::TokenSet,
    },
    secret::Secret,
    server_url::ServerUrl,
};

/// The version of what is written in a record. Older ones are read: version 1 knew no lender,
/// version 2 no machine grant and no key, version 3 kept the source of an assertion.
const RECORD_VERSION: u64 = 4;
/// Two tokens of 16 KiB, and as many scopes as a record has.
const ROOM: usize = 256 * 1024;
/// Before the name of a login, and before that of a client registration.
const LOGIN: &str = "login ";
const CLIENT: &str = "client ";

/// TargetArgs tokens: one account at one server. Several accounts at a server never mix, and a name
/// that is pointed at another URL finds nothing (H92, H93).
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct LoginKey {
    // A person has allowed it at the login.
    #[serde(deserialize_with = "ServerUrl::deserialize_allowing_http")]
    server: ServerUrl,
    account: Option<String>,
}

impl LoginKey {
    /// The only account at `server`.
    pub fn new(server: ServerUrl) -> Self {
        Self {
            server,
            account: None,
        }
    }

    /// One of several accounts at the server.
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

    /// Returns a server URL has no fragment and no blank, so the parts cannot run into each other.
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

impl From<&ServerUrl> for LoginKey {
    fn from(server: &ServerUrl) -> Self {
        Self::new(server.clone())
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

/// Everything that is kept of one login.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Record {
    /// Holds what was discovered. The endpoints in it are the only ones that ever see these tokens, so a
    /// later change of the server's metadata cannot redirect them (H6).
    pub discovery: Discovery,
    /// Who we are there.
    pub identity: ClientIdentity,
    /// The scope that was asked for.
    pub requested: Option<Scope>,
    /// The tokens.
    pub tokens: TokenSet,
    /// TargetArgs refresh token gets new access tokens for this record, if it has none of its own: that
    /// of a login at another resource of the same issuer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lender: Option<LoginKey>,
    /// The grant, if it needs no user. What it reads or runs here is not kept: the caller names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<RecordedGrant>,
    /// The key that the tokens are bound to, if they are (RFC 9449).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dpop: Option<DpopKey>,
}

impl Record {
    /// A record of given parts.
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
            lender: None,
            machine: None,
            dpop: None,
        }
    }

    /// Returns whether a new access token can be got without a person.
    pub fn is_refreshable(&self) -> bool {
        self.tokens.refresh_token.is_some() || self.lender.is_some() || self.machine.is_some()
    }

    /// Returns what a login has to ask for to satisfy `challenge`: what was asked for and granted before,
    /// and what is asked for now (spec-checklist G4).
    pub fn widened_scope(&self, challenge: &Challenge) -> Option<Scope> {
        let before = self.known_scope();
        Scope::union_of(before.as_ref(), challenge.scope.as_ref())
    }

    /// Returns what a refresh names as its scope, for a server that wants it named: what was granted, where
    /// the server has said so, for it may name no more (RFC 6749 §6); else what the login asked for.
    /// `offline_access` is what brings a refresh token, and no server lists it among what it granted.
    pub(crate) fn scope_on_refresh(&self) -> Option<Scope> {
        if self.discovery.quirks.scope_on_refresh != Some(true) {
            return None;
        }
        let (asked, Some(granted)) = (self.requested.as_ref(), &self.tokens.scope) else {
            return self.requested.clone();
        };
        let offline = asked.is_some_and(|asked| asked.contains(OFFLINE_ACCESS));
        let offline = offline
            .then(|| Scope::from_tokens([OFFLINE_ACCESS]))
            .flatten();
        Scope::union_of(Some(granted), offline.as_ref())
    }

    /// Returns what was asked for, and what was granted.
    pub fn known_scope(&self) -> Option<Scope> {
        Scope::union_of(self.requested.as_ref(), self.tokens.scope.as_ref())
    }

    /// Returns the part of the requested scope that was not granted. A server that says nothing granted
    /// what was asked (RFC 6749 §5.1).
    pub fn missing_scope(&self) -> Option<Scope> {
        let granted = self.tokens.scope.as_ref()?;
        let missing = self.requested.as_ref()?.not_granted_by(granted)?;
        if self.tokens.refresh_token.is_none() {
            return Some(missing);
        }
        // The refresh token shows that it was granted, and Microsoft Entra does not name it.
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
    // Room for the largest tokens and scopes, so that no copy is left behind when the buffer grows.
    let mut bytes = Secret::new(Vec::with_capacity(ROOM));
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

/// Returns whether this is of a version that we read: what a later one wrote is not ours to replace (H150).
pub(super) fn readable(name: &str, bytes: &Secret<Vec<u8>>) -> Result<(), TokenStorageError> {
    #[derive(Deserialize)]
    struct Version {
        version: u64,
    }
    let Version { version } = serde_json::from_slice(bytes.expose()).map_err(unreadable(name))?;
    if version > RECORD_VERSION {
        return Err(TokenStorageError::UnsupportedVersion {
            place: name.to_owned(),
            version,
        });
    }
    Ok(())
}

fn unreadable(name: &str) -> impl Fn(serde_json::Error) -> TokenStorageError {
    move |_| corrupt(name, "it is not a record of ours")
}

fn corrupt(name: &str, why: &'static str) -> TokenStorageError {
    TokenStorageError::Corrupt {
        place: format!("the record `{name}`"),
        why,
    }
}
