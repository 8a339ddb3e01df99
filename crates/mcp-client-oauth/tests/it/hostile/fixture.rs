//! The servers of a case: the testbed with its faults, and listeners that must receive no request.

use std::{sync::Arc, time::Duration};

use mcp_client_oauth::{Grant, Login, platform::ReqwestClient};
use mcp_oauth_testbed::{Builder, Corruption, Endpoint, Fault, Legacy, PrmForm, Testbed};
use serde_json::Value;

use super::{
    case::{Action, CannedResponse, ClientConfig, CorruptionKind, Variant},
    fake_resolver::FakeResolver,
    listeners::Listener,
    placeholders::Placeholders,
    tls::TlsServer,
    tls_impersonation::{PUBLIC_AS, PUBLIC_MCP, TlsImpersonation},
};
use crate::support::{Fixture, ShortTimeout, unused_port};

/// All servers and listeners of a case.
pub(super) struct CaseFixture {
    pub(super) fixture: Fixture,
    pub(super) placeholders: Placeholders,
    /// Another origin, which may receive only the requests that a case allows.
    pub(super) third_party: Listener,
    /// Listeners that must receive no request.
    pub(super) canaries: Vec<Listener>,
    /// A server with a certificate.
    pub(super) tls: Option<TlsServer>,
    /// Resolves host names.
    pub(super) resolver: Arc<FakeResolver>,
    /// The server that sends the bytes of `wire`.
    _wire: Option<Listener>,
}

impl CaseFixture {
    pub(super) async fn of(action: Action, variant: &Variant) -> Self {
        let mut builder = Testbed::builder();
        for switch in &variant.servers {
            builder = with_switch(builder, switch);
        }
        let mut fixture = Fixture::with(builder).await;
        let third_party = Listener::at("127.0.0.1:0").await.unwrap();
        let mut canaries = Vec::new();
        for address in ["127.0.0.2:0", "[::1]:0"] {
            canaries.extend(Listener::at(address).await);
        }
        let mut placeholders = placeholders(&fixture, &third_party, &canaries);
        if action == Action::DiscoverPublic {
            placeholders.set("issuer", PUBLIC_AS);
            placeholders.set("origin", PUBLIC_MCP);
            placeholders.set("server", format!("{PUBLIC_MCP}/mcp"));
            fixture.platform.http = Arc::new(TlsImpersonation::of(&fixture));
            fixture.server = format!("{PUBLIC_MCP}/mcp").parse().unwrap();
        }
        let tls = match &variant.tls {
            Some(kind) => Some(TlsServer::with(kind).await),
            None => None,
        };
        let resolver = Arc::new(FakeResolver::of(&variant.client.names));
        let mut network = ReqwestClient::default();
        if let Some(tls) = &tls {
            placeholders.set("tls", tls.origin());
            placeholders.set("tls-port", tls.port().to_string());
            network = network.with_roots(tls.roots.as_bytes()).unwrap();
        }
        if !variant.client.names.is_empty() {
            network = network.with_resolver(Arc::clone(&resolver) as _);
        }
        if action != Action::DiscoverPublic {
            fixture.platform.http = Arc::new(network);
        }
        if let Some(timeout) = variant.timeout_ms {
            fixture.platform = ShortTimeout::platform(Duration::from_millis(timeout), &fixture);
        }
        let wire = match (action, variant.wire.as_deref()) {
            (Action::Wire, Some(response)) => {
                Listener::with_response("127.0.0.1:0", &placeholders.fill(response)).await
            }
            _ => None,
        };
        if let Some(wire) = &wire {
            let scheme = variant.url.as_deref().unwrap_or("http");
            let server = format!("{scheme}://{}/mcp", wire.address);
            fixture.server = server.parse().unwrap();
        }
        Self {
            fixture,
            placeholders,
            third_party,
            canaries,
            tls,
            resolver,
            _wire: wire,
        }
    }

    /// Enables the faults of the servers.
    pub(super) fn turn_hostile(&self, variant: &Variant) {
        for fault in faults(variant, &self.placeholders) {
            self.fixture.testbed.set_fault(fault);
        }
    }
}

