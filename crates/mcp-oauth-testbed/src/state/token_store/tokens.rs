//! Tokens, and the families that they descend from.

use std::collections::HashMap;
use std::time::Duration;

use crate::random::random;
use crate::settings::Settings;

/// Holds what a person, or a rule of the server, grants to a client.
#[derive(Debug, Clone)]
pub(crate) struct Granted {
    pub(crate) grant_type: &'static str,
    pub(crate) client_id: String,
    /// Whom the server was told of, where it knows more than one.
    pub(crate) subject: Option<String>,
    pub(crate) resources: Vec<String>,
    pub(crate) scopes: Vec<String>,
    /// Says whether there are refresh tokens, or access tokens alone.
    pub(crate) refreshable: bool,
    /// The thumbprint of the key that the first access token is bound to.
    pub(crate) key: Option<String>,
    /// Says whether the client has nothing but that key to show who it is, so that its refresh tokens
    /// are bound to it, too (RFC 9449 §5).
    pub(crate) public: bool,
}

/// Holds what an access token stands for.
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
    /// The thumbprint of the key that it is bound to (RFC 9449 §6).
    pub(crate) key: Option<String>,
}

#[derive(Debug)]
struct Refresh {
    family: usize,
    spent: bool,
}

/// The tokens that descend from one grant; of its refresh tokens at most one is good.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenFamily {
    /// Says how the grant was obtained: the `grant_type` of its first token request.
    pub grant_type: &'static str,
    /// The client that they were issued to.
    pub client_id: String,
    /// Whom an assertion named; nobody in particular where the testbed's one person approved.
    pub subject: Option<String>,
    /// The resource that they are for; where several were granted, the first.
    pub resource: String,
    /// Every resource that was granted (RFC 8707 §2.2): a refresh may ask for each of them.
    pub resources: Vec<String>,
    /// The scopes that the person approved.
    pub scopes: Vec<String>,
    /// Says whether the family still has a good token: a family dies by revocation, and when a spent
    /// token is presented again (OAuth 2.1 §4.3.1).
    pub alive: bool,
    /// Says how many times it was refreshed.
    pub refreshes: u32,
    /// The thumbprint of the key that its refresh tokens are bound to, which are those of a public
    /// client that proved one (RFC 9449 §5).
    pub dpop_thumbprint: Option<String>,
    /// Says whether there are refresh tokens, or access tokens alone.
    refreshable: bool,
}

/// An access token as it was issued, whether it is still good or not.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct IssuedToken {
    /// The token.
    pub access_token: String,
    /// Says how its grant was obtained; `authorization_code` also for a token of a refresh.
    pub grant_type: &'static str,
    /// The client that it was issued to.
    pub client_id: String,
    /// Whom an assertion named.
    pub subject: Option<String>,
    /// The resource that it is for.
    pub resource: String,
    /// The scopes that it has.
    pub scopes: Vec<String>,
    /// The thumbprint of the key that it is bound to (RFC 9449 §6).
    pub dpop_thumbprint: Option<String>,
}

/// Tokens as they leave the token endpoint.
#[derive(Debug)]
pub(crate) struct Issued {
    pub(crate) access_token: String,
    pub(crate) refresh_token: Option<String>,
    /// Says whether the access token is bound to a key.
    pub(crate) bound: bool,
    pub(crate) scopes: Vec<String>,
}

/// Holds what one access token is to be good for.
#[derive(Debug)]
pub(crate) struct Want {
    pub(crate) resource: String,
    pub(crate) scopes: Vec<String>,
    pub(crate) key: Option<String>,
}

/// Every token that was issued, and the families.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    access: HashMap<String, Access>,
    refresh: HashMap<String, Refresh>,
    families: Vec<TokenFamily>,
    issued: Vec<IssuedToken>,
}

impl Tokens {
    /// Founds a family, and issues its first tokens. Returns its number, too.
    pub(crate) fn found(
        &mut self,
        granted: Granted,
        resource: String,
        settings: &Settings,
        now: Duration,
    ) -> (usize, Issued) {
        let family = self.families.len();
        let refreshable = granted.refreshable && settings.issue_refresh_tokens;
        let scopes = granted.scopes;
        self.families.push(TokenFamily {
            grant_type: granted.grant_type,
            client_id: granted.client_id,
            subject: granted.subject,
            resource: granted.resources.first().cloned().unwrap_or_default(),
            resources: granted.resources,
            scopes: scopes.clone(),
            alive: true,
            refreshes: 0,
            dpop_thumbprint: granted.key.clone().filter(|_| granted.public),
            refreshable,
        });
        let want = Want {
            resource,
            scopes,
            key: granted.key,
        };
        let issued = Issued {
            access_token: self.issue_access(family, &want, now + settings.access_token_lifetime),
            refresh_token: refreshable.then(|| self.issue_refresh(family)),
            bound: want.key.is_some(),
            scopes: want.scopes,
        };
        (family, issued)
    }

    /// Returns the family of a refresh token, by its number; none for a token of another client.
    pub(crate) fn family_of(
        &self,
        refresh_token: &str,
        client_id: &str,
    ) -> Option<(usize, TokenFamily)> {
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
    pub(crate) fn forget_refresh(&mut self, refresh_token: &str) {
        self.refresh.remove(refresh_token);
    }

    /// New tokens for a family. A rotated refresh token has the scopes and the resources of the
    /// family, however narrow the access token is (RFC 6749 §6).
    pub(crate) fn renew(
        &mut self,
        family: usize,
        refresh_token: &str,
        want: Want,
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
        Issued {
            access_token: self.issue_access(family, &want, now + settings.access_token_lifetime),
            refresh_token,
            bound: want.key.is_some(),
            scopes: want.scopes,
        }
    }

    /// Ends a family: its refresh tokens and its access tokens.
    pub(crate) fn kill(&mut self, family: usize) {
        if let Some(family) = self.families.get_mut(family) {
            family.alive = false;
        }
        self.access.retain(|_, access| access.family != family);
    }

    pub(crate) fn revoke_access(&mut self, token: &str, client_id: &str) {
        if self
            .access
            .get(token)
            .is_some_and(|access| access.client_id == client_id)
        {
            self.access.remove(token);
        }
    }

    /// Returns what a token stands for, if it is good now.
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

    pub(crate) fn families(&self) -> Vec<TokenFamily> {
        self.families
            .iter()
            .filter(|family| family.refreshable)
            .cloned()
            .collect()
    }

    pub(crate) fn issued(&self) -> Vec<IssuedToken> {
        self.issued.clone()
    }

    fn issue_access(&mut self, family: usize, want: &Want, expires: Duration) -> String {
        let token = random("at");
        let Some(descent) = self.families.get(family) else {
            return token;
        };
        let access = Access {
            family,
            expires,
            client_id: descent.client_id.clone(),
            scopes: want.scopes.clone(),
            resource: want.resource.clone(),
            key: want.key.clone(),
        };
        self.issued.push(IssuedToken {
            access_token: token.clone(),
            grant_type: descent.grant_type,
            client_id: access.client_id.clone(),
            subject: descent.subject.clone(),
            resource: access.resource.clone(),
            scopes: access.scopes.clone(),
            dpop_thumbprint: access.key.clone(),
        });
        self.access.insert(token.clone(), access);
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
