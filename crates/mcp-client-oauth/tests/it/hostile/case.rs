//! The format of a case file, and the functions that read the files.

use std::{collections::BTreeMap, fs, path::Path, sync::OnceLock};

use serde::Deserialize;

/// The directory of the case files.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/hostile/cases");

/// The files, in the order of the case numbers, and their titles.
pub(super) const FILES: [(&str, &str); 10] = [
    ("discovery", "Discovery and metadata"),
    ("urls", "URLs that are opened or fetched"),
    ("callback", "Authorization request and callback"),
    ("token", "Token endpoint and token use"),
    ("refresh", "Refresh, rotation, time and concurrency"),
    ("limits", "Size, time and parsers"),
    ("store", "Store, files and processes"),
    ("output", "Command, logs and proxy"),
    ("registration", "Registration, device flow and other grants"),
    ("added", "Found later"),
];

/// One case of the corpus.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Case {
    /// `H17`.
    pub(super) id: String,
    /// The name of the test, after its number.
    pub(super) name: String,
    /// The behavior of the server, or of another attacker.
    pub(super) attack: String,
    /// The required behavior of the client.
    pub(super) client: String,
    /// The rule that requires it.
    #[serde(default)]
    pub(super) rule: String,
    /// The action of the client.
    #[serde(default)]
    pub(super) action: Action,
    /// The responses of each variant, and the expected outcome.
    #[serde(default, rename = "variant")]
    pub(super) variants: Vec<Variant>,
    /// Tests elsewhere, which cover the case or a part of it.
    #[serde(default)]
    pub(super) tests: Vec<String>,
}

/// The action of the client.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Action {
    /// A complete login, which the user approves.
    #[default]
    Login,
    /// Discovery only.
    Discover,
    /// Discovery of a server at a public URL, `https://mcp.example/mcp`.
    DiscoverPublic,
    /// An honest login; then a request with the token to the hostile server.
    Request,
    /// An honest login; then a refresh at the hostile server.
    Refresh,
    /// An honest login; then a second login at the hostile server.
    LoginAgain,
    /// An honest login; then a logout at the hostile server.
    Logout,
    /// Discovery of a server that sends the bytes of `wire`.
    Wire,
    /// One request, which the network policy allows or refuses.
    Connect,
    /// A login at `url`, by a client that takes server URLs from its users.
    TypedUrl,
}

/// One variant of a case: the responses, and the expected outcome.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(super) struct Variant {
    /// The expected outcome: `ok`, or the step and the kind of the failure.
    pub(super) expect: String,
    /// The action of the client, if it differs from the case.
    pub(super) action: Option<Action>,

    // The configuration of the servers, and their responses.
    pub(super) servers: Vec<String>,
    pub(super) prm: Option<String>,
    pub(super) prm_without: Vec<String>,
    pub(super) metadata: Option<String>,
    pub(super) metadata_without: Vec<String>,
    pub(super) challenge: Option<Vec<String>>,
    pub(super) registration: Option<String>,
    pub(super) registration_without: Vec<String>,
    pub(super) token: Option<String>,
    pub(super) token_without: Vec<String>,
    pub(super) device: Option<String>,
    pub(super) device_without: Vec<String>,
    pub(super) response: Vec<CannedResponse>,
    pub(super) corrupt: Vec<CorruptResponse>,
    pub(super) fault: Vec<String>,
    pub(super) wire: Option<String>,
    /// The fault of the certificate of `${tls}`.
    pub(super) tls: Option<String>,

    // The configuration of the client, and what the user does.
    pub(super) client: ClientConfig,
    pub(super) url: Option<String>,
    pub(super) callbacks: Vec<String>,
    /// The timeout of a request in milliseconds, if the case depends on it.
    pub(super) timeout_ms: Option<u64>,

    // The checks besides the outcome.
    pub(super) requests: BTreeMap<String, usize>,
    pub(super) max_requests: BTreeMap<String, usize>,
    pub(super) opened: Option<usize>,
    pub(super) scope: Option<String>,
    pub(super) granted: Option<String>,
    pub(super) lifetime: Option<i64>,
    pub(super) sent: BTreeMap<String, String>,
    pub(super) statuses: Vec<u16>,
    pub(super) error_contains: Vec<String>,
    pub(super) error_omits: Vec<String>,
    /// The number of requests to `${third-party}`.
    pub(super) third_party_requests: usize,
    /// The number of host names that were resolved.
    pub(super) dns_lookups: Option<usize>,
    /// Says whether the previous login is kept.
    pub(super) login_kept: Option<bool>,
}

/// A response that replaces the honest one.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct CannedResponse {
    pub(super) path: String,
    #[serde(default = "ok")]
    pub(super) status: u16,
    #[serde(default)]
    pub(super) headers: Vec<(String, String)>,
    #[serde(default)]
    pub(super) body: String,
    pub(super) times: Option<u32>,
}

fn ok() -> u16 {
    200
}

/// An honest response that is corrupted in transit.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct CorruptResponse {
    pub(super) endpoint: String,
    pub(super) kind: CorruptionKind,
}

/// The kind of the corruption.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum CorruptionKind {
    Html,
    Null,
    Empty,
    Truncated,
    TooLarge,
    Form,
    RedirectLoop,
    RedirectOnce,
    NeverResponds,
    Redirect(String),
    CutAfter(usize),
    /// Milliseconds between two bytes.
    Trickle(u64),
    /// Another body, as text.
    Body(String),
    /// Another body, in hexadecimal digits.
    Bytes(String),
    /// A duplicate member: its name, and its second value as JSON.
    Twice(String, String),
}

/// The configuration of the client.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(super) struct ClientConfig {
    pub(super) id: Option<String>,
    pub(super) secret: Option<String>,
    pub(super) document: Option<String>,
    pub(super) legacy: bool,
    pub(super) grant: Option<String>,
    pub(super) force: bool,
    pub(super) scope: Option<String>,
    pub(super) timeout: Option<u64>,
    pub(super) redirect_uri: Option<String>,
    pub(super) address_space: Option<String>,
    /// The addresses for each lookup; the last list is used for all later lookups.
    pub(super) names: Vec<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    case: Vec<Case>,
}

/// Returns every case, in the order of the files.
pub(super) fn all() -> &'static [Case] {
    static CASES: OnceLock<Vec<Case>> = OnceLock::new();
    CASES.get_or_init(|| FILES.iter().flat_map(|(file, _)| of(file)).collect())
}

/// Reads the cases of one file.
pub(super) fn of(file: &str) -> Vec<Case> {
    let path = Path::new(FOLDER).join(format!("{file}.toml"));
    let text = fs::read_to_string(&path).unwrap();
    let read: File = toml::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
    read.case
}

impl Case {
    /// Returns the name of the test.
    pub(super) fn test(&self) -> String {
        format!("{}_{}", self.id, self.name)
    }
}
