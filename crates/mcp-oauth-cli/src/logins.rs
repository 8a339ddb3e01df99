//! The known logins: those of the names, and those that only the store has.

use mcp_client_oauth::{TokenStore, store::LoginKey};

use crate::{context::Context, error::Failure};

/// Returns every name with its login, and every login without a name. Several names may have the same
/// login.
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
