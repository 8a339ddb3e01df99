//! Holding a record across hosts: a document with an owner and an end.
//!
//! The end is reckoned by the server's clock alone: a lease ends [`LENGTH`] after the moment that
//! the server stamped on its version, and whoever asks learns the time from the `Date` of the very
//! answer that brought the document. No host needs to agree with another about the time. `Date` has
//! whole seconds and is rounded down, which errs on the holder's side.
//!
//! In one process the tasks stand in a line first, so that one of them alone asks the server.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedMutexGuard;

use super::{
    Shared,
    kv::{Content, Found},
    record::{hash, hex, place, random},
};
use crate::{
    error::TokenStorageError, platform::TOKEN_DEADLINE, proto::foreign::Foreign, store::Held,
};

/// How long a lease lasts. A renewal of ours holds a record for 45 seconds at most, so it is never
/// extended; a holder that died keeps the others waiting for so long.
pub(super) const LENGTH: Duration = Duration::from_secs(60);
/// What must be left of a lease before something that cannot be taken back: one token request, and
/// the time to store what it brought.
const MARGIN: Duration = Duration::from_secs(TOKEN_DEADLINE.as_secs() + 5);
/// How far the clocks of the nodes of one cluster may be apart: a takeover waits for so much more.
const SKEW: Duration = Duration::from_secs(5);
/// How long somebody else may hold a record before we give up: longer than a lease can last.
const PATIENCE: Duration = Duration::from_secs(90);
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
}

/// A record that we hold.
struct Lease {
    shared: Arc<Shared>,
    path: String,
    place: String,
    owner: String,
    version: u64,
    /// Our place at the head of the line; given up after the lease.
    turn: Option<OwnedMutexGuard<()>>,
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
) -> Result<Box<dyn Held>, TokenStorageError> {
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
        if waited >= PATIENCE {
            let (place, holder) = (place(name), Foreign::new(&holder));
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
        () = shared.kv.server.clock.sleep(PATIENCE) => Err(TokenStorageError::Locked {
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
    let owner = hex(&random::<16>()?);
    let document = Document {
        owner: Some(owner.clone()),
        holder: ourselves(),
    };
    match shared.kv.write(&path, found.version, &document, 0).await? {
        Some(version) => Ok(Attempt::Taken(Lease {
            place: place(&name),
            shared,
            path,
            owner,
            version,
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

/// How old a lease is, by the server's clock.
fn age(shared: &Shared, found: &Found<Document>) -> Result<Duration, TokenStorageError> {
    match (found.written, found.read) {
        (Some(written), Some(read)) => Ok(read.duration_since(written).unwrap_or_default()),
        _ => Err(shared.kv.server.malformed("it does not tell the time")),
    }
}

/// Which process, on which host.
fn ourselves() -> String {
    let process = format!("process {}", std::process::id());
    #[cfg(unix)]
    let process = {
        let system = rustix::system::uname();
        format!("{process} on {}", system.nodename().to_string_lossy())
    };
    process
}

#[async_trait]
impl Held for Lease {
    /// It is ours while the version that we wrote is the newest, and good for as long as what
    /// follows may take: a process that was stopped for a minute finds out here.
    async fn confirm(&self) -> Result<(), TokenStorageError> {
        let found = self.shared.kv.read::<Document>(&self.path).await?;
        let is_ours = matches!(&found.content, Content::Present(there)
            if there.owner.as_ref() == Some(&self.owner) && found.version == self.version);
        if is_ours && age(&self.shared, &found)? + MARGIN <= LENGTH {
            return Ok(());
        }
        Err(TokenStorageError::Conflict {
            place: self.place.clone(),
        })
    }
}

impl Drop for Lease {
    /// Lets go in a task, because this cannot wait. Without a runtime the lease ends by itself.
    fn drop(&mut self) {
        let (path, turn) = (std::mem::take(&mut self.path), self.turn.take());
        let ending = let_go(Arc::clone(&self.shared), path, self.version, turn);
        self.shared.begin(ending);
    }
}

/// Lets go of what is still ours: this is written over our own version, or not at all.
async fn let_go(
    shared: Arc<Shared>,
    path: String,
    version: u64,
    _turn: Option<OwnedMutexGuard<()>>,
) {
    let document = Document {
        owner: None,
        holder: String::new(),
    };
    if let Err(error) = shared.kv.write(&path, version, &document, 0).await {
        tracing::warn!(%error, "a lease was not let go; it ends by itself");
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("place", &self.place)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}
