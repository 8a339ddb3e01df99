//! The way to the server: every request goes out with the token if there is one; where a person must
//! log in, that is begun, and said.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};
use mcp_client_oauth::{
    AnswerError, Authorized, Error, LoginOptions, Remedy, Session, Sessions, TokenStore,
    error::{AuthorizationError, HttpError, HttpErrorCause},
    platform::{Body, Platform, Reach, Request},
    proto::challenge::Challenge,
    store::RecordKey,
};
use tokio::{sync::watch, task::AbortHandle};
use url::Url;

mod blot;
mod login;
mod source;

use blot::{Shown, blotted};
use source::Source;

use super::{UNKNOWN_OUTCOME, frame::NoMessage};
use crate::{exit::Failure, hint::Subject, ui::Ui};

/// What goes out.
#[derive(Clone)]
pub(crate) struct Outgoing {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// How long the head of the answer may take.
    pub(crate) patience: Duration,
}

/// Why there is no answer.
#[derive(Clone, Debug)]
pub(crate) enum Trouble {
    /// A person must log in, which has begun.
    Login,
    /// The authorization, or the network.
    Failed(Error),
    /// What came is no answer.
    NoAnswer(AnswerError),
    /// The answer is over, and nothing in it was for the message.
    Unanswered,
    /// The server does not know our session any more, so it has not taken the message either.
    SessionGone,
    /// The server does not speak this transport.
    OtherTransport(StatusCode),
    /// There is no session with the server yet, for this reason.
    Shut(Box<Trouble>),
    /// In words.
    Said(String),
}

/// What the door needs to know.
pub(crate) struct Terms {
    pub(crate) platform: Platform,
    pub(crate) store: TokenStore,
    pub(crate) key: RecordKey,
    pub(crate) options: LoginOptions,
    pub(crate) ui: Ui,
    /// Whether a browser is opened, and whether that is all that may be asked of the person.
    pub(crate) browser: bool,
    pub(crate) no_browser: bool,
    /// The person's own headers. With an `Authorization` among them the token is none of ours.
    pub(crate) headers: HeaderMap,
    /// What was typed, for hints.
    pub(crate) subject: Subject,
    /// The file that is locked while somebody logs in there.
    pub(crate) lock: Option<PathBuf>,
}

/// The way to the server. Cloning shares it.
#[derive(Clone)]
pub(crate) struct Door(Arc<Inner>);

struct Inner {
    terms: Terms,
    pass: ArcSwapOption<Pass>,
    shown: Shown,
    login: watch::Sender<login::Login>,
    /// How many logins have brought a token.
    logins: watch::Sender<u64>,
    work: Mutex<Option<AbortHandle>>,
}

/// The tokens that requests go out with.
struct Pass {
    session: Session,
    authorized: Authorized,
    /// For the place that a stream of 2024-11-05 names.
    at_origin: Authorized,
}

impl Door {
    /// Opens with what the store has, if anything. Nobody is asked.
    pub(crate) async fn open(terms: Terms) -> Result<Self, Failure> {
        let door = Self(Arc::new(Inner {
            terms,
            pass: ArcSwapOption::empty(),
            shown: Shown::default(),
            login: watch::Sender::default(),
            logins: watch::Sender::default(),
            work: Mutex::default(),
        }));
        if !door.has_own_authorization() {
            let found = door.stored().await?;
            if let Some(session) = found {
                door.go_on_with(session);
            }
        }
        Ok(door)
    }

    pub(crate) fn url(&self) -> &Url {
        self.0.terms.key.server().as_url()
    }

    pub(crate) fn platform(&self) -> &Platform {
        &self.0.terms.platform
    }

    /// Whether somebody is logged in, as far as that is known before the server is asked.
    pub(crate) fn has_session(&self) -> bool {
        self.0.pass.load().is_some()
    }

