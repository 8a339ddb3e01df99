//! The requests of one registration: the first one, and after each refusal one that may be accepted
//! (RFC 7591 §3.2.2).

use super::{metadata::ClientMetadata, response_error::RegistrationResponseError};
use crate::proto::{device, oauth_error::OAuthErrorResponse, scope::Scope};

/// The most requests of one registration.
pub(crate) const MOST_REQUESTS: usize = 4;

/// The redirect URI of a device client at a server that registers no client without one
/// (better-auth, django-allauth, glewlwyd). An attacker gains nothing: this client sends no
/// authorization request, and it never redeems a code of a request that it did not start.
const UNUSED_REDIRECT_URI: &str = "http://127.0.0.1/callback";

/// The name of the device grant in the registrations of glewlwyd, which lists the one of RFC 8628
/// in its metadata and refuses it here. An attacker gains nothing: the name is sent only to a server
/// that lists it in its error, and it means the same grant.
const OTHER_DEVICE_GRANT: &str = "device_authorization";

/// The requests of one registration, each different from those before, and no more than
/// [`MOST_REQUESTS`].
#[derive(Clone, Debug)]
pub(crate) struct Attempts {
    /// The scopes to try, from the widest one to no scope.
    scopes: Vec<Option<Scope>>,
    first: ClientMetadata,
    /// The requests after the first.
    more: Vec<ClientMetadata>,
}

impl Attempts {
    /// Starts with `client`, for all of the scope that it may need: the scope that the login requests;
    /// the one that the replaced client was `registered` with, so that two resources of one issuer do
    /// not replace each other's client at each login; and the one that the resource lists, so that a
    /// step-up needs no other client.
    pub(crate) fn new(
        client: ClientMetadata,
        requested: Option<&Scope>,
        registered: Option<&Scope>,
        listed: Option<&Scope>,
    ) -> Self {
        let kept = joined(requested, registered);
        let mut scopes = vec![joined(kept.as_ref(), listed)];
        for narrower in [kept, requested.cloned(), None] {
            if !scopes.contains(&narrower) {
                scopes.push(narrower);
            }
        }
        let scope = scopes.first().cloned().flatten();
        Self {
            scopes,
            first: ClientMetadata { scope, ..client },
            more: Vec::new(),
        }
    }

    /// Returns the request that is sent next.
    pub(crate) fn current(&self) -> &ClientMetadata {
        self.more.last().unwrap_or(&self.first)
    }

    /// Returns the request to send after `refusal`; none if no other request is likely to be accepted.
    ///
    /// - `invalid_redirect_uri`: the other `application_type`, because some servers accept a redirect
    ///   to loopback with only one of the two; for a client without a redirect URI, the same with one.
    /// - `invalid_scope` (better-auth), `insufficient_scope` (Keycloak, where a policy allows no such
    ///   scope): a narrower scope, then none.
    /// - `invalid_client_metadata`, which may mean any of these: first a narrower scope (Python MCP SDK).
    /// - 400 or 422 with anything else: no scope, which is optional (RFC 7591 §2).
    pub(crate) fn fallback_for(
        &mut self,
        refusal: &RegistrationResponseError,
    ) -> Option<&ClientMetadata> {
        let RegistrationResponseError::Refused { status, error, .. } = refusal else {
            return None;
        };
        if self.more.len() + 1 >= MOST_REQUESTS {
            return None;
        }
        let candidates = self.candidates(*status, error.as_ref());
        let is_new = |next: &ClientMetadata| *next != self.first && !self.more.contains(next);
        let next = candidates.into_iter().find(is_new)?;
        self.more.push(next);
        Some(self.current())
    }

    fn candidates(&self, status: u16, error: Option<&OAuthErrorResponse>) -> Vec<ClientMetadata> {
        let last = self.current();
        let code = error.map_or("", |error| error.code.as_raw());
        match code {
            "invalid_redirect_uri" => vec![last.with_other_redirect()],
            "invalid_scope" | "insufficient_scope" => self.with_less_scope().collect(),
            "invalid_client_metadata" => {
                let of_other_kind = ClientMetadata {
                    scope: self.first.scope.clone(),
                    ..last.with_other_redirect()
                };
                let renamed = error.and_then(|error| last.with_other_grant(error));
                let others = self.with_less_scope().chain([of_other_kind]);
                renamed.into_iter().chain(others).collect()
            }
            "access_denied" | "invalid_software_statement" | "unapproved_software_statement" => {
                Vec::new()
            }
            _ if matches!(status, 400 | 422) => self.with_less_scope().last().into_iter().collect(),
            _ => Vec::new(),
        }
    }

