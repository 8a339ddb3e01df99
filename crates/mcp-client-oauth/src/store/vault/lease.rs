//! Holding a record across hosts: a document with an owner and an end.
//!
//! The end is reckoned by the server's clock alone: a lease ends [`LENGTH`] after the moment that
//! the server stamped on its version, and whoever asks learns the time from the `Date` of the very
//! answer that brought the document. No host needs to agree with another about the time. `Date` has
//! whole seconds and is rounded down, which errs on the holder's side.
//!
//! In one process the tasks stand in a line first, so that one of them alone asks the server.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::{runtime::Handle, sync::OwnedMutexGuard};

use super::{
    kv::{Content, Found},
    record::{hash, hex, place, random},
    shared::Shared,
};
use crate::{
    error::TokenStorageError,
    mutex::lock,
    proto::untrusted_text::UntrustedText,
    store::backend::{LockGuard, Revision},
};

/// Says how long a lease lasts after its last note. Each try of a refresh makes one, and takes less than
/// that with the storing of what it brought; a holder that died keeps the others waiting for so long.
pub(super) const LENGTH: Duration = Duration::from_secs(60);
/// Says how far the clocks of the nodes of one cluster may be apart: a takeover waits for so much more.
const SKEW: Duration = Duration::from_secs(5);
/// Says how long somebody else may hold a record before we give up: longer than a lease can last.
const TIMEOUT: Duration = Duration::from_secs(90);
/// The first pause between two looks; each is twice the one before, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The document.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Document {
    /// A random number of the holder's; none when it was let go.
    owner: Option<String>,
    /// For people who look at it: which process, on which host.
    holder: String,
    /// The revision of the record that a holder began to use up, and has not said to have ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    begun: Option<u64>,
}

/// A record that we hold.
struct Lease {
    shared: Arc<Shared>,
    path: String,
    place: String,
    owner: String,
    /// Holds what the holder before us left.
    unfinished: Option<Revision>,
    state: Mutex<State>,
    /// Our place at the head of the line; given up after the lease.
    turn: Option<OwnedMutexGuard<()>>,
}

/// Holds what we have written last.
#[derive(Clone, Copy)]
struct State {
    version: u64,
    begun: Option<u64>,
}

enum Attempt {
    Taken(Lease),
    /// Somebody holds it; we stay at the head of the line.
    Busy(OwnedMutexGuard<()>, String),
}

/// Waits until nobody holds the record `name`.
pub(super) async fn hold(
    shared: &Arc<Shared>,
    name: &str,
) -> Result<Box<dyn LockGuard>, TokenStorageError> {
    let clock = &shared.kv.server.clock;
    let mut turn = line_up(shared, name).await?;
    let (mut pause, mut waited) = (FIRST_PAUSE, Duration::ZERO);
    loop {
        // In a task of its own: a caller that gives up while the answer is under way would leave a
        // lease that nobody knows of. What is not fetched from the task is dropped, so let go.
        let attempt = tokio::spawn(attempt(Arc::clone(shared), name.to_owned(), turn));
        let attempt = attempt
            .await
            .map_err(|stopped| TokenStorageError::Backend {
                name: "vault",
                source: Arc::new(stopped),
            })?;
        let holder = match attempt? {
            Attempt::Taken(lease) => return Ok(Box::new(lease)),
            Attempt::Busy(kept, holder) => {
                turn = kept;
                holder
            }
        };
        if waited >= TIMEOUT {
            let (place, holder) = (place(name), UntrustedText::new(&holder));
            return Err(TokenStorageError::Locked {
                place: format!("{place} (held by {holder})"),
            });
        }
        clock.sleep(pause).await;
        waited += pause;
        pause = LONGEST_PAUSE.min(pause * 2);
    }
}

/// Waits for the other tasks of this process.
async fn line_up(
    shared: &Arc<Shared>,
    name: &str,
) -> Result<OwnedMutexGuard<()>, TokenStorageError> {
    let line = shared.line(name);
    tokio::select! {
        biased;
        turn = line.lock_owned() => Ok(turn),
        () = shared.kv.server.clock.sleep(TIMEOUT) => Err(TokenStorageError::Locked {
            place: place(name),
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
        Content::Absent | Content::Foreign => None,
    };
    let owner = hex(&random::<16>()?);
    let document = Document::held(&owner, begun);
    match shared.kv.write(&path, found.version, &document, 0).await? {
        Some(version) => Ok(Attempt::Taken(Lease {
            place: place(&name),
            shared,
            path,
            owner,
            unfinished: begun.map(Revision::new),
            state: Mutex::new(State { version, begun }),
            turn: Some(turn),
        })),
        None => Ok(Attempt::Busy(turn, "somebody who was quicker".to_owned())),
    }
}

/// Who holds the record, if somebody does.
fn holder(shared: &Shared, found: &Found<Document>) -> Result<Option<String>, TokenStorageError> {
    let Content::Present(document) = &found.content else {
        // Nothing, or nothing of ours: it is written over, if it is still that.
        return Ok(None);
    };
    if document.owner.is_none() {
        return Ok(None);
    }
    let age = age(shared, found)?;
    Ok((age < LENGTH + SKEW).then(|| document.holder.clone()))
}

/// Returns how old a lease is, by the server's clock.
fn age(shared: &Shared, found: &Found<Document>) -> Result<Duration, TokenStorageError> {
    match (found.written, found.read) {
        (Some(written), Some(read)) => Ok(read.duration_since(written).unwrap_or_default()),
        _ => Err(shared.kv.server.malformed("it does not tell the time")),
    }
}

/// Returns which process, on which host.
fn ourselves() -> String {
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
            holder: ourselves(),
            begun,
        }
    }
}

impl Lease {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

#[async_trait]
impl LockGuard for Lease {
    fn pending_revision(&self) -> Option<Revision> {
        self.unfinished
    }

    /// The note is written over our own version, or not at all: a process that was stopped for a
    /// minute finds out here. From then on the lease lasts for its whole length again.
    async fn mark_refresh_started(&self, revision: Revision) -> Result<(), TokenStorageError> {
        let (State { version, .. }, begun) = (*self.state(), Some(revision.number()));
        let document = Document::held(&self.owner, begun);
        let written = self.shared.kv.write(&self.path, version, &document, 0);
        let Some(version) = written.await? else {
            return Err(TokenStorageError::Conflict {
                place: self.place.clone(),
            });
        };
        *self.state() = State { version, begun };
        Ok(())
    }

    /// It is written when the lease is let go.
    async fn mark_refresh_finished(&self) {
        self.state().begun = None;
    }
}

impl Drop for Lease {
    /// Lets go in a task, because this cannot wait. Without a runtime the lease ends by itself.
    fn drop(&mut self) {
        let (path, turn) = (std::mem::take(&mut self.path), self.turn.take());
        let ending = let_go(Arc::clone(&self.shared), path, *self.state(), turn);
        if let Ok(runtime) = Handle::try_current() {
            self.shared.endings.spawn_on(ending, &runtime);
        }
    }
}

/// Lets go of what is still ours: this is written over our own version, or not at all.
async fn let_go(
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
        tracing::warn!(%error, "a lease was not let go; it ends by itself");
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("place", &self.place)
            .field("version", &self.state().version)
            .finish_non_exhaustive()
    }
}
