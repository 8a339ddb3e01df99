//! Clients, consent tickets and codes. [`tokens`] has the tokens.

pub(crate) mod devices;
pub(crate) mod tokens;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::jose::key::PublicKey;
use crate::random::random;
use crate::settings::Settings;
use crate::settings::grants::ConfidentialClient;
use devices::Devices;
use tokens::Tokens;

/// The lifetime of a code (OAuth 2.1 §4.1.2 recommends ten minutes at most).
pub(crate) const CODE_LIFETIME: Duration = Duration::from_secs(60);

/// The lifetime of the consent page.
const TICKET_LIFETIME: Duration = Duration::from_secs(600);

/// A registered client.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) secret: Option<String>,
    /// The authentication method; `None` for a pre-registered client with a secret, which may choose.
    pub(crate) auth_method: Option<String>,
    /// The keys of its assertions.
    pub(crate) keys: Vec<PublicKey>,
    pub(crate) grants: AllowedGrants,
    /// Empty for a client without registered redirect URIs, which may use any acceptable one.
    pub(crate) redirect_uris: Vec<String>,
    /// The only scopes that it may request; `None` if that is not checked.
    pub(crate) scopes: Option<Vec<String>>,
}

impl Client {
    /// Returns whether it cannot authenticate (RFC 6749 §2.1).
    pub(crate) fn is_public(&self) -> bool {
        self.secret.is_none() && self.keys.is_empty()
    }
}

impl From<&ConfidentialClient> for Client {
    fn from(client: &ConfidentialClient) -> Self {
        Self {
            id: client.id.clone(),
            name: client.id.clone(),
            secret: client.secret.clone(),
            auth_method: client.method.clone(),
            keys: client.keys.clone(),
            grants: AllowedGrants::NonInteractive,
            redirect_uris: Vec::new(),
            scopes: None,
        }
    }
}

/// The grants that a client may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AllowedGrants {
    /// Those that a user approves, or an identity provider for the user.
    Interactive,
    /// Client credentials and JWT bearer.
    NonInteractive,
    /// Those of its registration (RFC 7591 §2).
    Registered(Vec<String>),
}

/// An authorization request of a client.
#[derive(Debug, Clone)]
pub(crate) struct AuthorizationRequest {
    pub(crate) client_id: String,
    pub(crate) redirect_uri: String,
    pub(crate) challenge: String,
    /// The requested resources (RFC 8707 §2.1: one or several).
    pub(crate) resources: Vec<String>,
    pub(crate) scopes: Vec<String>,
    pub(crate) state: Option<String>,
    /// The thumbprint of the key that the code is bound to (RFC 9449 §10).
    pub(crate) dpop_jkt: Option<String>,
}

#[derive(Debug)]
struct Code {
    request: AuthorizationRequest,
    expires: Duration,
    /// The family of the tokens that were issued for it.
    spent_for: Option<usize>,
}

/// The result of looking up a code that a client presents.
#[derive(Debug)]
pub(crate) enum CodeStatus {
    /// The code is valid.
    Valid(AuthorizationRequest),
    /// There is no such code, or it has expired.
    Unknown,
    /// The code was used before: its tokens are revoked (OAuth 2.1 §4.1.3).
    Spent,
}

/// The state of the authorization server.
#[derive(Debug, Default)]
pub(crate) struct TokenStore {
    clients: HashMap<String, Client>,
    tickets: HashMap<String, (AuthorizationRequest, Duration)>,
    codes: HashMap<String, Code>,
    pub(crate) tokens: Tokens,
    pub(crate) devices: Devices,
    /// The used `jti` values, each with its issuer.
    used: HashSet<(String, String)>,
}

impl TokenStore {
    pub(crate) fn new(settings: &Settings) -> Self {
        let mut store = Self::default();
        for known in &settings.clients {
            store.add_client(Client {
                id: known.id.clone(),
                name: known.id.clone(),
                secret: known.secret.clone(),
                auth_method: known.secret.is_none().then(|| "none".to_owned()),
                keys: Vec::new(),
                grants: AllowedGrants::Interactive,
                redirect_uris: Vec::new(),
                scopes: None,
            });
        }
        for client in &settings.confidential_clients {
            store.add_client(Client::from(client));
        }
        store
    }

    /// Returns whether this issuer uses a `jti` for the first time, and marks it as used.
    pub(crate) fn is_first_use(&mut self, issuer: &str, jti: &str) -> bool {
        self.used.insert((issuer.to_owned(), jti.to_owned()))
    }

    pub(crate) fn add_client(&mut self, client: Client) {
        self.clients.insert(client.id.clone(), client);
    }

    /// Removes every client that has registered itself.
    pub(crate) fn remove_registrations(&mut self) {
        let is_kept = |client: &Client| !matches!(client.grants, AllowedGrants::Registered(_));
        self.clients.retain(|_, client| is_kept(client));
    }

    pub(crate) fn client(&self, id: &str) -> Option<Client> {
        self.clients.get(id).cloned()
    }

    /// Returns a one-time ticket for the consent page.
    pub(crate) fn open_ticket(&mut self, request: AuthorizationRequest, now: Duration) -> String {
        let ticket = random("ticket");
        self.tickets
            .insert(ticket.clone(), (request, now + TICKET_LIFETIME));
        ticket
    }

    pub(crate) fn take_ticket(
        &mut self,
        ticket: &str,
        now: Duration,
    ) -> Option<AuthorizationRequest> {
        let (request, expires) = self.tickets.remove(ticket)?;
        (now < expires).then_some(request)
    }

    pub(crate) fn issue_code(&mut self, request: AuthorizationRequest, now: Duration) -> String {
        let code = random("code");
        let expires = now + CODE_LIFETIME;
        self.codes.insert(
            code.clone(),
            Code {
                request,
                expires,
                spent_for: None,
            },
        );
        code
    }

    /// Looks up a code that a client presents. [`TokenStore::spend_code`] marks a valid one as used.
    pub(crate) fn present_code(
        &mut self,
        code: &str,
        client_id: &str,
        now: Duration,
    ) -> CodeStatus {
        let Some(found) = self.codes.get(code) else {
            return CodeStatus::Unknown;
        };
        if found.request.client_id != client_id {
            return CodeStatus::Unknown;
        }
        if let Some(family) = found.spent_for {
            self.tokens.revoke_family(family);
            return CodeStatus::Spent;
        }
        if now >= found.expires {
            return CodeStatus::Unknown;
        }
        CodeStatus::Valid(found.request.clone())
    }

    /// Marks a code as used for the tokens of this family.
    pub(crate) fn spend_code(&mut self, code: &str, family: usize) {
        if let Some(code) = self.codes.get_mut(code) {
            code.spent_for = Some(family);
        }
    }

    /// Removes a code that was presented with a wrong verifier or parameter, so that it cannot be tried
    /// again.
    pub(crate) fn remove_code(&mut self, code: &str) {
        self.codes.remove(code);
    }
}