fn placeholders(fixture: &Fixture, third_party: &Listener, canaries: &[Listener]) -> Placeholders {
    let mut placeholders = Placeholders::default();
    let server = fixture.server.as_url();
    let issuer = fixture.testbed.issuer();
    let port = issuer.rsplit_once(':').map(|(_, port)| port);
    placeholders.set("as-port", port.unwrap());
    placeholders.set("issuer", issuer);
    placeholders.set("server", server.as_str());
    placeholders.set("8k", "x".repeat(8192));
    placeholders.set("origin", server.origin().ascii_serialization());
    placeholders.set("third-party", third_party.origin());
    placeholders.set("third-party-port", third_party.address.port().to_string());
    placeholders.set("dead", format!("http://127.0.0.1:{}", unused_port()));
    for (name, canary) in ["canary", "canary6"].iter().zip(canaries) {
        placeholders.set(name, canary.address.to_string());
        placeholders.set(&format!("{name}-port"), canary.address.port().to_string());
    }
    placeholders
}

/// Applies an option of the testbed, by its name in the cases.
fn with_switch(builder: Builder, switch: &str) -> Builder {
    let (name, value) = switch.split_once('=').unwrap_or((switch, ""));
    match name {
        "device" => builder.device_authorization(true),
        "without-registration" => builder.dynamic_registration(false),
        "confidential" => builder.confidential_registrations(true),
        "without-iss" => builder.iss_parameter(false),
        "offline-access" => builder.offline_access(true),
        "without-metadata" => builder.without_metadata(),
        "without-rotation" => builder.rotate_refresh_tokens(false),
        "challenge-scope" => builder.challenge_scope(Some(value)),
        "client-documents" => builder.client_id_metadata_documents(true),
        "client" => match value.split_once(':') {
            Some((id, secret)) => builder.client(id, Some(secret)),
            None => builder.client(value, None),
        },
        "legacy-metadata" => builder.legacy(Legacy::Metadata),
        "legacy" => builder.legacy(Legacy::Endpoints),
        "open" => builder.unprotected(true),
        "prm-at" => builder.prm_at(PrmForm::Custom(value.to_owned())),
        "prm-at-root" => builder.prm_at(PrmForm::RootOnly),
        "step-up" => builder.step_up(true),
        other => panic!("no switch `{other}`"),
    }
}

/// Returns the faults of the servers.
fn faults(variant: &Variant, placeholders: &Placeholders) -> Vec<Fault> {
    let mut faults = fields(variant, placeholders);
    let without = |names: &[String], fault: fn(String) -> Fault| -> Vec<Fault> {
        names.iter().cloned().map(fault).collect()
    };
    faults.extend(without(&variant.prm_without, Fault::PrmWithout));
    faults.extend(without(&variant.metadata_without, Fault::MetadataWithout));
    let registration = &variant.registration_without;
    faults.extend(without(registration, Fault::RegistrationWithout));
    faults.extend(without(&variant.token_without, Fault::TokenWithout));
    faults.extend(without(&variant.device_without, Fault::DeviceWithout));
    if let Some(lines) = &variant.challenge {
        faults.push(Fault::Challenge(placeholders.fill_all(lines)));
    }
    faults.extend(
        variant
            .response
            .iter()
            .map(|response| replacement(response, placeholders)),
    );
    for corrupt in &variant.corrupt {
        let corruption = corruption(&corrupt.kind, placeholders);
        faults.push(Fault::Corrupt(endpoint(&corrupt.endpoint), corruption));
    }
    faults.extend(
        variant
            .fault
            .iter()
            .map(|name| fault_by_name(name, placeholders)),
    );
    faults
}

/// Constructs the fault that replaces a member.
type Member = fn(String, Value) -> Fault;

/// Returns the faults that replace JSON members.
fn fields(variant: &Variant, placeholders: &Placeholders) -> Vec<Fault> {
    let kinds: [(&Option<String>, Member); 5] = [
        (&variant.prm, Fault::PrmField),
        (&variant.metadata, Fault::MetadataField),
        (&variant.registration, Fault::RegistrationField),
        (&variant.token, Fault::TokenField),
        (&variant.device, Fault::DeviceField),
    ];
    let mut faults = Vec::new();
    for (text, fault) in kinds {
        let Some(text) = text else { continue };
        let members: Value = serde_json::from_str(&placeholders.fill(text)).unwrap();
        let members = members.as_object().expect("members of a JSON object");
        faults.extend(members.iter().map(|(k, v)| fault(k.clone(), v.clone())));
    }
    faults
}

fn replacement(response: &CannedResponse, placeholders: &Placeholders) -> Fault {
    let headers = response.headers.iter();
    Fault::Status {
        path: response.path.clone(),
        status: response.status,
        body: placeholders.fill(&response.body),
        headers: headers
            .map(|(name, value)| (name.clone(), placeholders.fill(value)))
            .collect(),
        times: response.times,
    }
}

