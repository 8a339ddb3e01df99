//! Who may do what: clients, consent tickets, codes, tokens and the families they descend from.

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use crate::builder::Settings;

/// How long a code is good (OAuth 2.1 §4.1.2 recommends ten minutes at most).
pub(super) const CODE_LIFETIME: Duration = Duration::from_secs(60);

/// How long the consent page may be looked at.
const TICKET_LIFETIME: Duration = Duration::from_secs(600);

/// A registered client.
#[derive(Debug, Clone)]
pub(super) struct Client {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) secret: Option<String>,
    /// How it authenticates; `None` for a pre-registered client with a secret, which may choose.
    pub(super) auth_method: Option<String>,
    /// Empty for a client whose redirect URIs the server was not told: any acceptable one is good.
    pub(super) redirect_uris: Vec<String>,
}

/// What a client asks a person for.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub(super) client_id: String,
    pub(super) redirect_uri: String,
    pub(super) challenge: String,
    pub(super) resource: String,
    pub(super) scopes: Vec<String>,
    pub(super) state: Option<String>,
}

#[derive(Debug)]
struct Code {
    ask: Ask,
    expires: Duration,
    /// The family of the tokens that it was spent for.
    spent_for: Option<usize>,
}

/// What an access token stands for.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    family: usize,
    expires: Duration,
    /// The client that it was issued to.
    pub(crate) client_id: String,
    /// The scopes that it has.
    pub(crate) scopes: Vec<String>,
    /// The resource that it is for.
    pub(crate) resource: String,
}

#[derive(Debug)]
struct Refresh {
    family: usize,
    spent: bool,
}

/// The refresh tokens that descend from one consent, of which at most one is good.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Family {
    /// The client that they were issued to.
    pub client_id: String,
    /// The resource that they are for.
    pub resource: String,
    /// The scopes that the person approved.
    pub scopes: Vec<String>,
    /// Whether the family still has a good token: a family dies by revocation, and when a spent
    /// token is presented again (OAuth 2.1 §4.3.1).
    pub alive: bool,
    /// How many times it was refreshed.
    pub refreshes: u32,
    /// Whether there are refresh tokens, or access tokens alone.
    refreshable: bool,
}

/// What a code is worth that a client presents.
#[derive(Debug)]
pub(super) enum Worth {
    /// It was good.
    Good(Ask),
    /// There is no such code, or its time is over.
    Unknown,
    /// It had been spent: the tokens that it was spent for are revoked (OAuth 2.1 §4.1.3).
    Spent,
}

/// Tokens as they leave the token endpoint.
#[derive(Debug)]
pub(super) struct Issued {
    pub(super) access_token: String,
    pub(super) refresh_token: Option<String>,
    pub(super) scopes: Vec<String>,
}

/// Everything that the authorization server remembers.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    clients: HashMap<String, Client>,
    tickets: HashMap<String, (Ask, Duration)>,
    codes: HashMap<String, Code>,
    access: HashMap<String, Access>,
    refresh: HashMap<String, Refresh>,
    families: Vec<Family>,
}

impl Ledger {
    pub(crate) fn new(settings: &Settings) -> Self {
        let mut ledger = Self::default();
        for known in &settings.clients {
            ledger.add_client(Client {
                id: known.id.clone(),
                name: known.id.clone(),
                secret: known.secret.clone(),
                auth_method: known.secret.is_none().then(|| "none".to_owned()),
                redirect_uris: Vec::new(),
            });
        }
        ledger
    }

    pub(super) fn add_client(&mut self, client: Client) {
        self.clients.insert(client.id.clone(), client);
    }

    pub(super) fn client(&self, id: &str) -> Option<Client> {
        self.clients.get(id).cloned()
    }

    /// A one-time ticket for the consent page.
    pub(super) fn open_ticket(&mut self, ask: Ask, now: Duration) -> String {
        let ticket = random("ticket");
        self.tickets
            .insert(ticket.clone(), (ask, now + TICKET_LIFETIME));
        ticket
    }

    pub(super) fn take_ticket(&mut self, ticket: &str, now: Duration) -> Option<Ask> {
        let (ask, expires) = self.tickets.remove(ticket)?;
        (now < expires).then_some(ask)
    }