    /// Returns the last request with each narrower scope, down to none.
    fn with_less_scope(&self) -> impl Iterator<Item = ClientMetadata> {
        let last = self.current();
        let wider = |scope: &&Option<Scope>| **scope != last.scope;
        let narrower = self.scopes.iter().skip_while(wider).skip(1);
        narrower.map(|scope| ClientMetadata {
            scope: scope.clone(),
            ..last.clone()
        })
    }
}

impl ClientMetadata {
    /// Returns the same client of the other `application_type`, or with a redirect URI if it has none.
    fn with_other_redirect(&self) -> Self {
        if self.redirect_uris.is_empty() {
            return Self {
                redirect_uris: vec![UNUSED_REDIRECT_URI.to_owned()],
                ..self.clone()
            };
        }
        let application_type = match self.application_type {
            "native" => "web",
            _ => "native",
        };
        Self {
            application_type,
            ..self.clone()
        }
    }

    /// Returns the same client with the other name of the device grant, if the error lists that name.
    fn with_other_grant(&self, error: &OAuthErrorResponse) -> Option<Self> {
        let text = error.description.as_ref()?.as_raw();
        let is_named = text.contains(&format!("'{OTHER_DEVICE_GRANT}'"));
        let position = self
            .grant_types
            .iter()
            .position(|name| *name == device::GRANT_TYPE)
            .filter(|_| is_named)?;
        let mut renamed = self.clone();
        *renamed.grant_types.get_mut(position)? = OTHER_DEVICE_GRANT;
        Some(renamed)
    }
}