fn corruption(kind: &CorruptionKind, placeholders: &Placeholders) -> Corruption {
    let raw = |body: Vec<u8>| Corruption::Raw {
        content_type: "application/json".to_owned(),
        body,
    };
    match kind {
        CorruptionKind::Html => Corruption::Html,
        CorruptionKind::Null => Corruption::Null,
        CorruptionKind::Empty => Corruption::Empty,
        CorruptionKind::Truncated => Corruption::Truncated,
        CorruptionKind::TooLarge => Corruption::TooLarge,
        CorruptionKind::Form => Corruption::FormEncoded,
        CorruptionKind::RedirectLoop => Corruption::RedirectLoop,
        CorruptionKind::RedirectOnce => Corruption::RedirectOnce,
        CorruptionKind::NeverResponds => Corruption::NeverResponds,
        CorruptionKind::Redirect(to) => Corruption::RedirectTo(placeholders.fill(to)),
        CorruptionKind::CutAfter(count) => Corruption::CutAfter(*count),
        CorruptionKind::Trickle(every) => Corruption::Trickle(Duration::from_millis(*every)),
        CorruptionKind::Body(text) => raw(placeholders.fill(text).into_bytes()),
        CorruptionKind::Bytes(digits) => raw(unhex(digits)),
        CorruptionKind::Twice(name, value) => {
            let value = serde_json::from_str(&placeholders.fill(value)).unwrap();
            Corruption::DuplicateKey(name.clone(), value)
        }
    }
}

fn unhex(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pairs = digits.chunks(2).map(|pair| str::from_utf8(pair).unwrap());
    pairs
        .map(|pair| u8::from_str_radix(pair, 16).unwrap())
        .collect()
}

fn endpoint(name: &str) -> Endpoint {
    match name {
        "prm" => Endpoint::ResourceMetadata,
        "metadata" => Endpoint::ServerMetadata,
        "registration" => Endpoint::Registration,
        "authorization" => Endpoint::Authorization,
        "token" => Endpoint::Token,
        "device" => Endpoint::DeviceAuthorization,
        "revocation" => Endpoint::Revocation,
        "mcp" => Endpoint::Mcp,
        other => panic!("no endpoint `{other}`"),
    }
}

/// Returns a fault of the testbed, by its name in the cases.
fn fault_by_name(text: &str, placeholders: &Placeholders) -> Fault {
    let text = placeholders.fill(text);
    let (name, value) = text.split_once('=').unwrap_or((&text, ""));
    let value = value.to_owned();
    match name {
        "callback-iss" => Fault::CallbackIss(value),
        "callback-without-iss" => Fault::CallbackWithoutIss,
        "callback-two-codes" => Fault::CallbackTwoCodes,
        "callback-code-and-error" => Fault::CallbackCodeAndError,
        "callback-error" => {
            let (error, description) = value.split_once(' ').unwrap_or((&value, ""));
            Fault::CallbackError {
                error: error.to_owned(),
                description: (!description.is_empty()).then(|| description.to_owned()),
            }
        }
        "token-error-with-200" => Fault::TokenErrorWith200(value),
        "no-challenge" => Fault::NoChallenge,
        "refuses-every-token" => Fault::RejectsEveryToken,
        "never-enough-scope" => Fault::AlwaysInsufficientScope(value),
        "rotates-in-silence" => Fault::OmitsRotatedRefreshToken,
        other => panic!("no fault `{other}`"),
    }
}

/// Sets the options of a login, except those that only the hostile login has (`force`, `legacy`).
pub(super) fn configure(
    mut login: Login,
    client: &ClientConfig,
    placeholders: &Placeholders,
) -> Login {
    match client.grant.as_deref() {
        None => {}
        Some("device_code") => login = login.grant(Grant::DeviceCode),
        Some(other) => panic!("no grant `{other}`"),
    }
    if let Some(scope) = &client.scope {
        login = login.scope(scope.as_str());
    }
    if let Some(id) = &client.id {
        login = login.client_id(id);
    }
    if let Some(secret) = &client.secret {
        login = login.client_secret(secret.as_str());
    }
    if let Some(url) = &client.document {
        login = login.client_metadata_url(url.parse().unwrap(), None);
    }
    if let Some(seconds) = client.timeout {
        login = login.timeout(Duration::from_secs(seconds));
    }
    if let Some(uri) = &client.redirect_uri {
        login = login.redirect_uri(placeholders.fill(uri).parse().unwrap());
    }
    login
}
