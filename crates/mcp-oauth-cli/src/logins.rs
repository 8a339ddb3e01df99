//! The logins that there are, by the names of the servers and by the store.

use mcp_client_oauth::{TokenStore, store::LoginKey};

use crate::{context::Context, error::Failure};

/// Returns every name, and every login that has none. Several names may stand for the same login.
pub(crate) async fn named_keys(
    context: &Context,
    store: &TokenStore,
) -> Result<Vec<(Option<String>, LoginKey)>, Failure> {
    let servers = context.servers()?;
    let mut all: Vec<_> = servers
        .iter()
        .map(|(name, server)| (Some(name.to_owned()), server.key()))
        .collect();
    for key in store.keys().await? {
        if !all.iter().any(|(_, known)| *known == key) {
            all.push((None, key));
        }
    }
    Ok(all)
}
