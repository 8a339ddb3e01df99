//! The lock of a record across hosts: a lease, which is a document with an owner and an expiry.
//!
//! Only the server's clock counts: a lease expires [`LENGTH`] after the time that the server stamped on its
//! version, and a client learns the current time from the `Date` of the response with the document. The
//! clocks of the hosts need not agree. `Date` has whole seconds and is rounded down, which favors the
//! holder.
//!
//! The tasks of one process wait in a queue first, so that only one of them sends requests.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use mcp_client_oauth::error::{TokenStorageError, UntrustedText};
use mcp_oauth_store::{LockGuard, Revision};
use serde::{Deserialize, Serialize};
use tokio::{runtime::Handle, sync::OwnedMutexGuard};

use crate::{
    error::VaultError,
    kv::{Content, Found},
    record::{hash, hex, location, random},
    shared::Shared,
};

/// The lifetime of a lease after its last note. Each attempt of a refresh writes one, and takes less time
/// than that, with saving the tokens. If a holder dies, others wait for that long.
pub(super) const LENGTH: Duration = Duration::from_secs(60);
/// The largest clock skew between the nodes of one cluster: a takeover waits for that much longer.
const SKEW: Duration = Duration::from_secs(5);
/// The longest wait for a lease: longer than a lease can last.
const TIMEOUT: Duration = Duration::from_secs(90);
/// The first pause between two attempts; each is twice the one before, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The document of a lease.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Document {
    /// A random number of the holder, or `None` when it was released.
    owner: Option<String>,
    /// The process and the host of the holder, for users who look at the document.
    holder: String,
    /// The revision of a refresh that was started and not finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    begun: Option<u64>,
}

/// A lease that this process holds.
struct Lease {
    shared: Arc<Shared>,
    path: String,
    location: String,
    owner: String,
    /// The note of the holder before.
    unfinished: Option<Revision>,
    state: Mutex<State>,
    /// The lock among the tasks of this process; released after the lease.
    turn: Option<OwnedMutexGuard<()>>,
}

/// The version and the note that this holder has written last.
#[derive(Clone, Copy)]
struct State {
    version: u64,
    begun: Option<u64>,
}

enum Attempt {
    Taken(Lease),
    /// Another host holds it; this task stays at the head of the queue.
    Busy(OwnedMutexGuard<()>, String),
}

/// Waits for the lease of the record `name`.
pub(super) async fn hold(
    shared: &Arc<Shared>,
    name: &str,
) -> Result<Box<dyn LockGuard>, TokenStorageError> {
    let clock = &shared.kv.server.clock;
    let mut turn = wait_in_process(shared, name).await?;
    let (mut pause, mut waited) = (FIRST_PAUSE, Duration::ZERO);
    loop {
        // In a task of its own: a caller that is cancelled before the response arrives would leave a lease
        // without a holder. The task drops a lease that is not fetched, which releases it.
        let attempt = tokio::spawn(attempt(Arc::clone(shared), name.to_owned(), turn));
        let attempt = attempt
            .await
            .map_err(|_| shared.kv.server.fault(VaultError::Stopped))?;
        let holder = match attempt? {
            Attempt::Taken(lease) => return Ok(Box::new(lease)),
            Attempt::Busy(kept, holder) => {
                turn = kept;
                holder
            }
        };
        if waited >= TIMEOUT {
            let (location, holder) = (location(name), UntrustedText::new(&holder));
            return Err(TokenStorageError::Locked {
                location: format!("{location} (held by {holder})"),
            });
        }
        clock.sleep(pause).await;
        waited += pause;
        pause = LONGEST_PAUSE.min(pause * 2);
    }
}

/// Waits for the other tasks of this process.
async fn wait_in_process(
    shared: &Arc<Shared>,
    name: &str,
) -> Result<OwnedMutexGuard<()>, TokenStorageError> {
    let queue = shared.queue(name);
    tokio::select! {
        biased;
        turn = queue.lock_owned() => Ok(turn),
        () = shared.kv.server.clock.sleep(TIMEOUT) => Err(TokenStorageError::Locked {
            location: location(name),
        }),
    }
}