    /// Sends, with the token if there is one. An answer that wants a login begins it.
    pub(crate) async fn send(&self, outgoing: &Outgoing) -> Result<http::Response<Body>, Trouble> {
        if let Some(pass) = self.0.pass.load_full() {
            return self.send_with(&pass, outgoing).await;
        }
        let answer = self.send_without(outgoing).await?;
        if answer.status() != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        if self.has_own_authorization() {
            let text = format!(
                "{} refuses the Authorization header of --header",
                self.url()
            );
            return Err(Trouble::Said(text));
        }
        let challenge = Challenge::of(answer.status(), answer.headers());
        drop(answer);
        // Somebody may have logged in elsewhere.
        if let Some(session) = self.stored().await.map_err(Trouble::Failed)? {
            self.go_on_with(session);
            if let Some(pass) = self.0.pass.load_full() {
                return self.send_with(&pass, outgoing).await;
            }
        }
        self.log_in(challenge, None);
        Err(Trouble::Login)
    }

    async fn send_with(
        &self,
        pass: &Pass,
        outgoing: &Outgoing,
    ) -> Result<http::Response<Body>, Trouble> {
        let authorized = if outgoing.url == *self.url() {
            &pass.authorized
        } else {
            &pass.at_origin
        };
        let request = authorized
            .request(outgoing.method.clone(), outgoing.url.clone())
            .timeout(outgoing.patience)
            .body(outgoing.body.clone());
        let headers = self.headers(outgoing);
        let request = headers.iter().fold(request, |request, (name, value)| {
            request.header(name.clone(), value.clone())
        });
        match Box::pin(request.open()).await {
            Ok(answer) if answer.status() == StatusCode::UNAUTHORIZED => {
                let text = format!("{} refuses the token, and a fresh one too", self.url());
                Err(Trouble::Said(text))
            }
            Ok(answer) => Ok(blotted(answer, &self.0.shown)),
            Err(Error::Authorization(AuthorizationError::ScopeNotGranted { scope, .. })) => {
                self.log_in(None, Some(scope));
                Err(Trouble::Login)
            }
            Err(error) if error.remedy() == Remedy::LogIn => {
                self.log_in(None, None);
                Err(Trouble::Login)
            }
            Err(error) => Err(Trouble::Failed(error)),
        }
    }

    async fn send_without(&self, outgoing: &Outgoing) -> Result<http::Response<Body>, Trouble> {
        let (method, url) = (outgoing.method.clone(), outgoing.url.clone());
        // The person named the server, so it may be anywhere.
        let mut request = Request::new(method, url, Reach::Loopback);
        request.headers = self.headers(outgoing);
        request.body = outgoing.body.clone();
        request.deadline = outgoing.patience;
        Ok(self.platform().http.open(request).await?)
    }

    /// The person's own headers, and those of the protocol, which go before them.
    fn headers(&self, outgoing: &Outgoing) -> HeaderMap {
        let mut headers = self.0.terms.headers.clone();
        for name in outgoing.headers.keys() {
            headers.remove(name);
        }
        for (name, value) in &outgoing.headers {
            headers.append(name.clone(), value.clone());
        }
        headers
    }

    fn has_own_authorization(&self) -> bool {
        self.0.terms.headers.contains_key(header::AUTHORIZATION)
    }

    async fn stored(&self) -> Result<Option<Session>, Error> {
        let terms = &self.0.terms;
        Sessions::new(terms.platform.clone(), terms.store.clone())
            .session_with(terms.key.server(), &terms.options)
            .await
    }

    fn go_on_with(&self, session: Session) {
        let platform = self.platform().clone();
        let source = Source::new(session.clone(), self.0.shown.clone());
        let at_origin = Source::at_origin(session.clone(), self.0.shown.clone());
        let authorized = Authorized::new(platform.clone(), Arc::new(source));
        let at_origin = Authorized::new(platform, Arc::new(at_origin));
        self.0.pass.store(Some(Arc::new(Pass {
            session,
            authorized,
            at_origin,
        })));
    }

