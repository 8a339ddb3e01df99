//! Who may do what: clients, consent tickets and codes; the tokens are in [`tokens`].

pub(crate) mod devices;
pub(crate) mod tokens;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::jose::key::PublicKey;
use crate::random::random;
use crate::settings::Settings;
use crate::settings::grants::Machine;
use devices::Devices;
use tokens::Tokens;

/// Says how long a code is good (OAuth 2.1 §4.1.2 recommends ten minutes at most).
pub(crate) const CODE_LIFETIME: Duration = Duration::from_secs(60);

/// Says how long the consent page may be looked at.
const TICKET_LIFETIME: Duration = Duration::from_secs(600);

/// A registered client.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) secret: Option<String>,
    /// Says how it authenticates; `None` for a pre-registered client with a secret, which may choose.
    pub(crate) auth_method: Option<String>,
    /// The keys of its assertions.
    pub(crate) keys: Vec<PublicKey>,
    pub(crate) grants: Grants,
    /// Empty for a client whose redirect URIs the server was not told: any acceptable one is good.
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

impl From<&Machine> for Client {
    fn from(machine: &Machine) -> Self {
        Self {
            id: machine.id.clone(),
            name: machine.id.clone(),
            secret: machine.secret.clone(),
            auth_method: machine.method.clone(),
            keys: machine.keys.clone(),
            grants: Grants::OfAMachine,
            redirect_uris: Vec::new(),
            scopes: None,
        }
    }
}

/// By which grants a client may obtain tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Grants {
    /// By those that a person, or who answers for the person, decides.
    OfAPerson,
    /// By its own credentials, or by an assertion.
    OfAMachine,
    /// By those that it registered for (RFC 7591 §2).
    Registered(Vec<String>),
}

/// Holds what a client asks a person for.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) client_id: String,
    pub(crate) redirect_uri: String,
    pub(crate) challenge: String,
    /// Holds what the tokens may be for (RFC 8707 §2.1: one resource or several).
    pub(crate) resources: Vec<String>,
    pub(crate) scopes: Vec<String>,
    pub(crate) state: Option<String>,
    /// The thumbprint of the key that the code is bound to (RFC 9449 §10).
    pub(crate) dpop_jkt: Option<String>,
}

#[derive(Debug)]
struct Code {
    ask: Ask,
    expires: Duration,
    /// The family of the tokens that it was spent for.
    spent_for: Option<usize>,
}

/// Holds what a code is worth that a client presents.
#[derive(Debug)]
pub(crate) enum Worth {
    /// It was good.
    Good(Ask),
    /// There is no such code, or its time is over.
    Unknown,
    /// It had been spent: the tokens that it was spent for are revoked (OAuth 2.1 §4.1.3).
    Spent,
}

/// Everything that the authorization server remembers.
#[derive(Debug, Default)]
pub(crate) struct TokenStore {
    clients: HashMap<String, Client>,
    tickets: HashMap<String, (Ask, Duration)>,
    codes: HashMap<String, Code>,
    pub(crate) tokens: Tokens,
    pub(crate) devices: Devices,
    /// Who has used which `jti`.
    used: HashSet<(String, String)>,
}

impl TokenStore {
    pub(crate) fn new(settings: &Settings) -> Self {
        let mut ledger = Self::default();
        for known in &settings.clients {
            ledger.add_client(Client {
                id: known.id.clone(),
                name: known.id.clone(),
                secret: known.secret.clone(),
                auth_method: known.secret.is_none().then(|| "none".to_owned()),
                keys: Vec::new(),
                grants: Grants::OfAPerson,
                redirect_uris: Vec::new(),
                scopes: None,
            });
        }
        for machine in &settings.machines {
            ledger.add_client(Client::from(machine));
        }
        ledger
    }

    /// Returns whether this is the first time that somebody uses a `jti`; from now on it is not.
    pub(crate) fn is_first_use(&mut self, who: &str, jti: &str) -> bool {
        self.used.insert((who.to_owned(), jti.to_owned()))
    }

    pub(crate) fn add_client(&mut self, client: Client) {
        self.clients.insert(client.id.clone(), client);
    }

    /// Removes every client that has registered itself.
    pub(crate) fn forget_registrations(&mut self) {
        let is_kept = |client: &Client| !matches!(client.grants, Grants::Registered(_));
        self.clients.retain(|_, client| is_kept(client));
    }

    pub(crate) fn client(&self, id: &str) -> Option<Client> {
        self.clients.get(id).cloned()
    }

    /// Returns a one-time ticket for the consent page.
    pub(crate) fn open_ticket(&mut self, ask: Ask, now: Duration) -> String {
        let ticket = random("ticket");
        self.tickets
            .insert(ticket.clone(), (ask, now + TICKET_LIFETIME));
        ticket
    }

    pub(crate) fn take_ticket(&mut self, ticket: &str, now: Duration) -> Option<Ask> {
        let (ask, expires) = self.tickets.remove(ticket)?;
        (now < expires).then_some(ask)
    }

    pub(crate) fn issue_code(&mut self, ask: Ask, now: Duration) -> String {
        let code = random("code");
        let expires = now + CODE_LIFETIME;
        self.codes.insert(
            code.clone(),
            Code {
                ask,
                expires,
                spent_for: None,
            },
        );
        code
    }

    /// Returns a client presents a code. A good one is spent only by [`TokenStore::spend_code`].
    pub(crate) fn present_code(&mut self, code: &str, client_id: &str, now: Duration) -> Worth {
        let Some(found) = self.codes.get(code) else {
            return Worth::Unknown;
        };
        if found.ask.client_id != client_id {
            return Worth::Unknown;
        }
        if let Some(family) = found.spent_for {
            self.tokens.kill(family);
            return Worth::Spent;
        }
        if now >= found.expires {
            return Worth::Unknown;
        }
        Worth::Good(found.ask.clone())
    }

    /// The code is spent from now on, for the tokens of this family.
    pub(crate) fn spend_code(&mut self, code: &str, family: usize) {
        if let Some(code) = self.codes.get_mut(code) {
            code.spent_for = Some(family);
        }
    }

    /// Burns a code that was presented with the wrong proof: whoever has it may not try again.
    pub(crate) fn burn_code(&mut self, code: &str) {
        self.codes.remove(code);
    }
}
