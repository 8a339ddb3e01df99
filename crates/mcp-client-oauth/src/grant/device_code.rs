//! Device authorization (RFC 8628): the person enters a code on a device of their own, and we ask
//! the token endpoint now and then whether they have decided.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;

use super::{
    request::{Grant, GrantRequest, no_grant},
    tokens::request_tokens,
};
use crate::{
    error::{AuthorizationError, Error, HttpError, HttpErrorKind},
    platform::{Clock, DevicePrompt, Platform},
    proto::{
        client_auth::ClientAuth,
        device::{self, DeviceCode, DevicePollResult, LONGEST_INTERVAL, SLOW_DOWN},
        server_metadata::ServerMetadata,
        token::TokenSet,
    },
    token_request,
};

/// Its name in options.
pub(super) const NAME: &str = "device_code";

pub(super) struct DeviceCodeGrant;

#[async_trait]
impl Grant for DeviceCodeGrant {
    fn name(&self) -> &'static str {
        NAME
    }

    fn is_offered_by(&self, server: &ServerMetadata) -> bool {
        server.device_authorization_endpoint.is_some()
    }

    /// Returns a person can be had to confirm a code that somebody else was given (RFC 8628 §5.4), so a
    /// server alone cannot make us take this way (H179).
    fn must_be_named(&self) -> bool {
        true
    }

    async fn request_tokens(
        &self,
        platform: &Platform,
        request: GrantRequest<'_>,
    ) -> Result<TokenSet, Error> {
        let asked_at = platform.clock.now();
        let code = ask(platform, &request).await?;
        let limit = Limit::of(&code, request.timeout);
        let countdown = Countdown::from(asked_at, limit.length());
        let prompt = prompt(&code, &request, asked_at + limit.length());
        let polling = poll(platform, &request, &code, countdown);
        let showing = platform.interaction.show_code(&prompt);
        tokio::pin!(polling, showing);
        // The person is told before anything is asked, however fast the clock goes.
        let tokens = tokio::select! {
            biased;
            () = &mut showing => polling.await,
            tokens = &mut polling => tokens,
        };
        tokens?.ok_or_else(|| limit.error().into())
    }
}

/// Asks for the codes.
async fn ask(platform: &Platform, request: &GrantRequest<'_>) -> Result<DeviceCode, Error> {
    let discovery = request.discovery;
    let client = &request.client_now(platform)?;
    let server = &discovery.metadata;
    let endpoint = server
        .device_authorization_endpoint
        .as_ref()
        .ok_or_else(|| no_grant(request))?;
    let (reach, resource) = (discovery.reach, request.resource_parameter());
    let message = |client: &ClientAuth<'_>| {
        device::request(endpoint, reach, client, resource, request.scope())
    };
    let answer = token_request::send(platform, client, message, None).await?;
    let secrets: Vec<&str> = client.secrets().collect();
    device::response(&answer, endpoint, reach, &secrets).map_err(|cause| {
        let url = endpoint.as_url().clone();
        AuthorizationError::Device { url, cause }.into()
    })
}

fn prompt(code: &DeviceCode, request: &GrantRequest<'_>, expires_at: SystemTime) -> DevicePrompt {
    let at = code.verification_uri.as_url().clone();
    let complete = code.verification_uri_complete.as_ref();
    DevicePrompt {
        verification_uri_complete: complete.map(|complete| complete.as_url().clone()),
        is_elsewhere: code.is_third_party_host(request.discovery.issuer()),
        ..DevicePrompt::new(code.user_code.to_string(), at, expires_at)
    }
}

/// Asks until the person has decided; none if the time is over first.
async fn poll(
    platform: &Platform,
    request: &GrantRequest<'_>,
    code: &DeviceCode,
    mut countdown: Countdown,
) -> Result<Option<TokenSet>, Error> {
    let mut pace = Pace::new(code.interval);
    while countdown.sleep(&*platform.clock, pace.wait()).await {
        let answer = poll_once(platform, request, code, countdown.left).await?;
        match answer {
            DevicePollResult::Tokens(tokens) => return Ok(Some(tokens)),
            DevicePollResult::Pending => pace.keep(),
            DevicePollResult::SlowDown(asked_wait) => pace.slow_down(asked_wait),
            DevicePollResult::Unavailable(asked_wait) => pace.back_off(asked_wait),
            DevicePollResult::Denied(error) => return Err(AuthorizationError::Denied(error).into()),
            DevicePollResult::Expired => return Err(AuthorizationError::CodeExpired.into()),
        }
    }
    Ok(None)
}