    pub(super) fn issue_code(&mut self, ask: Ask, now: Duration) -> String {
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

    /// A client presents a code. A good one is spent only by [`Ledger::found`].
    pub(super) fn present_code(&mut self, code: &str, client_id: &str, now: Duration) -> Worth {
        let Some(found) = self.codes.get(code) else {
            return Worth::Unknown;
        };
        if found.ask.client_id != client_id {
            return Worth::Unknown;
        }
        if let Some(family) = found.spent_for {
            self.kill(family);
            return Worth::Spent;
        }
        if now >= found.expires {
            return Worth::Unknown;
        }
        Worth::Good(found.ask.clone())
    }

    /// Founds a family for the code, which is spent from now on.
    pub(super) fn found(
        &mut self,
        code: &str,
        ask: Ask,
        settings: &Settings,
        now: Duration,
    ) -> Issued {
        let family = self.families.len();
        if let Some(code) = self.codes.get_mut(code) {
            code.spent_for = Some(family);
        }
        let scopes = ask.scopes;
        self.families.push(Family {
            client_id: ask.client_id,
            resource: ask.resource,
            scopes: scopes.clone(),
            alive: true,
            refreshes: 0,
            refreshable: settings.issue_refresh_tokens,
        });
        Issued {
            access_token: self.issue_access(family, &scopes, now + settings.access_token_lifetime),
            refresh_token: settings
                .issue_refresh_tokens
                .then(|| self.issue_refresh(family)),
            scopes,
        }
    }

    /// Burns a code that was presented with the wrong proof: whoever has it may not try again.
    pub(super) fn burn_code(&mut self, code: &str) {
        self.codes.remove(code);
    }

    /// The family of a refresh token, by its number; none for a token of another client.
    pub(super) fn family_of(
        &self,
        refresh_token: &str,
        client_id: &str,
    ) -> Option<(usize, Family)> {
        let number = self.refresh.get(refresh_token)?.family;
        let family = self.families.get(number)?;
        (family.client_id == client_id).then(|| (number, family.clone()))
    }

    pub(crate) fn is_spent(&self, refresh_token: &str) -> bool {
        self.refresh
            .get(refresh_token)
            .is_some_and(|token| token.spent)
    }

    /// Forgets a token whose grace is used up, so that it is unknown the next time.
    pub(super) fn forget_refresh(&mut self, refresh_token: &str) {
        self.refresh.remove(refresh_token);
    }

    /// New tokens for a family. A rotated refresh token has the scopes of the family, however
    /// narrow the access token is (RFC 6749 §6).
    pub(super) fn renew(
        &mut self,
        family: usize,
        refresh_token: &str,
        scopes: Vec<String>,
        settings: &Settings,
        now: Duration,
    ) -> Issued {
        if settings.refresh_ends_old_access_tokens {
            self.access.retain(|_, access| access.family != family);
        }
        if let Some(family) = self.families.get_mut(family) {
            family.refreshes += 1;
        }
        let refresh_token = settings.rotate_refresh_tokens.then(|| {
            if let Some(old) = self.refresh.get_mut(refresh_token) {
                old.spent = true;
            }
            self.issue_refresh(family)
        });
        let access_token = self.issue_access(family, &scopes, now + settings.access_token_lifetime);
        Issued {
            access_token,
            refresh_token,
            scopes,
        }
    }

    /// Ends a family: its refresh tokens and its access tokens.
    pub(super) fn kill(&mut self, family: usize) {
        if let Some(family) = self.families.get_mut(family) {
            family.alive = false;
        }
        self.access.retain(|_, access| access.family != family);
    }

    pub(super) fn revoke_access(&mut self, token: &str, client_id: &str) {
        if self
            .access
            .get(token)
            .is_some_and(|access| access.client_id == client_id)
        {
            self.access.remove(token);
        }
    }

    /// What a token stands for, if it is good now.
    pub(crate) fn access(&self, token: &str, now: Duration) -> Option<Access> {
        self.access
            .get(token)
            .filter(|access| now < access.expires)
            .cloned()
    }

    pub(crate) fn revoke_access_tokens(&mut self) {
        self.access.clear();
    }

    pub(crate) fn revoke_everything(&mut self) {
        self.access.clear();
        for family in &mut self.families {
            family.alive = false;
        }
    }

    pub(crate) fn families(&self) -> Vec<Family> {
        self.families
            .iter()
            .filter(|family| family.refreshable)
            .cloned()
            .collect()
    }

    fn issue_access(&mut self, family: usize, scopes: &[String], expires: Duration) -> String {
        let token = random("at");
        let (client_id, resource) = self
            .families
            .get(family)
            .map(|family| (family.client_id.clone(), family.resource.clone()))
            .unwrap_or_default();
        let scopes = scopes.to_vec();
        self.access.insert(
            token.clone(),
            Access {
                family,
                expires,
                client_id,
                scopes,
                resource,
            },
        );
        token
    }

    fn issue_refresh(&mut self, family: usize) -> String {
        let token = random("rt");
        self.refresh.insert(
            token.clone(),
            Refresh {
                family,
                spent: false,
            },
        );
        token
    }
}

/// 256 random bits with a prefix that says what they are.
pub(crate) fn random(prefix: &str) -> String {
    let mut bytes = [0_u8; 32];
    // The generator fails only where the operating system has no randomness: then nothing works,
    // and a predictable token would be worse than none.
    if aws_lc_rs::rand::fill(&mut bytes).is_err() {
        std::process::abort();
    }
    format!("{prefix}_{}", BASE64_URL_SAFE_NO_PAD.encode(bytes))
}