async fn attempt(
    shared: Arc<Shared>,
    name: String,
    turn: OwnedMutexGuard<()>,
) -> Result<Attempt, TokenStorageError> {
    let path = format!("leases/{}", hash(&name));
    let found = shared.kv.read::<Document>(&path).await?;
    if let Some(holder) = holder(&shared, &found)? {
        return Ok(Attempt::Busy(turn, holder));
    }
    let begun = match &found.content {
        Content::Present(document) => document.begun,
        Content::Absent | Content::Unrecognized => None,
    };
    let owner = random::<16>().map_err(|error| shared.kv.server.fault(error))?;
    let owner = hex(&owner);
    let document = Document::held(&owner, begun);
    match shared.kv.write(&path, found.version, &document, 0).await? {
        Some(version) => Ok(Attempt::Taken(Lease {
            location: location(&name),
            shared,
            path,
            owner,
            unfinished: begun.map(Revision::new),
            state: Mutex::new(State { version, begun }),
            turn: Some(turn),
        })),
        None => Ok(Attempt::Busy(turn, "another process".to_owned())),
    }
}

/// Returns the holder of the record, if there is one.
fn holder(shared: &Shared, found: &Found<Document>) -> Result<Option<String>, TokenStorageError> {
    let Content::Present(document) = &found.content else {
        // There is no lease. Another document is overwritten, if it has not changed since.
        return Ok(None);
    };
    if document.owner.is_none() {
        return Ok(None);
    }
    let age = age(shared, found)?;
    Ok((age < LENGTH + SKEW).then(|| document.holder.clone()))
}

/// Returns the age of a lease, by the server's clock.
fn age(shared: &Shared, found: &Found<Document>) -> Result<Duration, TokenStorageError> {
    match (found.written, found.read) {
        (Some(written), Some(read)) => Ok(read.duration_since(written).unwrap_or_default()),
        _ => Err(shared.kv.server.malformed("it has no date")),
    }
}

/// Describes this process and host.
fn this_process() -> String {
    let process = format!("process {}", std::process::id());
    #[cfg(unix)]
    let process = {
        let system = rustix::system::uname();
        format!("{process} on {}", system.nodename().to_string_lossy())
    };
    process
}

impl Document {
    fn held(owner: &str, begun: Option<u64>) -> Self {
        Self {
            owner: Some(owner.to_owned()),
            holder: this_process(),
            begun,
        }
    }
}

impl Lease {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl LockGuard for Lease {
    fn pending_revision(&self) -> Option<Revision> {
        self.unfinished
    }

    /// Writes the note over the version of this holder, or not at all: a process that was paused for a
    /// minute gets a conflict here. This renews the lease.
    async fn mark_refresh_started(&self, revision: Revision) -> Result<(), TokenStorageError> {
        let (State { version, .. }, begun) = (*self.state(), Some(revision.number()));
        let document = Document::held(&self.owner, begun);
        let written = self.shared.kv.write(&self.path, version, &document, 0);
        let Some(version) = written.await? else {
            return Err(TokenStorageError::Conflict {
                location: self.location.clone(),
            });
        };
        *self.state() = State { version, begun };
        Ok(())
    }

    /// Removes the note in memory. It is written when the lease is released.
    async fn mark_refresh_finished(&self) {
        self.state().begun = None;
    }
}

impl Drop for Lease {
    /// Releases the lease in a task, because this cannot wait. Without a runtime the lease expires.
    fn drop(&mut self) {
        let (path, turn) = (std::mem::take(&mut self.path), self.turn.take());
        let ending = release(Arc::clone(&self.shared), path, *self.state(), turn);
        if let Ok(runtime) = Handle::try_current() {
            self.shared.endings.spawn_on(ending, &runtime);
        }
    }
}

/// Releases a lease if it is still held: this writes over the version of this holder, or not at all.
async fn release(
    shared: Arc<Shared>,
    path: String,
    state: State,
    _turn: Option<OwnedMutexGuard<()>>,
) {
    let document = Document {
        owner: None,
        holder: String::new(),
        begun: state.begun,
    };
    if let Err(error) = shared.kv.write(&path, state.version, &document, 0).await {
        tracing::warn!(%error, "cannot release a lease; it will expire");
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("location", &self.location)
            .field("version", &self.state().version)
            .finish_non_exhaustive()
    }
}
