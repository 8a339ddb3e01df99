//! The client registrations that a login of this process has succeeded with.

use std::{collections::HashMap, sync::Mutex};

use mcp_oauth_support::mutex::lock;

use crate::{client_registration::RegisteredClient, proto::server_metadata::Issuer};

/// The client of the last login at each issuer, if that login succeeded. In memory only.
#[derive(Debug, Default)]
pub(super) struct UsedClients(Mutex<HashMap<Issuer, String>>);

impl UsedClients {
    pub(super) fn set(&self, client: &RegisteredClient, succeeded: bool) {
        let mut used = lock(&self.0);
        if succeeded {
            used.insert(client.issuer.clone(), client.client_id.clone());
        } else {
            used.remove(&client.issuer);
        }
    }

    pub(super) fn has(&self, client: &RegisteredClient) -> bool {
        let used = lock(&self.0);
        used.get(&client.issuer) == Some(&client.client_id)
    }
}
