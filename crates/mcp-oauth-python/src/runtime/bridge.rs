//! The thread that calls Python.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex, PoisonError,
        mpsc::{Receiver, Sender, channel},
    },
    thread::{Builder, JoinHandle},
};

use pyo3::prelude::*;

pub(super) type Job = Box<dyn FnOnce(Python<'_>) + Send>;

/// A thread that runs jobs with the GIL. It alone waits for the GIL, and it has ended before the interpreter
/// does: a thread that requests the GIL of an interpreter that ends is killed or blocked for ever.
pub(super) struct Bridge {
    jobs: Mutex<Option<Sender<Job>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Bridge {
    pub(super) fn start() -> io::Result<Self> {
        let (jobs, received) = channel();
        let thread = Builder::new()
            .name("mcp-client-oauth-python".to_owned())
            .spawn(move || run(&received))?;
        Ok(Self {
            jobs: Mutex::new(Some(jobs)),
            thread: Mutex::new(Some(thread)),
        })
    }

    pub(super) fn post(&self, job: Job) {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(jobs) = &*jobs {
            // The thread has ended only if the interpreter has.
            let _ = jobs.send(job);
        }
    }

    /// Runs the remaining jobs and ends the thread. The caller must not hold the GIL.
    pub(super) fn close(&self) {
        drop(
            self.jobs
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            // A job that panics is caught, so the thread has not.
            let _ = thread.join();
        }
    }
}

fn run(jobs: &Receiver<Job>) {
    while let Ok(first) = jobs.recv() {
        let ran = Python::try_attach(|py| {
            for job in std::iter::once(first).chain(jobs.try_iter()) {
                let _ = catch_unwind(AssertUnwindSafe(|| job(py)));
            }
        });
        if ran.is_none() {
            return;
        }
    }
}
