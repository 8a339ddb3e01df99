//! What `login --no-wait` keeps for `login --complete`: an entry of the token store, which encrypts it.
//!
//! The pending login itself is another entry, of the library. It can only be completed with the secret in this
//! one (RFC 9700 §4.7.1): the user who can read the store stands for the browser that began the login.

use std::time::Duration;

use mcp_client_oauth::{Secret, TokenStore, error::TokenStorageError};
use mcp_oauth_store::{Entry, NameQuery, Revision, all_names};
use serde::{Deserialize, Serialize};
use url::form_urlencoded::byte_serialize;

use crate::servers::Server;

/// The start of the name of an entry.
const BEGUN: &str = "begun ";
/// The time that an entry stays after the login has expired: a late `--complete` can say how to begin again.
const GRACE: Duration = Duration::from_secs(24 * 60 * 60);

/// A login that was begun under a name.
#[derive(Deserialize, Serialize)]
pub(super) struct BegunLogin {
    pub(super) name: String,
    /// The server, and the options that are stored with its name at the end of the login.
    pub(super) server: Server,
    pub(super) browser_secret: Secret<String>,
    /// The command that begins this login again.
    pub(super) command: String,
    #[serde(skip)]
    revision: Option<Revision>,
}

impl BegunLogin {
    pub(super) fn new(
        name: &str,
        server: Server,
        browser_secret: Secret<String>,
        command: String,
    ) -> Self {
        Self {
            name: name.to_owned(),
            server,
            browser_secret,
            command,
            revision: None,
        }
    }

    /// Stores a login that expires after `timeout`, instead of an earlier one of this name.
    pub(super) async fn save(
        &self,
        store: &TokenStore,
        timeout: Duration,
    ) -> Result<(), TokenStorageError> {
        let (entry, backend) = (entry_name(&self.name), store.backend());
        let bytes = serde_json::to_vec(self).map_err(|_| corrupt(&self.name))?;
        let content = Entry::new(Secret::new(bytes)).with_lifetime(timeout.saturating_add(GRACE));
        let _held = backend.lock(&entry).await?;
        backend.delete(&entry, None).await?;
        backend.put(&entry, None, &content).await.map(drop)
    }

    /// Returns the login that was begun under this name, or those of all names.
    pub(super) async fn find(
        store: &TokenStore,
        name: Option<&str>,
    ) -> Result<Vec<Self>, TokenStorageError> {
        let entries = match name {
            Some(name) => vec![entry_name(name)],
            None => all_names(&**store.backend(), NameQuery::default()).await?,
        };
        let mut found = Vec::new();
        for entry in entries.iter().filter(|entry| entry.starts_with(BEGUN)) {
            if let Some(stored) = store.backend().get(entry).await? {
                let begun: Self = serde_json::from_slice(stored.entry.bytes.expose())
                    .map_err(|_| corrupt(entry))?;
                let revision = Some(stored.revision);
                found.push(Self { revision, ..begun });
            }
        }
        Ok(found)
    }

    /// Removes the entry of a login that was completed. A failure is only logged: the entry is of no use any
    /// more, and expires.
    pub(super) async fn remove(&self, store: &TokenStore) {
        let entry = entry_name(&self.name);
        if let Err(error) = store.backend().delete(&entry, self.revision).await {
            tracing::debug!(%error, "cannot remove the entry of a completed login");
        }
    }
}

/// Returns the name of an entry, in which a `#` would begin an account.
fn entry_name(name: &str) -> String {
    let encoded: String = byte_serialize(name.as_bytes()).collect();
    format!("{BEGUN}{encoded}")
}

fn corrupt(name: &str) -> TokenStorageError {
    TokenStorageError::Corrupt {
        location: format!("the pending login of `{name}`"),
        why: "it has an unknown form",
    }
}
