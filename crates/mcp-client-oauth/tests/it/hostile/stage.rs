//! The servers of a case: the testbed with its faults, and those around it that must hear nothing.

use std::{sync::Arc, time::Duration};

use mcp_client_oauth::{
    DiscoveryOptions, LoginOptions, PreregisteredClient, Secret, grant::RedirectTarget,
    platform::ReqwestClient, proto::server_metadata::Issuer,
};
use mcp_oauth_testbed::{Builder, Corruption, Endpoint, Fault, Legacy, PrmForm, Testbed};
use serde_json::Value;

use super::{
    case::{Act, Answer, Client, How, Variant},
    directory::Directory,
    listeners::Listener,
    masquerade::{Masquerade, PUBLIC_AS, PUBLIC_MCP},
    tls::TlsServer,
    words::Words,
};
use crate::support::{Fixture, Impatient, dead_port};

/// Everybody who is there while a case is played.
pub(super) struct Stage {
    pub(super) fixture: Fixture,
    pub(super) words: Words,
    /// Another origin, which may hear only what a case says.
    pub(super) foreign: Listener,
    /// Places that must hear nothing at all.
    pub(super) canaries: Vec<Listener>,
    /// A server with a certificate.
    pub(super) tls: Option<TlsServer>,
    /// Who says what names resolve to.
    pub(super) directory: Arc<Directory>,
    /// The server of a case that is written byte for byte.
    _wire: Option<Listener>,
}

impl Stage {
    pub(super) async fn of(act: Act, variant: &Variant) -> Self {
        let mut builder = Testbed::builder();
        for switch in &variant.servers {
            builder = switched(builder, switch);
        }
        let mut fixture = Fixture::with(builder).await;
        let foreign = Listener::at("127.0.0.1:0").await.unwrap();
        let mut canaries = Vec::new();
        for address in ["127.0.0.2:0", "[::1]:0"] {
            canaries.extend(Listener::at(address).await);
        }
        let mut words = words(&fixture, &foreign, &canaries);
        if act == Act::DiscoverPublic {
            words.set("issuer", PUBLIC_AS);
            words.set("origin", PUBLIC_MCP);
            words.set("server", format!("{PUBLIC_MCP}/mcp"));
            fixture.platform.http = Arc::new(Masquerade::of(&fixture));
            fixture.server = format!("{PUBLIC_MCP}/mcp").parse().unwrap();
        }
        let tls = match &variant.tls {
            Some(kind) => Some(TlsServer::with(kind).await),
            None => None,
        };
        let directory = Arc::new(Directory::of(&variant.client.names));
        let mut network = ReqwestClient::default();
        if let Some(tls) = &tls {
            words.set("tls", tls.origin());
            words.set("tls-port", tls.port().to_string());
            network = network.with_roots(tls.roots.as_bytes()).unwrap();
        }
        if !variant.client.names.is_empty() {
            network = network.with_resolver(Arc::clone(&directory) as _);
        }
        if act != Act::DiscoverPublic {
            fixture.platform.http = Arc::new(network);
        }
        if let Some(patience) = variant.patience {
            fixture.platform = Impatient::platform(Duration::from_millis(patience), &fixture);
        }
        let wire = match (act, variant.wire.as_deref()) {
            (Act::Wire, Some(answer)) => Listener::saying("127.0.0.1:0", &words.fill(answer)).await,
            _ => None,
        };
        if let Some(wire) = &wire {
            let scheme = variant.url.as_deref().unwrap_or("http");
            let server = format!("{scheme}://{}/mcp", wire.address);
            fixture.server = server.parse().unwrap();
        }
        Self {
            fixture,
            words,
            foreign,
            canaries,
            tls,
            directory,
            _wire: wire,
        }
    }

    /// From now on the servers are hostile.
    pub(super) fn turn_hostile(&self, variant: &Variant) {
        for fault in faults(variant, &self.words) {
            self.fixture.testbed.set_fault(fault);
        }
    }
}

fn words(fixture: &Fixture, foreign: &Listener, canaries: &[Listener]) -> Words {
    let mut words = Words::default();
    let server = fixture.server.as_url();
    let issuer = fixture.testbed.issuer();
    let port = issuer.rsplit_once(':').map(|(_, port)| port);
    words.set("as-port", port.unwrap());
    words.set("issuer", issuer);
    words.set("server", server.as_str());
    words.set("8k", "x".repeat(8192));
    words.set("origin", server.origin().ascii_serialization());
    words.set("foreign", foreign.origin());
    words.set("foreign-port", foreign.address.port().to_string());
    words.set("dead", format!("http://127.0.0.1:{}", dead_port()));
    for (name, canary) in ["canary", "canary6"].iter().zip(canaries) {
        words.set(name, canary.address.to_string());
        words.set(&format!("{name}-port"), canary.address.port().to_string());
    }
    words
}

