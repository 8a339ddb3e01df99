//! A custom store: the tables of an application hold its logins.
//!
//! It runs offline: `cargo run --example custom_store --all-features`. A store that several processes use is
//! a `Backend`, with revisions and locks.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example prints its results"
)]

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use mcp_client_oauth::{ClientBuilder, Error, Secret, Session, TokenStore};
use mcp_oauth_store::{OneProcess, SimpleStore};
use mcp_oauth_testbed::Testbed;
use mcp_oauth_testing::contract;

mod support;

type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

// begin
#[async_trait]
impl SimpleStore for Table {
    async fn get(&self, name: &str) -> Result<Option<Secret<Vec<u8>>>> {
        Ok(self.select(name).await?.map(Secret::new))
    }

    async fn put(&self, name: &str, bytes: &Secret<Vec<u8>>) -> Result<()> {
        self.upsert(name, bytes.expose()).await
    }

    async fn delete(&self, name: &str) -> Result<()> {
        self.remove(name).await
    }

    async fn names(&self) -> Result<Vec<String>> {
        self.keys().await
    }
}

async fn custom_store(builder: ClientBuilder, table: Table, url: &str) -> Result<Session, Error> {
    let store = TokenStore::new(Arc::new(OneProcess::new(table)));
    let client = builder.store(store).build().await?;
    client.login(url).await
}
// end

/// A table in memory. It stands for the one that the application has already, and that is encrypted: the
/// bytes are plaintext secrets.
#[derive(Clone, Debug, Default)]
struct Table(Arc<Mutex<HashMap<String, Vec<u8>>>>);

#[allow(clippy::unused_async, reason = "it stands for the calls of a database")]
impl Table {
    async fn select(&self, key: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.rows(|rows| rows.get(key).cloned()))
    }

    async fn upsert(&self, key: &str, row: &[u8]) -> Result<()> {
        self.rows(|rows| rows.insert(key.to_owned(), row.to_vec()));
        Ok(())
    }

    async fn remove(&self, key: &str) -> Result<()> {
        self.rows(|rows| rows.remove(key));
        Ok(())
    }

    async fn keys(&self) -> Result<Vec<String>> {
        Ok(self.rows(|rows| rows.keys().cloned().collect()))
    }

    fn rows<T>(&self, use_rows: impl FnOnce(&mut HashMap<String, Vec<u8>>) -> T) -> T {
        use_rows(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[tokio::main]
pub(crate) async fn main() -> Result<()> {
    // The contract of every store. A test of the application would check it like this.
    contract::check(Arc::new(OneProcess::new(Table::default()))).await;
    println!("the store fulfils the contract");

    let testbed = Testbed::start().await?;
    let url = testbed.server_url();
    let table = Table::default();
    let session = custom_store(support::builder(), table.clone(), url.as_str()).await?;
    session.refresh().await?;
    session.flush().await;
    println!("stored: {:?}", table.keys().await?);

    // The next start of the application finds the login in the table.
    let session = custom_store(support::builder(), table, url.as_str()).await?;
    assert!(session.is_reused());
    Ok(())
}