/// Returns the union of two scopes, or only the first if the union would exceed the limits of a scope.
pub(crate) fn joined(one: Option<&Scope>, other: Option<&Scope>) -> Option<Scope> {
    let union = Scope::union_of(one, other)?;
    match union.to_string().parse() {
        Ok(union) => Some(union),
        Err(_) => one.cloned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::client_auth::AuthMethod;

    /// The client; the scopes that are requested, registered and listed; the refusals; what is sent.
    type Row<'a> = (ClientMetadata, [&'a str; 3], &'a [&'a str], &'a [&'a str]);

    fn scope(text: &str) -> Option<Scope> {
        text.parse().ok()
    }

    fn browser() -> ClientMetadata {
        let redirect_uri = "http://127.0.0.1:5000/callback".parse().unwrap();
        ClientMetadata::interactive("test", &redirect_uri, AuthMethod::None)
    }

    fn device() -> ClientMetadata {
        ClientMetadata::device("test", AuthMethod::None)
    }

    fn refused(code: &str) -> RegistrationResponseError {
        // The error of glewlwyd 2.7.5 (`is_client_registration_valid` in `protocol_oidc.c`).
        let grants = "grant_types must have one of the following values: 'authorization_code', \
                      'implicit', 'password', 'client_credentials', 'refresh_token', \
                      'delete_token', 'device_authorization', 'urn:openid:params:grant-type:ciba'";
        let (code, description) = match code {
            "glewlwyd" => ("invalid_client_metadata", Some(grants)),
            other => (other, None),
        };
        RegistrationResponseError::Refused {
            status: 400,
            error: Some(OAuthErrorResponse::new(code, description)),
            text: None,
        }
    }

    /// Shows a request: the application type, the grant, the number of redirect URIs, and the scope.
    fn shown(client: &ClientMetadata) -> String {
        let uris = client.redirect_uris.len();
        let grant = match client.grant_types[0] {
            device::GRANT_TYPE => "device",
            other => other,
        };
        let scope = client.scope.as_ref().map(ToString::to_string);
        format!(
            "{} {grant} {uris} [{}]",
            client.application_type,
            scope.unwrap_or_default()
        )
    }

    #[test]
    fn each_refusal_leads_to_another_request_up_to_four() {
        let metadata = "invalid_client_metadata";
        let redirect = "invalid_redirect_uri";
        let code = "authorization_code";
        #[rustfmt::skip]
        let table: &[Row<'_>] = &[
            // The scope alone is refused: narrower ones, none, and at last the other application type.
            (browser(), ["a", "", "a b"], &[metadata; 5], &[
                "native {code} 1 [a b]", "native {code} 1 [a]", "native {code} 1 []", "web {code} 1 [a b]",
            ]),
            (browser(), ["a", "o", "a b"], &["invalid_scope"; 5], &[
                "native {code} 1 [a o b]", "native {code} 1 [a o]", "native {code} 1 [a]", "native {code} 1 []",
            ]),
            (browser(), ["a", "o", "a b"], &[metadata; 5], &[
                "native {code} 1 [a o b]", "native {code} 1 [a o]", "native {code} 1 [a]", "native {code} 1 []",
            ]),
            // Nothing is requested: the other application type at once, and no third request.
            (browser(), ["", "", ""], &[metadata; 5], &["native {code} 1 []", "web {code} 1 []"]),
            (browser(), ["a", "", "b"], &[redirect; 5], &["native {code} 1 [a b]", "web {code} 1 [a b]"]),
            // One change after the other.
            (browser(), ["a", "", "b"], &[redirect, metadata, metadata, metadata], &[
                "native {code} 1 [a b]", "web {code} 1 [a b]", "web {code} 1 [a]", "web {code} 1 []",
            ]),
            // better-auth and django-allauth: a redirect URI; better-auth also judges the scope.
            (device(), ["a", "", "b"], &[redirect], &["native device 0 [a b]", "native device 1 [a b]"]),
            (device(), ["a", "", "b"], &[redirect, "invalid_scope", "invalid_scope", "invalid_scope"], &[
                "native device 0 [a b]", "native device 1 [a b]", "native device 1 [a]", "native device 1 []",
            ]),
            (device(), ["a", "", ""], &[metadata; 5], &[
                "native device 0 [a]", "native device 0 []", "native device 1 [a]", "native device 1 []",
            ]),
            // glewlwyd: its name of the grant, then a redirect URI.
            (device(), ["a", "", "b"], &["glewlwyd", redirect], &[
                "native device 0 [a b]", "native device_authorization 0 [a b]", "native device_authorization 1 [a b]",
            ]),
            // Only a client for devices has a grant to rename.
            (browser(), ["", "", ""], &["glewlwyd"; 3], &["native {code} 1 []", "web {code} 1 []"]),
            // Keycloak, where a policy allows no such scope.
            (browser(), ["a", "", "b"], &["insufficient_scope"; 5], &[
                "native {code} 1 [a b]", "native {code} 1 [a]", "native {code} 1 []",
            ]),
            // A server that gives no reason, or one that RFC 7591 does not define.
            (browser(), ["a", "", "b"], &["invalid_request"; 5], &["native {code} 1 [a b]", "native {code} 1 []"]),
            (browser(), ["", "", ""], &["invalid_request"; 5], &["native {code} 1 []"]),
            (browser(), ["a", "", "b"], &["access_denied"], &["native {code} 1 [a b]"]),
        ];
        for (client, [requested, registered, listed], refusals, expected) in table {
            let (requested, registered, listed) =
                (scope(requested), scope(registered), scope(listed));
            let mut attempts = Attempts::new(
                client.clone(),
                requested.as_ref(),
                registered.as_ref(),
                listed.as_ref(),
            );
            let mut sent = vec![shown(attempts.current())];
            for refusal in *refusals {
                sent.extend(attempts.fallback_for(&refused(refusal)).map(shown));
            }
            let expected = expected.iter().map(|text| text.replace("{code}", code));
            assert_eq!(sent, expected.collect::<Vec<_>>(), "{refusals:?}");
            assert!(sent.len() <= MOST_REQUESTS);
        }
    }

    #[test]
    fn a_refusal_that_is_about_no_member_ends_the_registration() {
        let mut attempts = Attempts::new(browser(), scope("a").as_ref(), None, None);
        for refusal in [
            RegistrationResponseError::Unusable("x".to_owned().into()),
            // Figma and ClickUp, which register the clients of a list.
            RegistrationResponseError::Refused {
                status: 403,
                error: None,
                text: None,
            },
            RegistrationResponseError::Refused {
                status: 500,
                error: None,
                text: None,
            },
        ] {
            assert_eq!(attempts.fallback_for(&refusal), None, "{refusal}");
        }
        let refusal = RegistrationResponseError::Refused {
            status: 400,
            error: None,
            text: None,
        };
        assert_eq!(attempts.fallback_for(&refusal).unwrap().scope, None);
    }

    #[test]
    fn a_union_past_the_limits_of_a_scope_is_the_first_scope() {
        let long = |name: &str| {
            let mut text = String::new();
            while format!("{text} {name}{}", text.len())
                .parse::<Scope>()
                .is_ok()
            {
                text = format!("{text} {name}{}", text.len());
            }
            text.parse::<Scope>().unwrap()
        };
        let (one, other) = (long("a"), long("b"));
        assert_eq!(joined(Some(&one), Some(&other)), Some(one.clone()));
        assert_eq!(joined(None, Some(&other)), Some(other));
    }
}
