//! Which client registrations a login of this process has succeeded with.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use crate::{identity::Registration, proto::server_metadata::Issuer};

/// The client of the last login at each issuer, if that login succeeded. In memory only.
#[derive(Debug, Default)]
pub(super) struct UsedClients(Mutex<HashMap<Issuer, String>>);

impl UsedClients {
    pub(super) fn set(&self, client: &Registration, succeeded: bool) {
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if succeeded {
            used.insert(client.issuer.clone(), client.client_id.clone());
        } else {
            used.remove(&client.issuer);
        }
    }

    pub(super) fn has(&self, client: &Registration) -> bool {
        let used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        used.get(&client.issuer) == Some(&client.client_id)
    }
}
