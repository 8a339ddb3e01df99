//! The inputs that the steps of one login share.

use super::options::LoginOptions;
use crate::{
    error::Error,
    platform::Platform,
    server_url::ServerUrl,
    store::{LoginKey, Record, TokenStore},
};

/// Holds what every step of a login needs.
pub(super) struct LoginContext<'a> {
    pub(super) platform: &'a Platform,
    pub(super) store: &'a TokenStore,
    pub(super) server: &'a ServerUrl,
    pub(super) options: &'a LoginOptions,
    pub(super) key: LoginKey,
    /// The record of an earlier login, if there is one.
    pub(super) stored: Option<Record>,
}

impl<'a> LoginContext<'a> {
    /// Loads the record of an earlier login, and checks that the store can be written.
    pub(super) async fn load(
        platform: &'a Platform,
        store: &'a TokenStore,
        server: &'a ServerUrl,
        options: &'a LoginOptions,
    ) -> Result<Self, Error> {
        let key = options.key(server);
        let stored = store.lock(&key).await?.record().cloned();
        store.check_writable().await?;
        Ok(Self {
            platform,
            store,
            server,
            options,
            key,
            stored,
        })
    }

    /// Continues the login of `key` that another request has begun: its first steps are done.
    pub(super) fn resume(
        platform: &'a Platform,
        store: &'a TokenStore,
        key: &'a LoginKey,
        options: &'a LoginOptions,
    ) -> Self {
        Self {
            platform,
            store,
            server: key.server(),
            options,
            key: key.clone(),
            stored: None,
        }
    }
}