    /// Gives up a login that is under way.
    pub(crate) fn close(&self) {
        let mut work = self.0.work.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(work) = work.take() {
            work.abort();
        }
    }
}

impl Trouble {
    /// Whether the request surely did not reach the server, so that it may be sent again.
    pub(crate) fn never_sent(&self) -> bool {
        matches!(self, Self::Failed(Error::Http(error)) if error.never_sent())
    }

    /// Whether the server could not be reached.
    pub(crate) fn is_of_network(&self) -> bool {
        matches!(self, Self::Failed(error) if error.remedy() == Remedy::Retry)
    }

    /// Whether the request may have been carried out, though no answer came.
    pub(crate) fn is_interrupted(&self) -> bool {
        match self {
            Self::Failed(Error::Http(error)) => !error.never_sent(),
            Self::Unanswered | Self::NoAnswer(AnswerError::Network(_)) => true,
            _ => false,
        }
    }

    /// Whether what came was too large, and is so whenever it comes.
    pub(crate) fn is_too_large(&self) -> bool {
        let cause = match self {
            Self::Failed(Error::Http(error)) => &error.cause,
            _ => return false,
        };
        matches!(
            cause,
            HttpErrorCause::TooLarge(_) | HttpErrorCause::HeadTooLarge
        )
    }

    /// Says what failed about a call that may have been carried out. No hint says to try it again:
    /// a model would follow it, and cause the effect twice.
    pub(crate) fn told_of_unknown_outcome(&self) -> String {
        let what = match self {
            Self::Failed(error) if !self.is_too_large() => {
                Failure::from(error.clone()).told(None).message
            }
            other => other.told(&Subject::default()),
        };
        format!("{what}; {UNKNOWN_OUTCOME}")
    }

    /// In words, with what to do about it, for a command about `subject`.
    pub(crate) fn told(&self, subject: &Subject) -> String {
        match self {
            Self::Failed(Error::Http(HttpError {
                url,
                cause: HttpErrorCause::TooLarge(limit),
                ..
            })) => format!(
                "{url}: the response is larger than {}, which is the limit of mcp-oauth proxy; \
                 --max-response raises it",
                size_text(*limit)
            ),
            Self::Login => "login required".to_owned(),
            Self::Failed(error) => {
                let told = Failure::from(error.clone()).told(Some(subject));
                let hint = told.hint.map(|hint| format!(" ({hint})"));
                format!("{}{}", told.message, hint.unwrap_or_default())
            }
            Self::NoAnswer(error) => error.to_string(),
            Self::Unanswered => {
                "the server ended its answer before the message was answered".to_owned()
            }
            Self::Shut(why) => why.told(subject),
            Self::SessionGone => "the server ends each session at once".to_owned(),
            Self::OtherTransport(status) => {
                format!("the server answers HTTP {status}, and speaks no transport of MCP there")
            }
            Self::Said(text) => text.clone(),
        }
    }
}

/// Writes a size in the largest unit that needs no fraction.
fn size_text(bytes: usize) -> String {
    let units = [(20, "MiB"), (10, "KiB")];
    let whole = units
        .iter()
        .find(|(shift, _)| bytes.is_multiple_of(1 << shift));
    whole.map_or_else(
        || format!("{bytes} bytes"),
        |(shift, unit)| format!("{} {unit}", bytes >> shift),
    )
}

impl From<HttpError> for Trouble {
    fn from(error: HttpError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<NoMessage> for Trouble {
    fn from(broken: NoMessage) -> Self {
        Self::Said(broken.why.to_owned())
    }
}

impl From<AnswerError> for Trouble {
    fn from(error: AnswerError) -> Self {
        match error {
            AnswerError::Network(error) => error.into(),
            other => Self::NoAnswer(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_named_as_it_was_chosen() {
        assert_eq!(size_text(64 << 20), "64 MiB");
        assert_eq!(size_text(512 << 10), "512 KiB");
        assert_eq!(size_text(1_000_000), "1000000 bytes");
    }
}
