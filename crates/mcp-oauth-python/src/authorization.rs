//! The authorization of one request that an HTTP library of Python sends.

use std::{
    convert::Infallible,
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Poll,
};

use futures_util::FutureExt as _;
use http::{HeaderMap, StatusCode};
use mcp_client_oauth::adapters::{Credentials, ResponseHead};
use pyo3::{IntoPyObjectExt as _, exceptions::PyRuntimeError, prelude::*};

use crate::{
    errors::{exception, invalid},
    headers::{self, HeaderList},
    operation::Operation,
    runtime::Process,
    session::Session,
};

/// The headers to send a request with; none if its last response is final.
type Step = Option<HeaderList>;

/// One request that an HTTP library of Python sends. The library of Rust decides on its headers, and on its
/// retries by the heads of the responses.
#[pyclass(frozen, module = "mcp_client_oauth._native")]
pub(crate) struct Authorization(Arc<Mutex<Option<Exchange>>>);

/// A call of `Session::send`, and what it passes to Python and gets from it. It is dropped with the request.
struct Exchange {
    sending: Pin<Box<dyn Future<Output = PyResult<()>> + Send>>,
    slot: Arc<Mutex<Slot>>,
}

#[derive(Default)]
struct Slot {
    /// The headers of the next attempt.
    headers: Option<HeaderList>,
    /// The response to the last attempt.
    response: Option<Head>,
    /// The response to a request that cannot be sent again.
    last: Option<Head>,
}

/// What the library reads of a response.
#[derive(Clone)]
struct Head {
    status: StatusCode,
    headers: HeaderMap,
    can_retry: bool,
}

impl ResponseHead for Head {
    fn status(&self) -> StatusCode {
        self.status
    }

    fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    fn can_retry(&self) -> bool {
        self.can_retry
    }
}

#[pymethods]
impl Authorization {
    /// Prepares a request with this method to this URL.
    #[new]
    fn new(session: &Session, method: &str, url: &str) -> PyResult<Self> {
        let (method, url) = (headers::method(method)?, headers::url("url", url)?);
        let slot = Arc::<Mutex<Slot>>::default();
        let (session, shared) = (session.clone(), Arc::clone(&slot));
        let sending = Box::pin(async move {
            let session = session.library().await?;
            let attempt = |credentials| attempt(&shared, credentials);
            let sent = session.send(&method, &url, attempt).await;
            sent.map(drop).map_err(exception)
        });
        let exchange = Exchange { sending, slot };
        Ok(Self(Arc::new(Mutex::new(Some(exchange)))))
    }

    /// Returns the headers of the first attempt, or an operation that does.
    fn begin<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.advance(py, None)
    }

    /// Returns the headers of the next attempt after a response, or none if there is no other attempt; or an
    /// operation that does. If the request cannot be sent again, a refused token is replaced nevertheless.
    fn respond<'py>(
        &self,
        py: Python<'py>,
        status: u16,
        headers: HeaderList,
        can_retry: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let head = Head {
            status: StatusCode::from_u16(status).map_err(|error| invalid("status", error))?,
            headers: headers::parse(headers)?,
            can_retry,
        };
        self.advance(py, Some(head))
    }
}

impl Authorization {
    fn advance<'py>(&self, py: Python<'py>, head: Option<Head>) -> PyResult<Bound<'py, PyAny>> {
        let in_use = || PyRuntimeError::new_err("the request is in use, or has ended");
        let mut exchange = lock(&self.0).take().ok_or_else(in_use)?;
        lock(&exchange.slot).response = head;
        let process = Process::current(py)?;
        // With a valid token nothing is waited for: the event loop and the runtime are not crossed.
        let step = {
            let _context = process.handle().enter();
            exchange.next().now_or_never()
        };
        let shared = Arc::clone(&self.0);
        match step {
            Some(step) => keep(&shared, exchange, step)?.into_bound_py_any(py),
            None => {
                let operation = Operation::new(async move {
                    let step = exchange.next().await;
                    keep(&shared, exchange, step)
                });
                operation.into_bound_py_any(py)
            }
        }
    }
}

impl Exchange {
    /// Goes on until the next attempt, or to the end.
    async fn next(&mut self) -> PyResult<Step> {
        poll_fn(|context| match self.sending.as_mut().poll(context) {
            Poll::Ready(outcome) => Poll::Ready(self.outcome(outcome)),
            Poll::Pending => match lock(&self.slot).headers.take() {
                Some(headers) => Poll::Ready(Ok(Some(headers))),
                None => Poll::Pending,
            },
        })
        .await
    }

    fn outcome(&self, outcome: PyResult<()>) -> PyResult<Step> {
        match outcome {
            // The response of a request that cannot be sent again is returned in any case.
            Err(error) if lock(&self.slot).last.is_some() => {
                tracing::debug!(%error, "cannot replace the rejected token");
                Ok(None)
            }
            outcome => outcome.map(|()| None),
        }
    }
}

/// Passes the credentials of an attempt to Python, and waits for the response.
async fn attempt(slot: &Mutex<Slot>, credentials: Credentials) -> Result<Head, Infallible> {
    if let Some(last) = lock(slot).last.clone() {
        return Ok(last);
    }
    lock(slot).headers = Some(headers::list(&HeaderMap::from(credentials)));
    let mut head = poll_fn(|_| match lock(slot).response.take() {
        Some(head) => Poll::Ready(head),
        // `respond` sets it, and polls.
        None => Poll::Pending,
    })
    .await;
    // A refused token is replaced before the next attempt. If there can be none, that is the end. A login for
    // a wider scope would be of no use.
    if !head.can_retry && head.status == StatusCode::UNAUTHORIZED {
        lock(slot).last = Some(head.clone());
        head.can_retry = true;
    }
    Ok(head)
}

/// Keeps the exchange for the next response, if there is one.
fn keep(
    shared: &Mutex<Option<Exchange>>,
    exchange: Exchange,
    step: PyResult<Step>,
) -> PyResult<Step> {
    if let Ok(Some(_)) = step {
        *lock(shared) = Some(exchange);
    }
    step
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
