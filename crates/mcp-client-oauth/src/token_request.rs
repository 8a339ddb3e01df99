//! The one path of every request that a client authenticates: token, device authorization and
//! revocation requests.

use std::time::Duration;

use crate::{
    dpop::{self, ProofGenerator},
    platform::{HttpError, Platform, Request, Response},
    proto::{
        client_auth::ClientAuth,
        revocation,
        token::{self, TokenError},
    },
};

/// Sends the request that `build` makes for `client`. With a `prover` it carries a proof.
///
/// A client with `client_secret_basic` that is refused (`invalid_client`, or HTTP 401 with
/// `unauthorized_client`) is sent once more with `client_id` in the form too, within the deadline of
/// the first request. What comes of it is remembered with the client. Neither the code nor the refresh
/// token of the request is lost by that at the servers that need it: they look at the client first.
pub(crate) async fn send<B>(
    platform: &Platform,
    client: &ClientAuth<'_>,
    build: B,
    prover: Option<&ProofGenerator>,
) -> Result<Response, HttpError>
where
    B: Fn(&ClientAuth<'_>) -> Request,
{
    let client = &client.as_learned();
    let begun = platform.clock.now();
    let request = build(client);
    let deadline = request.deadline;
    let first = dpop::ask(platform, request, prover).await?;
    let Some(again) = client.with_client_id_in_form() else {
        return Ok(first);
    };
    let refusal = token::refusal(&first, &[]).filter(TokenError::refuses_client);
    let spent = platform.clock.now().duration_since(begun);
    let left = deadline.saturating_sub(spent.unwrap_or_default());
    if refusal.is_none() || left.is_zero() {
        return Ok(first);
    }
    tracing::debug!("the client was refused; sending it again with `client_id` in the form");
    let mut request = build(&again);
    request.deadline = request.deadline.min(left);
    // A request that is lost may have been carried out: then its failure is the one to report.
    let second = dpop::ask(platform, request, prover).await?;
    Ok(match Outcome::of(&second) {
        Outcome::Accepted => {
            again.learn();
            second
        }
        Outcome::Refused => first,
        Outcome::Unknown => second,
    })
}

/// Holds what the response to the second request says of the client.
enum Outcome {
    /// The server has authenticated it, whatever else it says.
    Accepted,
    /// It was refused again, so the first refusal is the one to report.
    Refused,
    /// The server could not respond, and may have carried out the request.
    Unknown,
}

impl Outcome {
    fn of(response: &Response) -> Self {
        let Some(error) = token::refusal(response, &[]) else {
            return Self::Accepted;
        };
        match error {
            TokenError::Unavailable { .. } => Self::Unknown,
            _ if error.refuses_client() => Self::Refused,
            // RFC 6749 §5.2 has `invalid_request` for a server that takes this for two mechanisms of
            // authentication. The Python MCP SDK misses another field, and knows the client by then.
            _ if error.is("invalid_request") && !revocation::wants_secret(response) => {
                Self::Refused
            }
            TokenError::Refused { .. } => Self::Accepted,
            TokenError::Malformed { .. } | TokenError::Downgraded | TokenError::NonceMismatch => {
                Self::Refused
            }
        }
    }
}

/// Sends a revocation request as [`send`] does, within `deadline`. A server that misses the field
/// `client_secret` gets an empty one, once.
pub(crate) async fn revoke<B>(
    platform: &Platform,
    client: &ClientAuth<'_>,
    build: B,
    prover: Option<&ProofGenerator>,
    deadline: Duration,
) -> Result<Response, HttpError>
where
    B: Fn(&ClientAuth<'_>) -> Request,
{
    let end = platform.clock.now() + deadline;
    let build = |client: &ClientAuth<'_>| {
        let left = end.duration_since(platform.clock.now()).unwrap_or_default();
        let mut request = build(client);
        request.deadline = request.deadline.min(left);
        request
    };
    let first = send(platform, client, build, prover).await?;
    let again = client.as_learned().with_empty_secret();
    let Some(again) = again.filter(|_| revocation::wants_secret(&first)) else {
        return Ok(first);
    };
    if platform.clock.now() >= end {
        return Ok(first);
    }
    dpop::ask(platform, build(&again), prover).await
}
