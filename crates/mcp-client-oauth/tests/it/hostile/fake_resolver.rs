//! A resolver that returns the addresses of a case, other ones for each lookup.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use mcp_client_oauth::platform::Resolver;

use crate::support::lock;

/// Returns one list of addresses after the other for any name; the last one for all later lookups.
#[derive(Debug)]
pub(super) struct FakeResolver {
    responses: Mutex<Vec<Vec<SocketAddr>>>,
    lookups: AtomicUsize,
}

impl FakeResolver {
    pub(super) fn of(responses: &[Vec<String>]) -> Self {
        let addresses = |response: &Vec<String>| {
            let parse = |text: &String| SocketAddr::new(text.parse().unwrap(), 0);
            response.iter().map(parse).collect()
        };
        Self {
            responses: Mutex::new(responses.iter().rev().map(addresses).collect()),
            lookups: AtomicUsize::new(0),
        }
    }

    /// Returns the number of lookups.
    pub(super) fn lookups(&self) -> usize {
        self.lookups.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Resolver for FakeResolver {
    async fn addresses(&self, _host: &str) -> io::Result<Vec<SocketAddr>> {
        self.lookups.fetch_add(1, Ordering::Relaxed);
        let mut responses = lock(&self.responses);
        if responses.len() > 1 {
            return Ok(responses.pop().unwrap_or_default());
        }
        Ok(responses.last().cloned().unwrap_or_default())
    }
}