/// A switch of the testbed, by its name in the cases.
fn switched(builder: Builder, switch: &str) -> Builder {
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
        "open" => builder.open(true),
        "prm-at" => builder.prm_at(PrmForm::Custom(value.to_owned())),
        "prm-at-root" => builder.prm_at(PrmForm::RootOnly),
        "step-up" => builder.step_up(true),
        other => panic!("no switch `{other}`"),
    }
}

/// What the servers do wrong.
fn faults(variant: &Variant, words: &Words) -> Vec<Fault> {
    let mut faults = fields(variant, words);
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
        faults.push(Fault::Challenge(words.fill_all(lines)));
    }
    faults.extend(variant.answer.iter().map(|answer| instead(answer, words)));
    for spoiled in &variant.spoil {
        let how = spoil(&spoiled.how, words);
        faults.push(Fault::Spoil(endpoint(&spoiled.at), how));
    }
    faults.extend(variant.fault.iter().map(|name| named(name, words)));
    faults
}

/// The fault that replaces a member.
type Member = fn(String, Value) -> Fault;

/// The members that are replaced.
fn fields(variant: &Variant, words: &Words) -> Vec<Fault> {
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
        let members: Value = serde_json::from_str(&words.fill(text)).unwrap();
        let members = members.as_object().expect("members of a JSON object");
        faults.extend(members.iter().map(|(k, v)| fault(k.clone(), v.clone())));
    }
    faults
}

fn instead(answer: &Answer, words: &Words) -> Fault {
    let headers = answer.headers.iter();
    Fault::Status {
        path: answer.at.clone(),
        status: answer.status,
        body: words.fill(&answer.body),
        headers: headers
            .map(|(name, value)| (name.clone(), words.fill(value)))
            .collect(),
        times: answer.times,
    }
}

fn spoil(how: &How, words: &Words) -> Corruption {
    let raw = |body: Vec<u8>| Corruption::Raw {
        content_type: "application/json".to_owned(),
        body,
    };
    match how {
        How::Html => Corruption::Html,
        How::Null => Corruption::Null,
        How::Empty => Corruption::Empty,
        How::Truncated => Corruption::Truncated,
        How::TooLarge => Corruption::TooLarge,
        How::Form => Corruption::FormEncoded,
        How::RedirectLoop => Corruption::RedirectLoop,
        How::RedirectOnce => Corruption::RedirectOnce,
        How::NeverAnswers => Corruption::NeverAnswers,
        How::Redirect(to) => Corruption::RedirectTo(words.fill(to)),
        How::CutAfter(count) => Corruption::CutAfter(*count),
        How::Trickle(every) => Corruption::Trickle(Duration::from_millis(*every)),
        How::Body(text) => raw(words.fill(text).into_bytes()),
        How::Bytes(digits) => raw(unhex(digits)),
        How::Twice(name, value) => {
            let value = serde_json::from_str(&words.fill(value)).unwrap();
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

/// A fault of the testbed, by its name in the cases.
fn named(text: &str, words: &Words) -> Fault {
    let text = words.fill(text);
    let (name, value) = text.split_once('=').unwrap_or((&text, ""));
    let value = value.to_owned();
    match name {
        "callback-iss" => Fault::CallbackIss(value),
        "callback-without-iss" => Fault::CallbackWithoutIss,
        "callback-two-codes" => Fault::CallbackTwoCodes,
        "callback-code-and-error" => Fault::CallbackCodeAndError,
        "callback-error" => {
            let (error, words) = value.split_once(' ').unwrap_or((&value, ""));
            Fault::CallbackError {
                error: error.to_owned(),
                description: (!words.is_empty()).then(|| words.to_owned()),
            }
        }
        "token-error-with-200" => Fault::TokenErrorWith200(value),
        "no-challenge" => Fault::NoChallenge,
        "refuses-every-token" => Fault::RefusesEveryToken,
        "never-enough-scope" => Fault::NeverEnoughScope(value),
        "rotates-in-silence" => Fault::RotatesInSilence,
        other => panic!("no fault `{other}`"),
    }
}

/// What a login is given.
pub(super) fn options(client: &Client, words: &Words) -> LoginOptions {
    let mut options = LoginOptions::default();
    let mut discovery = DiscoveryOptions::default();
    discovery.legacy = client.legacy;
    options.discovery = discovery;
    options.grant.clone_from(&client.grant);
    options.afresh = client.afresh;
    options.scope = client.scope.as_ref().map(|scope| scope.parse().unwrap());
    if let Some(id) = &client.id {
        let secret = client.secret.clone().map(Secret::new);
        let mut own = PreregisteredClient::new(id, secret);
        own.issuer = client
            .issuer
            .as_ref()
            .map(|text| Issuer::new(words.fill(text)));
        options.identity.preregistered = Some(own);
    }
    let document = client.document.as_ref();
    options.identity.document = document.map(|url| url.parse().unwrap());
    if let Some(seconds) = client.timeout {
        options.timeout = Duration::from_secs(seconds);
    }
    if let Some(uri) = &client.redirect {
        options.redirect = RedirectTarget::Uri(words.fill(uri).parse().unwrap());
    }
    options
}
