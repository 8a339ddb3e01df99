//! The tokio runtime of this process. A fork copies memory and no threads, so a forked process starts its
//! own.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use futures_util::future::join_all;
use mcp_client_oauth::TokenStore;
use pyo3::{exceptions::PyRuntimeError, prelude::*};
use tokio::{
    runtime::{Builder, Handle, Runtime},
    time::timeout,
};
use tokio_util::task::TaskTracker;

mod bridge;

use bridge::Bridge;

/// The threads of the runtime: it waits for the network, and computes little.
const THREADS: usize = 2;
/// The time that the end of the interpreter waits for tokens that are being refreshed or saved.
const FLUSH_LIMIT: Duration = Duration::from_secs(10);
/// The time that it then waits for other work, such as a program that opens a browser.
const SHUTDOWN_LIMIT: Duration = Duration::from_millis(500);

/// The number of forks between the first process and this one. A value that was made in another generation
/// belongs to the threads of a parent process.
static GENERATION: AtomicU64 = AtomicU64::new(0);
static IS_CLOSED: AtomicBool = AtomicBool::new(false);
static PROCESS: ArcSwapOption<Process> = ArcSwapOption::const_empty();

/// Returns the generation of this process.
pub(crate) fn generation() -> u64 {
    GENERATION.load(Ordering::Acquire)
}

/// The threads of this process that belong to the module.
pub(crate) struct Process {
    handle: Handle,
    /// Taken when the interpreter ends.
    runtime: Mutex<Option<Runtime>>,
    bridge: Bridge,
    stores: Mutex<Vec<Weak<TokenStore>>>,
    /// The stores of clients that no longer exist, until their tokens are saved.
    flushes: TaskTracker,
}

impl Process {
    /// Returns that of this process, which is started now if it does not exist. The caller holds the GIL, so
    /// only one is started.
    pub(crate) fn current(py: Python<'_>) -> PyResult<Arc<Self>> {
        if let Some(process) = PROCESS.load_full() {
            return Ok(process);
        }
        if IS_CLOSED.load(Ordering::Acquire) {
            return Err(PyRuntimeError::new_err(
                "the Python interpreter is shutting down",
            ));
        }
        let process = Self::start().map_err(|error| {
            PyRuntimeError::new_err(format!(
                "cannot start the threads of mcp_client_oauth: {error}"
            ))
        })?;
        let process = Arc::new(process);
        PROCESS.store(Some(Arc::clone(&process)));
        py.import("mcp_client_oauth._process")?
            .call_method0("started")?;
        Ok(process)
    }

    fn start() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("mcp-client-oauth")
            .enable_all()
            .build()?;
        Ok(Self {
            handle: runtime.handle().clone(),
            runtime: Mutex::new(Some(runtime)),
            bridge: Bridge::start()?,
            stores: Mutex::default(),
            flushes: TaskTracker::new(),
        })
    }

    /// Returns the runtime.
    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    fn stop(&self) {
        let runtime = lock(&self.runtime).take();
        if let Some(runtime) = runtime {
            let stores: Vec<_> = lock(&self.stores)
                .iter()
                .filter_map(Weak::upgrade)
                .collect();
            self.flushes.close();
            let flushed = async {
                join_all(stores.iter().map(|store| store.flush())).await;
                self.flushes.wait().await;
            };
            if runtime
                .block_on(async { timeout(FLUSH_LIMIT, flushed).await })
                .is_err()
            {
                tracing::warn!("tokens are not saved yet at the end of the process");
            }
            runtime.shutdown_timeout(SHUTDOWN_LIMIT);
        }
        self.bridge.close();
    }
}

/// Runs `job` with the GIL, on a thread of its own: a thread of the runtime never waits for the GIL, so no
/// Python code delays a refresh. Jobs run in order. Without a runtime, it is dropped.
pub(crate) fn run_in_python(job: impl FnOnce(Python<'_>) + Send + 'static) {
    if let Some(process) = &*PROCESS.load() {
        process.bridge.post(Box::new(job));
    }
}

/// Calls `work` in the context of the runtime, if there is one.
pub(crate) fn enter<T>(work: impl FnOnce() -> T) -> T {
    let process = PROCESS.load();
    let _context = process.as_ref().map(|process| process.handle.enter());
    work()
}

/// Remembers a store, to wait for its tokens at the end of the process.
pub(crate) fn register(store: &Arc<TokenStore>) {
    if let Some(process) = &*PROCESS.load() {
        let mut stores = lock(&process.stores);
        stores.retain(|store| store.strong_count() > 0);
        stores.push(Arc::downgrade(store));
    }
}

/// Saves the tokens of a store that is no longer used, in the background.
pub(crate) fn flush_later(store: Arc<TokenStore>) {
    if let Some(process) = &*PROCESS.load() {
        let flush = async move { store.flush().await };
        process.flushes.spawn_on(flush, &process.handle);
    }
}

/// Makes a forked process start its own threads. The values of the parent process are neither used nor
/// dropped: they belong to threads that do not exist here, and to sockets that the parent still uses.
#[pyfunction]
pub(crate) fn after_fork() {
    GENERATION.fetch_add(1, Ordering::AcqRel);
    std::mem::forget(PROCESS.swap(None));
}

/// Saves tokens and ends all threads, before the interpreter ends. No thread may call Python later.
#[pyfunction]
pub(crate) fn shut_down(py: Python<'_>) {
    IS_CLOSED.store(true, Ordering::Release);
    if let Some(process) = PROCESS.load_full() {
        py.detach(|| process.stop());
    }
    PROCESS.store(None);
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
