//! Work of the library, for Python: awaited in asyncio, or waited for on any thread.

use std::{
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{
        Mutex, PoisonError,
        mpsc::{RecvTimeoutError, sync_channel},
    },
    time::Duration,
};

use futures_util::FutureExt as _;
use pyo3::{
    IntoPyObjectExt as _, exceptions::PyRuntimeError, intern, prelude::*, sync::PyOnceLock,
};
use tokio::task::AbortHandle;

use crate::{
    logging,
    runtime::{Process, generation, run_in_python},
};

/// The time between two checks for Ctrl-C, during which a thread waits.
const SIGNAL_INTERVAL: Duration = Duration::from_millis(50);

/// Converts the outcome to Python, with the GIL.
type Outcome = Box<dyn for<'py> FnOnce(Python<'py>) -> PyResult<Bound<'py, PyAny>> + Send>;
type Work = Pin<Box<dyn Future<Output = PyResult<Outcome>> + Send>>;

/// Work that starts when it is awaited, or waited for. It can be used once.
#[pyclass(frozen, module = "mcp_client_oauth._native")]
pub(crate) struct Operation {
    work: Mutex<Option<Work>>,
}

impl Operation {
    /// Creates an operation.
    pub(crate) fn new<T>(work: impl Future<Output = PyResult<T>> + Send + 'static) -> Self
    where
        T: for<'py> IntoPyObject<'py> + Send + 'static,
    {
        let work = async move {
            // A panic must not leave the caller waiting for ever.
            let outcome = AssertUnwindSafe(work).catch_unwind().await;
            let value = outcome
                .map_err(|_| PyRuntimeError::new_err("internal error: the operation panicked"))??;
            let convert: Outcome = Box::new(move |py| value.into_bound_py_any(py));
            Ok(convert)
        };
        Self {
            work: Mutex::new(Some(Box::pin(work))),
        }
    }

    fn take(&self) -> PyResult<Work> {
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        work.take()
            .ok_or_else(|| PyRuntimeError::new_err("the operation was awaited already"))
    }
}

#[pymethods]
impl Operation {
    /// Starts the work, as a future of the running event loop. Cancelling that cancels the work.
    fn __await__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let event_loop = running_loop(py)?;
        let work = self.take()?;
        let process = Process::current(py)?;
        logging::update_level(py)?;
        let future = event_loop.call_method0(intern!(py, "create_future"))?;
        let (result, event_loop) = (future.clone().unbind(), event_loop.unbind());
        let task = process.handle().spawn(async move {
            let outcome = work.await;
            run_in_python(move |py| deliver(py, &event_loop, result, outcome));
        });
        let cancel = Cancel {
            task: task.abort_handle(),
            generation: generation(),
        };
        future.call_method1(intern!(py, "add_done_callback"), (cancel,))?;
        future.call_method0(intern!(py, "__await__"))
    }

    /// Starts the work and blocks this thread until it has ended, without the GIL. Ctrl-C cancels the work.
    fn wait<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let work = self.take()?;
        let process = Process::current(py)?;
        logging::update_level(py)?;
        let (sender, outcome) = sync_channel(1);
        let task = process.handle().spawn(async move {
            let outcome = work.await;
            // After the log records of the work.
            run_in_python(move |_| drop(sender.send(outcome)));
        });
        let mut outcome = outcome;
        loop {
            // The receiver is lent to the part without the GIL: two threads must not use it at once.
            let (lent, message) = py.detach(move || {
                let message = outcome.recv_timeout(SIGNAL_INTERVAL);
                (outcome, message)
            });
            outcome = lent;
            match message {
                Ok(outcome) => return outcome.and_then(|convert| convert(py)),
                Err(RecvTimeoutError::Timeout) => {
                    py.check_signals().inspect_err(|_| task.abort())?;
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(PyRuntimeError::new_err(
                        "the Python interpreter is shutting down",
                    ));
                }
            }
        }
    }
}

fn running_loop(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    static GET: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    GET.import(py, "asyncio", "get_running_loop")?.call0()
}

/// Sets the outcome of a future, on the thread of its event loop.
fn deliver(py: Python<'_>, event_loop: &Py<PyAny>, future: Py<PyAny>, outcome: PyResult<Outcome>) {
    let (method, value) = match outcome.and_then(|convert| convert(py)) {
        Ok(value) => (intern!(py, "set_result"), value),
        Err(error) => (
            intern!(py, "set_exception"),
            error.into_value(py).into_bound(py).into_any(),
        ),
    };
    let settle = Settle { future };
    // It fails only if the event loop is closed: then no task waits for the future.
    let _ = event_loop.call_method1(
        py,
        intern!(py, "call_soon_threadsafe"),
        (settle, method, value),
    );
}

/// Sets the outcome of a future, unless it was cancelled in the meantime.
#[pyclass(frozen)]
struct Settle {
    future: Py<PyAny>,
}

#[pymethods]
impl Settle {
    fn __call__(&self, py: Python<'_>, method: &str, value: Bound<'_, PyAny>) -> PyResult<()> {
        let future = self.future.bind(py);
        if !future.call_method0(intern!(py, "done"))?.is_truthy()? {
            future.call_method1(method, (value,))?;
        }
        Ok(())
    }
}

/// Cancels the work when the future ends otherwise: its task was cancelled.
#[pyclass(frozen)]
struct Cancel {
    task: AbortHandle,
    generation: u64,
}

#[pymethods]
impl Cancel {
    fn __call__(&self, _future: Bound<'_, PyAny>) {
        // In a forked process, the task belongs to threads that do not exist.
        if self.generation == generation() {
            self.task.abort();
        }
    }
}
