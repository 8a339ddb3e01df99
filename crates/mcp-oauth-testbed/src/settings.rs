//! What a testbed is built with: every switch, with the default that the specification would choose.

pub(crate) mod forms;
pub(crate) mod grants;

use std::time::Duration;

use serde_json::Value;

use crate::request_log::Peer;
use forms::{Answers, Legacy, MetadataForm, PrmForm, Wire};
use grants::{DpopPolicy, Enterprise, Machine, PRIVATE_KEY_JWT};

/// A client that the authorization server knows before anybody registers.
#[derive(Debug, Clone)]
pub(crate) struct KnownClient {
    pub(crate) id: String,
    pub(crate) secret: Option<String>,
}

/// Holds what a testbed was built with.
#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one switch of the builder"
)]
pub(crate) struct Settings {
    pub(crate) access_token_lifetime: Duration,
    pub(crate) clock_stands_still: bool,
    pub(crate) issuer_path: String,
    pub(crate) metadata_forms: Vec<MetadataForm>,
    pub(crate) dynamic_registration: bool,
    pub(crate) confidential_registrations: bool,
    pub(crate) strict_application_type: bool,
    pub(crate) registered_scope_only: Option<String>,
    pub(crate) exact_redirect_uris: bool,
    pub(crate) client_id_metadata_documents: bool,
    pub(crate) client_documents: Vec<(String, Value)>,
    pub(crate) clients: Vec<KnownClient>,
    pub(crate) client_auth_methods: Vec<String>,
    pub(crate) machines: Vec<Machine>,
    pub(crate) device_authorization: bool,
    pub(crate) device_lifetime: Duration,
    pub(crate) device_interval: Duration,
    pub(crate) dpop: DpopPolicy,
    pub(crate) dpop_nonces: Vec<Peer>,
    pub(crate) wif: Option<String>,
    pub(crate) enterprise: Option<Enterprise>,
    pub(crate) offline_access: bool,
    pub(crate) iss_parameter: bool,
    pub(crate) issue_refresh_tokens: bool,
    pub(crate) rotate_refresh_tokens: bool,
    pub(crate) refresh_ends_old_access_tokens: bool,
    pub(crate) scopes_supported: Option<Vec<String>>,
    pub(crate) challenge_scope: Option<String>,
    pub(crate) prm: PrmForm,
    pub(crate) resource: Option<String>,
    pub(crate) other_resources: Vec<String>,
    pub(crate) one_login_for_all: bool,
    pub(crate) other_authorization_servers: Vec<String>,
    pub(crate) step_up: bool,
    pub(crate) open: bool,
    pub(crate) legacy: Option<Legacy>,
    pub(crate) wire: Wire,
    pub(crate) answers: Option<Answers>,
    pub(crate) streams: bool,
}

impl Settings {
    /// Returns what the builder named, and `private_key_jwt` if a client has a key.
    pub(crate) fn auth_methods(&self) -> Vec<String> {
        let mut methods = self.client_auth_methods.clone();
        let machines = self.machines.iter();
        let documents = self.client_documents.iter();
        let keys = machines.map(|machine| !machine.keys.is_empty());
        let keys = keys.chain(documents.map(|(_, document)| document.get("jwks").is_some()));
        let signed = keys.into_iter().any(|has_key| has_key);
        if signed && !methods.iter().any(|method| method == PRIVATE_KEY_JWT) {
            methods.push(PRIVATE_KEY_JWT.to_owned());
        }
        methods
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            access_token_lifetime: Duration::from_secs(300),
            clock_stands_still: false,
            issuer_path: String::new(),
            metadata_forms: vec![
                MetadataForm::OAuth,
                MetadataForm::OpenIdInserted,
                MetadataForm::OpenIdAppended,
            ],
            dynamic_registration: true,
            confidential_registrations: false,
            strict_application_type: false,
            registered_scope_only: None,
            exact_redirect_uris: false,
            client_id_metadata_documents: false,
            client_documents: Vec::new(),
            clients: Vec::new(),
            client_auth_methods: ["none", "client_secret_basic", "client_secret_post"]
                .map(str::to_owned)
                .to_vec(),
            machines: Vec::new(),
            device_authorization: false,
            device_lifetime: Duration::from_secs(600),
            device_interval: Duration::from_secs(5),
            dpop: DpopPolicy::Off,
            dpop_nonces: Vec::new(),
            wif: None,
            enterprise: None,
            offline_access: false,
            iss_parameter: true,
            issue_refresh_tokens: true,
            rotate_refresh_tokens: true,
            refresh_ends_old_access_tokens: false,
            scopes_supported: Some(vec!["notes:read".to_owned()]),
            challenge_scope: None,
            prm: PrmForm::Header,
            resource: None,
            other_resources: Vec::new(),
            one_login_for_all: false,
            other_authorization_servers: Vec::new(),
            step_up: false,
            open: false,
            legacy: None,
            wire: Wire::Both,
            answers: None,
            streams: false,
        }
    }
}