/// Returns the code goes to the token endpoint of the metadata that named the device endpoint, and nowhere
/// else.
async fn poll_once(
    platform: &Platform,
    request: &GrantRequest<'_>,
    code: &DeviceCode,
    left: Duration,
) -> Result<DevicePollResult, Error> {
    let discovery = request.discovery;
    // Signed anew for each poll.
    let client = &request.client_now(platform)?;
    let endpoint = &discovery.metadata.token_endpoint;
    let resource = discovery.resource_parameter();
    let message = |client: &ClientAuth<'_>| {
        let (reach, code) = (discovery.reach, &code.device_code);
        let mut message = device::poll_request(endpoint, reach, client, resource, code);
        message.deadline = message.deadline.min(left);
        message
    };
    let (sent, prover) = ([code.device_code.expose().as_str()], request.prover());
    match request_tokens(platform, discovery, client, message, &sent, prover, None).await {
        Ok(tokens) => Ok(DevicePollResult::Tokens(tokens)),
        Err(Error::TokenExchange { url, cause }) => {
            DevicePollResult::read(Err(cause)).map_err(|cause| Error::TokenExchange { url, cause })
        }
        Err(Error::Http(error)) if may_pass(&error) => Ok(DevicePollResult::Unavailable(None)),
        Err(other) => Err(other),
    }
}

/// Returns whether the network may be back later (H177).
fn may_pass(error: &HttpError) -> bool {
    match error.cause {
        HttpErrorKind::Connect(_) | HttpErrorKind::Interrupted(_) | HttpErrorKind::TimedOut(_) => {
            true
        }
        HttpErrorKind::Forbidden(_)
        | HttpErrorKind::TooLarge(_)
        | HttpErrorKind::HeadTooLarge
        | HttpErrorKind::Certificate(_)
        | HttpErrorKind::CertificateRequired
        | HttpErrorKind::NotTls
        | HttpErrorKind::Setup(_)
        | HttpErrorKind::Unproven(_) => false,
    }
}

/// Holds what ends the wait: the life of the code, or how long the person may take.
#[derive(Clone, Copy)]
enum Limit {
    Code(Duration),
    Person(Duration),
}

impl Limit {
    fn of(code: &DeviceCode, timeout: Duration) -> Self {
        if timeout < code.expires_in {
            Self::Person(timeout)
        } else {
            Self::Code(code.expires_in)
        }
    }

    fn length(self) -> Duration {
        match self {
            Self::Code(length) | Self::Person(length) => length,
        }
    }

    fn error(self) -> AuthorizationError {
        match self {
            Self::Code(_) => AuthorizationError::CodeExpired,
            Self::Person(timeout) => AuthorizationError::TimedOut(timeout),
        }
    }
}

/// Says how much time is left. A sleep counts in full even if the clock was set back meanwhile, so that
/// no clock makes us ask for ever.
struct Countdown {
    left: Duration,
    seen: SystemTime,
}

impl Countdown {
    fn from(start: SystemTime, length: Duration) -> Self {
        Self {
            left: length,
            seen: start,
        }
    }

    /// Sleeps, and says whether there is time left.
    async fn sleep(&mut self, clock: &dyn Clock, wait: Duration) -> bool {
        self.spend(clock, Duration::ZERO);
        let wait = wait.min(self.left);
        clock.sleep(wait).await;
        self.spend(clock, wait);
        !self.left.is_zero()
    }

    fn spend(&mut self, clock: &dyn Clock, at_least: Duration) {
        let now = clock.now();
        let gone = now.duration_since(self.seen).unwrap_or_default();
        self.left = self.left.saturating_sub(gone.max(at_least));
        self.seen = now;
    }
}

/// Says how long to wait before the next poll.
struct Pace {
    /// Grows by `slow_down`, for good (RFC 8628 §3.5).
    interval: Duration,
    /// After a failure: twice what it was (RFC 8628 §3.5), until there is an answer again. Or what
    /// the server asked for, once.
    detour: Option<Duration>,
}

impl Pace {
    fn new(interval: Duration) -> Self {
        Self {
            interval,
            detour: None,
        }
    }

    fn wait(&self) -> Duration {
        self.detour.unwrap_or(self.interval)
    }

    fn keep(&mut self) {
        self.detour = None;
    }

    fn slow_down(&mut self, asked_wait: Option<Duration>) {
        self.interval = (self.interval + SLOW_DOWN).min(LONGEST_INTERVAL);
        let longer = asked_wait.filter(|wait| *wait > self.interval);
        self.detour = longer.map(|wait| wait.min(LONGEST_INTERVAL));
    }

    fn back_off(&mut self, asked_wait: Option<Duration>) {
        let longer = (self.wait() * 2).max(asked_wait.unwrap_or_default());
        self.detour = Some(longer.min(LONGEST_INTERVAL));
    }
}
