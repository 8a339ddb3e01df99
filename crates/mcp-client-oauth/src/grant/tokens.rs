//! The tokens of a user: tokens that were issued and cannot be used are revoked.

use std::time::Duration;

use url::Url;

use super::token_endpoint::{self, TokenResponse};
use crate::{
    discovery::Discovery,
    dpop::ProofGenerator,
    error::Error,
    platform::{Platform, Request, Response},
    proto::{
        client_auth::ClientAuth,
        id_token::{Nonce, NonceCheck, check_nonce},
        revocation,
        token::{self, TokenError, TokenSet},
    },
    token_request,
};

/// The time limit for the revocation of tokens that cannot be used, before the login fails.
const REVOCATION_TIMEOUT: Duration = Duration::from_secs(5);

/// Sends a token request as [`token_endpoint::send`] does. With a `nonce` an ID token must repeat it.
pub(super) async fn request_tokens(
    platform: &Platform,
    discovery: &Discovery,
    client: &ClientAuth<'_>,
    request: impl Fn(&ClientAuth<'_>) -> Request,
    sent: &[&str],
    proof_generator: Option<&ProofGenerator>,
    nonce: Option<&Nonce>,
) -> Result<TokenSet, Error> {
    let url: Url = discovery.metadata.token_endpoint.as_url().clone();
    let TokenResponse { response, tokens } =
        token_endpoint::send(platform, discovery, client, request, sent, proof_generator).await?;
    let tokens = tokens.and_then(|tokens| require_nonce(&response, nonce).map(|()| tokens));
    if tokens.is_err() {
        revoke_issued(platform, discovery, client, &response, proof_generator).await;
    }
    tokens.map_err(|cause| Error::TokenExchange { url, cause })
}

/// Revokes the tokens in a response that cannot be used (RFC 7009), where the server supports it: a
/// failed login should leave no valid tokens. A failure here is logged, and the login fails with the
/// reason why the response cannot be used.
async fn revoke_issued(
    platform: &Platform,
    discovery: &Discovery,
    client: &ClientAuth<'_>,
    response: &Response,
    proof_generator: Option<&ProofGenerator>,
) {
    let issued = token::issued(response);
    if issued.is_empty() {
        return;
    }
    let server = discovery.issuer();
    let Some(endpoint) = &discovery.metadata.revocation_endpoint else {
        tracing::warn!(%server, "the server issued tokens that are not used, and it has no revocation endpoint");
        return;
    };
    let end = platform.clock.now() + REVOCATION_TIMEOUT;
    for (token, kind) in &issued {
        // An assertion is valid for one request (RFC 7523 §3, `jti`), and the token request has used it.
        let client = &match client.with_time(platform.clock.now()) {
            Ok(client) => client,
            Err(error) => {
                tracing::warn!(%server, ?kind, %error, "a token that cannot be used is still valid");
                continue;
            }
        };
        let request = |client: &ClientAuth<'_>| {
            revocation::request(
                endpoint,
                discovery.address_space,
                client,
                token.expose(),
                *kind,
            )
        };
        let left = end.duration_since(platform.clock.now()).unwrap_or_default();
        let revoked =
            match token_request::revoke(platform, client, request, proof_generator, left).await {
                Ok(response) => {
                    let secrets: Vec<&str> =
                        client.secrets().chain([token.expose().as_str()]).collect();
                    revocation::response(&response, &secrets).map_err(|error| error.to_string())
                }
                Err(error) => Err(error.to_string()),
            };
        match revoked {
            Ok(()) => tracing::warn!(%server, ?kind, "a token that cannot be used was revoked"),
            Err(error) => {
                tracing::warn!(%server, ?kind, %error, "a token that cannot be used is still valid");
            }
        }
    }
}

/// Refuses an ID token of another login (OpenID Connect Core §3.1.3.7, rule 11).
///
/// A response without an ID token, or with one that has no nonce or cannot be read, is accepted:
/// an attacker gains nothing by it, because PKCE binds the code to this login (RFC 9700 §2.1.1) and
/// nothing is read from the ID token.
fn require_nonce(response: &Response, nonce: Option<&Nonce>) -> Result<(), TokenError> {
    match nonce.map(|nonce| check_nonce(response, nonce)) {
        Some(NonceCheck::Differs) => Err(TokenError::NonceMismatch),
        None | Some(NonceCheck::Matches) => Ok(()),
        Some(found) => {
            tracing::debug!(?found, "the nonce of this login was not confirmed");
            Ok(())
        }
    }
}
