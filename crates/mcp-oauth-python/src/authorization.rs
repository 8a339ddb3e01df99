//! The authorization of one request that another HTTP client sends, in as many attempts as that takes.

use std::{
    pin::Pin,
    sync::{Arc, Mutex as StdMutex, PoisonError},
};

use futures_util::FutureExt as _;
use http::{HeaderMap, Method, StatusCode};
use mcp_client_oauth::{
    Session as Library,
    adapters::{Credentials, ResponseHead},
};
use pyo3::{exceptions::PyRuntimeError, prelude::*};
use tokio::sync::{
    Mutex,
    mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
};
use url::Url;

use crate::{
    errors::{exception, invalid},
    headers::{self, HeaderList},
    operation::Operation,
    runtime,
    session::Session,
};

/// The authorization of one request. The caller sends the request with the headers of `headers`, and passes
/// the response to `response`, which says whether to send it again.
#[pyclass(frozen, module = "mcp_client_oauth._native")]
pub(crate) struct Authorization(Arc<Shared>);

struct Shared {
    session: Session,
    method: Method,
    url: Url,
    /// The credentials of the first attempt.
    first: StdMutex<Option<Credentials>>,
    /// Made by the first response that may be a challenge.
    exchange: Mutex<Option<Exchange>>,
}

/// `Session::send` of the library, with a caller that sends the requests.
struct Exchange {
    sending: Pin<Box<dyn Future<Output = PyResult<()>> + Send>>,
    attempts: UnboundedReceiver<Credentials>,
    responses: UnboundedSender<Head>,
}

/// The head of a response.
#[derive(Clone)]
struct Head {
    status: StatusCode,
    headers: HeaderMap,
}

impl ResponseHead for Head {
    fn status(&self) -> StatusCode {
        self.status
    }

    fn headers(&self) -> &HeaderMap {
        &self.headers
    }
}

#[pymethods]
impl Authorization {
    #[new]
    fn new(session: &Session, method: &str, url: &str) -> PyResult<Self> {
        Ok(Self(Arc::new(Shared {
            session: session.clone(),
            method: headers::method(method)?,
            url: headers::url("url", url)?,
            first: StdMutex::default(),
            exchange: Mutex::default(),
        })))
    }

    /// Returns the headers of the first attempt if the token is valid now, without waiting.
    fn cached_headers(&self) -> PyResult<Option<HeaderList>> {
        let session = self.0.session.current();
        let credentials = session.and_then(|session| {
            let credentials = session.credentials(&self.0.method, &self.0.url);
            // A token that expires soon is refreshed in the background, by the runtime.
            runtime::enter(|| credentials.now_or_never())
        });
        let credentials = credentials.transpose().map_err(exception)?;
        Ok(credentials.map(|credentials| self.0.begin(credentials)))
    }

    /// Returns the headers of the first attempt.
    fn headers(&self) -> Operation {
        let own = Arc::clone(&self.0);
        Operation::new(async move {
            let session = own.session.library().await?;
            let credentials = session.credentials(&own.method, &own.url).await;
            Ok(own.begin(credentials.map_err(exception)?))
        })
    }

    /// Takes the response to the last attempt, and returns the headers of another attempt if there is one. The
    /// result is `None`, without an operation, if the response is none that the server refused the request by.
    fn response(
        &self,
        status: u16,
        headers: HeaderList,
        can_retry: bool,
    ) -> PyResult<Option<Operation>> {
        let status = StatusCode::from_u16(status).map_err(|error| invalid("status", error))?;
        let head = Head {
            status,
            headers: headers::challenge(headers)?,
        };
        let is_refusal = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
        if !is_refusal && !head.headers.contains_key(headers::NONCE) {
            return Ok(None);
        }
        let own = Arc::clone(&self.0);
        Ok(Some(Operation::new(async move {
            let is_unauthorized = head.status == StatusCode::UNAUTHORIZED;
            if can_retry {
                return own.next(head).await;
            }
            // The next request gets another token, or the nonce. No wider scope is requested: the caller
            // handles a 403, as with a streamed body of the library.
            if is_unauthorized && own.next(head).await.is_err() {
                tracing::debug!("cannot replace the rejected token");
            }
            Ok(None)
        })))
    }
}

impl Shared {
    fn begin(&self, credentials: Credentials) -> HeaderList {
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        *first = Some(credentials.clone());
        headers::list(&HeaderMap::from(credentials))
    }

    /// Returns the headers of the next attempt, or none if the response is final.
    async fn next(&self, head: Head) -> PyResult<Option<HeaderList>> {
        let mut exchange = self.exchange.lock().await;
        let exchange = match &mut *exchange {
            Some(exchange) => {
                // It is received until `sending` has ended, and then no response is expected.
                let _ = exchange.responses.send(head);
                exchange
            }
            none => none.insert(self.exchange(head).await?),
        };
        tokio::select! {
            biased;
            credentials = exchange.attempts.recv() => {
                Ok(credentials.map(|credentials| headers::list(&HeaderMap::from(credentials))))
            }
            ended = &mut exchange.sending => ended.map(|()| None),
        }
    }

    /// Starts the exchange, which begins with the attempt that `head` is the response to.
    async fn exchange(&self, head: Head) -> PyResult<Exchange> {
        let first = self
            .first
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let first = first.ok_or_else(|| {
            PyRuntimeError::new_err("the response of an attempt is passed once, after headers()")
        })?;
        let (sender, attempts) = unbounded_channel();
        let (responses, received) = unbounded_channel();
        let (session, method, url) = (
            self.session.library().await?,
            self.method.clone(),
            self.url.clone(),
        );
        let caller = Caller {
            attempts: sender,
            responses: Arc::new(Mutex::new(received)),
        };
        let sending = async move { send(&session, &method, &url, (first, head), caller).await };
        Ok(Exchange {
            sending: Box::pin(sending),
            attempts,
            responses,
        })
    }
}

/// The caller that sends the attempts.
#[derive(Clone)]
struct Caller {
    attempts: UnboundedSender<Credentials>,
    responses: Arc<Mutex<UnboundedReceiver<Head>>>,
}

impl Caller {
    async fn send(&self, credentials: Credentials) -> Result<Head, PyErr> {
        let gone = || PyRuntimeError::new_err("the request was abandoned");
        self.attempts.send(credentials).map_err(|_| gone())?;
        self.responses.lock().await.recv().await.ok_or_else(gone)
    }
}

async fn send(
    session: &Library,
    method: &Method,
    url: &Url,
    first: (Credentials, Head),
    caller: Caller,
) -> PyResult<()> {
    let first = StdMutex::new(Some(first));
    let attempt = |credentials: Credentials| {
        let sent = first.lock().unwrap_or_else(PoisonError::into_inner).take();
        // If the token was replaced in the meantime, the request is sent with the new one.
        let sent = sent.filter(|(first, _)| first.authorization == credentials.authorization);
        let caller = caller.clone();
        async move {
            match sent {
                Some((_, head)) => Ok(head),
                None => caller.send(credentials).await,
            }
        }
    };
    session
        .send(method, url, attempt)
        .await
        .map_err(exception)?
        .map(drop)
}
