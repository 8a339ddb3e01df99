//! The state that the servers share: settings, origins, clock, faults, request log and token store.

mod nonces;
mod service;
pub(crate) mod streams;
pub(crate) mod token_store;

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::clock::Clock;
use crate::faults::{Fault, Faults};
use crate::identities::Identities;
use crate::jose::key::KeyError;
use crate::request_log::Log;
use crate::settings::Settings;
use crate::settings::forms::PrmForm;
use nonces::Nonces;
use service::Service;
use streams::Streams;
use token_store::TokenStore;

const PRM_ROOT: &str = "/.well-known/oauth-protected-resource";

/// The path of the MCP endpoint.
pub(crate) const MCP_PATH: &str = "/mcp";

/// The origins of the two servers, without a trailing slash.
#[derive(Debug)]
pub(crate) struct Origins {
    pub(crate) mcp: String,
    pub(crate) authorization: String,
    /// Empty if there is no identity provider.
    pub(crate) identity_provider: String,
}

impl Origins {
    pub(crate) fn server_url(&self) -> String {
        format!("{}{MCP_PATH}", self.mcp)
    }
}

/// The shared state of one testbed.
#[derive(Debug)]
pub(crate) struct TestbedState {
    pub(crate) settings: Settings,
    pub(crate) origins: Origins,
    pub(crate) identities: Identities,
    clock: Clock,
    faults: Mutex<Faults>,
    log: Mutex<Log>,
    nonces: Mutex<Nonces>,
    token_store: Mutex<TokenStore>,
    service: Mutex<Service>,
    streams: Mutex<Streams>,
    required_scopes: Mutex<HashMap<String, String>>,
    releases: watch::Sender<u64>,
}

impl TestbedState {
    pub(crate) fn new(
        settings: Settings,
        origins: Origins,
        faults: Vec<Fault>,
    ) -> Result<Self, KeyError> {
        let mut on = Faults::default();
        for fault in faults {
            on.add(fault);
        }
        let mut required_scopes = HashMap::new();
        if settings.step_up {
            required_scopes.insert("write_note".to_owned(), "notes:write".to_owned());
        }
        Ok(Self {
            identities: Identities::new(&settings)?,
            token_store: Mutex::new(TokenStore::new(&settings)),
            nonces: Mutex::new(Nonces::new(&settings.dpop_nonces)),
            clock: Clock::start(settings.manual_clock),
            settings,
            origins,
            faults: Mutex::new(on),
            log: Mutex::new(Log::new()),
            service: Mutex::default(),
            streams: Mutex::default(),
            required_scopes: Mutex::new(required_scopes),
            releases: watch::Sender::new(0),
        })
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(crate) fn now(&self) -> Duration {
        self.clock.now()
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, Faults> {
        lock(&self.faults)
    }

    pub(crate) fn log(&self) -> MutexGuard<'_, Log> {
        lock(&self.log)
    }

    pub(crate) fn nonces(&self) -> MutexGuard<'_, Nonces> {
        lock(&self.nonces)
    }

    pub(crate) fn token_store(&self) -> MutexGuard<'_, TokenStore> {
        lock(&self.token_store)
    }

    pub(crate) fn service(&self) -> MutexGuard<'_, Service> {
        lock(&self.service)
    }

    pub(crate) fn streams(&self) -> MutexGuard<'_, Streams> {
        lock(&self.streams)
    }

    pub(crate) fn issuer(&self) -> String {
        format!(
            "{}{}",
            self.origins.authorization, self.settings.issuer_path
        )
    }

    /// Returns the resource identifier of the MCP server.
    pub(crate) fn resource(&self) -> String {
        self.settings
            .resource
            .clone()
            .unwrap_or_else(|| self.origins.server_url())
    }

    /// Returns every resource that the authorization server issues tokens for; the MCP server is the
    /// first.
    pub(crate) fn resources(&self) -> Vec<String> {
        let others = self.settings.additional_resources.iter().cloned();
        std::iter::once(self.resource()).chain(others).collect()
    }

    /// Returns the path of the protected resource metadata, if it is published.
    pub(crate) fn prm_path(&self) -> Option<String> {
        if self.settings.unprotected || self.settings.legacy.is_some() {
            return None;
        }
        match &self.settings.prm {
            PrmForm::Header | PrmForm::PathOnly => Some(format!("{PRM_ROOT}{MCP_PATH}")),
            PrmForm::RootOnly => Some(PRM_ROOT.to_owned()),
            PrmForm::Custom(path) => Some(path.clone()),
            PrmForm::None => None,
        }
    }

    pub(crate) fn require_scope(&self, tool: String, scope: String) {
        lock(&self.required_scopes).insert(tool, scope);
    }

    pub(crate) fn required_scope(&self, tool: &str) -> Option<String> {
        lock(&self.required_scopes).get(tool).cloned()
    }

    /// Returns every scope that the authorization server may grant.
    pub(crate) fn known_scopes(&self) -> Vec<String> {
        let mut scopes = vec!["notes:read".to_owned(), "notes:write".to_owned()];
        if self.settings.offline_access {
            scopes.push("offline_access".to_owned());
        }
        let challenged = self
            .settings
            .challenge_scope
            .iter()
            .flat_map(|s| s.split(' '));
        let listed = self
            .settings
            .scopes_supported
            .iter()
            .flatten()
            .map(String::as_str);
        let required = lock(&self.required_scopes);
        for scope in challenged
            .chain(listed)
            .chain(required.values().map(String::as_str))
        {
            if !scopes.iter().any(|known| known == scope) {
                scopes.push(scope.to_owned());
            }
        }
        scopes
    }

    pub(crate) fn releases(&self) -> watch::Receiver<u64> {
        self.releases.subscribe()
    }

    /// Releases the held responses. The fault is removed before the signal, so that a response in
    /// between is not held.
    pub(crate) fn release(&self) {
        self.faults().release();
        self.releases.send_modify(|count| *count += 1);
    }
}

/// Locks a mutex, also a poisoned one: a panic in one test thread must not hide other failures.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
