//! The settings of a testbed, with the defaults of the specifications.

pub(crate) mod forms;
pub(crate) mod grants;

use std::time::Duration;

use serde_json::Value;

use crate::request_log::Peer;
use forms::{Legacy, MetadataForm, PrmForm, ProtocolEra, ResponseForm};
use grants::{ConfidentialClient, DpopPolicy, Enterprise, PRIVATE_KEY_JWT};

/// A pre-registered client.
#[derive(Debug, Clone)]
pub(crate) struct KnownClient {
    pub(crate) id: String,
    pub(crate) secret: Option<String>,
}

/// The settings of a testbed.
#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one setting of the builder"
)]
pub(crate) struct Settings {
    pub(crate) access_token_lifetime: Duration,
    pub(crate) manual_clock: bool,
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
    pub(crate) confidential_clients: Vec<ConfidentialClient>,
    pub(crate) device_authorization: bool,
    pub(crate) device_lifetime: Duration,
    pub(crate) device_interval: Duration,
    pub(crate) dpop: DpopPolicy,
    pub(crate) dpop_nonces: Vec<Peer>,
    pub(crate) workload_issuer: Option<String>,
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
    pub(crate) additional_resources: Vec<String>,
    pub(crate) one_login_for_all: bool,
    pub(crate) additional_authorization_servers: Vec<String>,
    pub(crate) step_up: bool,
    pub(crate) unprotected: bool,
    pub(crate) legacy: Option<Legacy>,
    pub(crate) protocol_era: ProtocolEra,
    pub(crate) response_form: Option<ResponseForm>,
    pub(crate) streams: bool,
}

impl Settings {
    /// Returns the configured methods, and `private_key_jwt` if a client has a key.
    pub(crate) fn auth_methods(&self) -> Vec<String> {
        let mut methods = self.client_auth_methods.clone();
        let clients = self.confidential_clients.iter();
        let documents = self.client_documents.iter();
        let keys = clients.map(|client| !client.keys.is_empty());
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
            manual_clock: false,
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
            confidential_clients: Vec::new(),
            device_authorization: false,
            device_lifetime: Duration::from_secs(600),
            device_interval: Duration::from_secs(5),
            dpop: DpopPolicy::Off,
            dpop_nonces: Vec::new(),
            workload_issuer: None,
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
            additional_resources: Vec::new(),
            one_login_for_all: false,
            additional_authorization_servers: Vec::new(),
            step_up: false,
            unprotected: false,
            legacy: None,
            protocol_era: ProtocolEra::All,
            response_form: None,
            streams: false,
        }
    }
}
