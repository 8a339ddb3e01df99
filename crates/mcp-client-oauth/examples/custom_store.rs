//! A custom store: a backend that stores bytes by name, with a revision and a lock, can store logins.
//!
//! This one is a table in memory. It stands for the database that an application has already.
//! It runs offline: `cargo run --example custom_store --all-features`.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example prints its results"
)]

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use mcp_client_oauth::{
    LoginOptions, Secret, ServerUrl, TokenStore,
    error::TokenStorageError,
    login,
    platform::Platform,
    store::{Backend, LockGuard, Revision, StoredEntry, contract},
};
use mcp_oauth_testbed::Testbed;
use tokio::sync::OwnedMutexGuard;

mod support;

use support::Approves;

/// A table of (name, revision, bytes), and the locks of the names.
#[derive(Debug, Default)]
struct Table {
    rows: Mutex<Rows>,
    locks: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

#[derive(Debug, Default)]
struct Rows {
    rows: HashMap<String, StoredEntry>,
    /// The last revision. None is used twice, also after a deletion.
    last: u64,
}

/// Releases the lock when it is dropped. A database would use `SELECT … FOR UPDATE`.
#[derive(Debug)]
struct Row {
    _guard: OwnedMutexGuard<()>,
}

impl LockGuard for Row {}

impl Table {
    /// Returns the rows, if the revision of `name` is the expected one.
    fn rows(
        &self,
        name: &str,
        is_expected: impl Fn(Option<Revision>) -> bool,
    ) -> Result<MutexGuard<'_, Rows>, TokenStorageError> {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        if is_expected(rows.rows.get(name).map(|stored| stored.revision)) {
            return Ok(rows);
        }
        let location = format!("the row `{name}`");
        Err(TokenStorageError::Conflict { location })
    }
}

#[async_trait]
impl Backend for Table {
    async fn get(&self, name: &str) -> Result<Option<StoredEntry>, TokenStorageError> {
        Ok(self.rows(name, |_| true)?.rows.get(name).cloned())
    }

    async fn put(
        &self,
        name: &str,
        expected: Option<Revision>,
        bytes: &Secret<Vec<u8>>,
    ) -> Result<Revision, TokenStorageError> {
        let mut rows = self.rows(name, |found| found == expected)?;
        rows.last += 1;
        let revision = Revision::new(rows.last);
        // The bytes are plaintext secrets: a real store encrypts them before they leave the process.
        let stored = StoredEntry::new(revision, bytes.clone());
        rows.rows.insert(name.to_owned(), stored);
        Ok(revision)
    }

    async fn delete(
        &self,
        name: &str,
        expected: Option<Revision>,
    ) -> Result<bool, TokenStorageError> {
        let mut rows = self.rows(name, |found| expected.is_none() || found == expected)?;
        Ok(rows.rows.remove(name).is_some())
    }

    async fn names(&self) -> Result<Vec<String>, TokenStorageError> {
        Ok(self.rows("", |_| true)?.rows.keys().cloned().collect())
    }

    async fn lock(&self, name: &str) -> Result<Box<dyn LockGuard>, TokenStorageError> {
        let lock = {
            let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(locks.entry(name.to_owned()).or_default())
        };
        let guard = lock.lock_owned().await;
        Ok(Box::new(Row { _guard: guard }))
    }

    /// Returns false: no other host writes to this memory.
    fn is_shared(&self) -> bool {
        false
    }
}

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The contract of every store. A test of the application would check it like this.
    contract::check(Arc::new(Table::default())).await;
    println!("the store fulfils the contract");

    let testbed = Testbed::start().await?;
    let server: ServerUrl = testbed.server_url().as_str().parse()?;
    let platform = Platform::system().with_interaction(Arc::new(Approves));
    let store = TokenStore::new(Arc::new(Table::default()));
    let session = login(&platform, &store, &server, &LoginOptions::default()).await?;
    session.refresh().await?;
    println!("stored: {:?}", store.keys().await?);
    Ok(())
}
