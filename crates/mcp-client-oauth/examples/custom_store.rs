//! A custom store: four functions on names and bytes, for an application that runs only once.
//!
//! This one is a table in memory. It stands for the settings that an application has already. A store that
//! several processes share implements `Backend`, as the crate `mcp-oauth-vault` does.
//! It runs offline: `cargo run --example custom_store --all-features`.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example prints its results"
)]

use std::{
    collections::HashMap,
    error::Error,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use mcp_client_oauth::{
    LoginOptions, Secret, ServerUrl, TokenStore, login,
    platform::Platform,
    store::{OneProcess, SimpleStore, contract},
};
use mcp_oauth_testbed::Testbed;

mod support;

use support::Approves;

/// A table of names and bytes. The bytes are plaintext secrets: a real store encrypts them.
#[derive(Debug, Default)]
struct Table(Mutex<HashMap<String, Secret<Vec<u8>>>>);

impl Table {
    fn rows(&self) -> MutexGuard<'_, HashMap<String, Secret<Vec<u8>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl SimpleStore for Table {
    async fn get(
        &self,
        name: &str,
    ) -> Result<Option<Secret<Vec<u8>>>, Box<dyn Error + Send + Sync>> {
        Ok(self.rows().get(name).cloned())
    }

    async fn put(
        &self,
        name: &str,
        bytes: &Secret<Vec<u8>>,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.rows().insert(name.to_owned(), bytes.clone());
        Ok(())
    }

    async fn delete(&self, name: &str) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.rows().remove(name);
        Ok(())
    }

    async fn names(&self) -> Result<Vec<String>, Box<dyn Error + Send + Sync>> {
        Ok(self.rows().keys().cloned().collect())
    }
}

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn Error>> {
    // The contract of every store. A test of the application would check it like this.
    contract::check(Arc::new(OneProcess::new(Table::default()))).await;
    println!("the store fulfils the contract");

    let testbed = Testbed::start().await?;
    let server: ServerUrl = testbed.server_url().as_str().parse()?;
    let platform = Platform::system().with_interaction(Arc::new(Approves));
    let store = TokenStore::new(Arc::new(OneProcess::new(Table::default())));
    let session = login(&platform, &store, &server, &LoginOptions::default()).await?;
    session.refresh().await?;
    println!("stored: {:?}", store.keys().await?);
    Ok(())
}
