//! Tokens, and their families.

use std::collections::HashMap;
use std::time::Duration;

use crate::random::random;
use crate::settings::Settings;

/// A grant to a client, by a user or by a rule of the server.
#[derive(Debug, Clone)]
pub(crate) struct ApprovedGrant {
    pub(crate) grant_type: &'static str,
    pub(crate) client_id: String,
    /// The subject of an assertion, if there was one.
    pub(crate) subject: Option<String>,
    pub(crate) resources: Vec<String>,
    pub(crate) scopes: Vec<String>,
    /// Says whether refresh tokens are issued with the access tokens.
    pub(crate) refreshable: bool,
    /// The thumbprint of the key that the first access token is bound to.
    pub(crate) key: Option<String>,
    /// Says whether the client is public, so that its refresh tokens are bound to the key, too (RFC 9449
    /// §5).
    pub(crate) public: bool,
}

/// The client, scopes, resource and key of an access token.
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

/// The tokens that descend from one grant; at most one of its refresh tokens is valid.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenFamily {
    /// The `grant_type` of its first token request.
    pub grant_type: &'static str,
    /// The client that they were issued to.
    pub client_id: String,
    /// The subject of an assertion; none if the testbed's user approved.
    pub subject: Option<String>,
    /// The resource of the tokens; the first one if several were granted.
    pub resource: String,
    /// Every granted resource (RFC 8707 §2.2): a refresh may request each of them.
    pub resources: Vec<String>,
    /// The granted scopes.
    pub scopes: Vec<String>,
    /// Says whether the family is valid: it is revoked by a revocation request, and when a spent refresh
    /// token is presented again (OAuth 2.1 §4.3.1).
    pub alive: bool,
    /// The number of refreshes.
    pub refreshes: u32,
    /// The thumbprint of the key that its refresh tokens are bound to, if a public client proved one
    /// (RFC 9449 §5).
    pub dpop_thumbprint: Option<String>,
    /// Says whether refresh tokens are issued with the access tokens.
    refreshable: bool,
}

/// An issued access token, which may be invalid by now.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct IssuedToken {
    /// The token.
    pub access_token: String,
    /// The `grant_type` of its family: `authorization_code` also for a refreshed token.
    pub grant_type: &'static str,
    /// The client that it was issued to.
    pub client_id: String,
    /// The subject of an assertion.
    pub subject: Option<String>,
    /// The resource that it is for.
    pub resource: String,
    /// The scopes that it has.
    pub scopes: Vec<String>,
    /// The thumbprint of the key that it is bound to (RFC 9449 §6).
    pub dpop_thumbprint: Option<String>,
}

/// The tokens of a token response.
#[derive(Debug)]
pub(crate) struct Issued {
    pub(crate) access_token: String,
    pub(crate) refresh_token: Option<String>,
    /// Says whether the access token is bound to a key.
    pub(crate) bound: bool,
    pub(crate) scopes: Vec<String>,
}

/// The resource, scopes and key of an access token to issue.
#[derive(Debug)]
pub(crate) struct AccessTokenRequest {
    pub(crate) resource: String,
    pub(crate) scopes: Vec<String>,
    pub(crate) key: Option<String>,
}

/// Every issued token, and the families.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    access: HashMap<String, Access>,
    refresh: HashMap<String, Refresh>,
    families: Vec<TokenFamily>,
    issued: Vec<IssuedToken>,
}

impl Tokens {
    /// Creates a family and issues its first tokens. Returns its number and the tokens.
    pub(crate) fn create_family(
        &mut self,
        granted: ApprovedGrant,
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
        let requested = AccessTokenRequest {
            resource,
            scopes,
            key: granted.key,
        };
        let issued = Issued {
            access_token: self.issue_access(
                family,
                &requested,
                now + settings.access_token_lifetime,
            ),
            refresh_token: refreshable.then(|| self.issue_refresh(family)),
            bound: requested.key.is_some(),
            scopes: requested.scopes,
        };
        (family, issued)
    }

    /// Returns the family of a refresh token and its number; none for a token of another client.
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

    /// Removes a spent token that was accepted once more, so that it is unknown the next time.
    pub(crate) fn remove_refresh_token(&mut self, refresh_token: &str) {
        self.refresh.remove(refresh_token);
    }

    /// Issues new tokens for a family. A rotated refresh token has the scopes and the resources of the
    /// family, even if the access token has fewer (RFC 6749 §6).
    pub(crate) fn renew(
        &mut self,
        family: usize,
        refresh_token: &str,
        requested: AccessTokenRequest,
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
            access_token: self.issue_access(
                family,
                &requested,
                now + settings.access_token_lifetime,
            ),
            refresh_token,
            bound: requested.key.is_some(),
            scopes: requested.scopes,
        }
    }

    /// Revokes a family: its refresh tokens and its access tokens.
    pub(crate) fn revoke_family(&mut self, family: usize) {
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

    /// Returns the details of an access token, if it is valid.
    pub(crate) fn access(&self, token: &str, now: Duration) -> Option<Access> {
        self.access
            .get(token)
            .filter(|access| now < access.expires)
            .cloned()
    }

    pub(crate) fn revoke_access_tokens(&mut self) {
        self.access.clear();
    }

    pub(crate) fn revoke_all(&mut self) {
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

    fn issue_access(
        &mut self,
        family: usize,
        requested: &AccessTokenRequest,
        expires: Duration,
    ) -> String {
        let token = random("at");
        let Some(record) = self.families.get(family) else {
            return token;
        };
        let access = Access {
            family,
            expires,
            client_id: record.client_id.clone(),
            scopes: requested.scopes.clone(),
            resource: requested.resource.clone(),
            key: requested.key.clone(),
        };
        self.issued.push(IssuedToken {
            access_token: token.clone(),
            grant_type: record.grant_type,
            client_id: access.client_id.clone(),
            subject: record.subject.clone(),
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
