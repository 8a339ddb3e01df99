//! A case as it stands in its file, and how the files are read.

use std::{collections::BTreeMap, fs, path::Path, sync::OnceLock};

use serde::Deserialize;

/// Where the cases are.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/hostile/cases");

/// The files, in the order of the numbers in them, and what they are about.
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

/// One number of the corpus.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Case {
    /// `H17`.
    pub(super) id: String,
    /// What the test is called, after its number.
    pub(super) name: String,
    /// What the server, or whoever else is hostile, does.
    pub(super) attack: String,
    /// What is owed.
    pub(super) client: String,
    /// The rule that it comes from.
    #[serde(default)]
    pub(super) rule: String,
    /// What the client is asked to do.
    #[serde(default)]
    pub(super) act: Act,
    /// What is said, in each variation, and what comes of it.
    #[serde(default, rename = "variant")]
    pub(super) variants: Vec<Variant>,
    /// Tests elsewhere, which prove the case or a part of it.
    #[serde(default)]
    pub(super) proof: Vec<String>,
}

/// What the client is asked to do.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Act {
    /// A whole login, by a person who approves.
    #[default]
    Login,
    /// Discovery alone.
    Discover,
    /// Discovery of a server in a public place, `https://mcp.example/mcp`.
    DiscoverPublic,
    /// An honest login; then, of the hostile server, a request with the token.
    Request,
    /// An honest login; then, of the hostile server, a refresh.
    Refresh,
    /// An honest login; then, of the hostile server, a second login.
    LoginAgain,
    /// An honest login; then, of the hostile server, a logout.
    Logout,
    /// Discovery of a server that says what is in `wire`, byte for byte.
    Wire,
    /// One request that the network policy has to judge.
    Connect,
}

/// One variation of a case: what is said, and what comes of it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(super) struct Variant {
    /// The outcome: `ok`, or the stage and the cause of the failure.
    pub(super) expect: String,
    /// What the client is asked to do, if it is not what the case says.
    pub(super) act: Option<Act>,

    // How the servers are set up, and what they say.
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
    pub(super) answer: Vec<Answer>,
    pub(super) spoil: Vec<Spoiled>,
    pub(super) fault: Vec<String>,
    pub(super) wire: Option<String>,
    /// What is wrong with the certificate of `${tls}`.
    pub(super) tls: Option<String>,

    // What the client is given, and what its person does.
    pub(super) client: Client,
    pub(super) url: Option<String>,
    pub(super) callbacks: Vec<String>,
    /// How long an answer is waited for, in milliseconds, where that matters.
    pub(super) patience: Option<u64>,

    // What is seen afterwards, beside the outcome.
    pub(super) requests: BTreeMap<String, usize>,
    pub(super) at_most: BTreeMap<String, usize>,
    pub(super) opened: Option<usize>,
    pub(super) scope: Option<String>,
    pub(super) granted: Option<String>,
    pub(super) lifetime: Option<i64>,
    pub(super) sent: BTreeMap<String, String>,
    pub(super) statuses: Vec<u16>,
    pub(super) says: Vec<String>,
    pub(super) hides: Vec<String>,
    pub(super) foreign: usize,
    /// How often it was asked what a name resolves to.
    pub(super) asked: Option<usize>,
    /// Whether the login that was there is kept.
    pub(super) keeps: Option<bool>,
}

/// An answer in place of the honest one.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Answer {
    pub(super) at: String,
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

/// An honest answer that is spoiled on its way.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Spoiled {
    pub(super) at: String,
    pub(super) how: How,
}

/// How.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum How {
    Html,
    Null,
    Empty,
    Truncated,
    TooLarge,
    Form,
    RedirectLoop,
    RedirectOnce,
    NeverAnswers,
    Redirect(String),
    CutAfter(usize),
    /// Milliseconds between two bytes.
    Trickle(u64),
    /// Another body, as text.
    Body(String),
    /// Another body, in hexadecimal digits.
    Bytes(String),
    /// A member that stands there twice: its name, and its second value as JSON.
    Twice(String, String),
}

/// What the client is given.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(super) struct Client {
    pub(super) id: Option<String>,
    pub(super) secret: Option<String>,
    pub(super) issuer: Option<String>,
    pub(super) document: Option<String>,
    pub(super) legacy: bool,
    pub(super) grant: Option<String>,
    pub(super) afresh: bool,
    pub(super) scope: Option<String>,
    pub(super) timeout: Option<u64>,
    pub(super) redirect: Option<String>,
    pub(super) reach: Option<String>,
    /// What names resolve to, question after question; the last answer stays.
    pub(super) names: Vec<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    case: Vec<Case>,
}

/// Every case, in the order of the files.
pub(super) fn all() -> &'static [Case] {
    static CASES: OnceLock<Vec<Case>> = OnceLock::new();
    CASES.get_or_init(|| FILES.iter().flat_map(|(file, _)| of(file)).collect())
}

/// The cases of one file.
pub(super) fn of(file: &str) -> Vec<Case> {
    let path = Path::new(FOLDER).join(format!("{file}.toml"));
    let text = fs::read_to_string(&path).unwrap();
    let read: File = toml::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
    read.case
}

impl Case {
    /// As the test is called.
    pub(super) fn test(&self) -> String {
        format!("{}_{}", self.id, self.name)
    }
}
