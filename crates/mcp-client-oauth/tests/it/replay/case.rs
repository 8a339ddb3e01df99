//! The format of a case file, and the functions that read the files. `README.md` describes the format.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use mcp_client_oauth::flow::Quirks;
use serde::Deserialize;
use serde_json::{Map, Value};

/// The folder of the case files.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Folder {
    /// Documents that hosted servers publish.
    Hosted,
    /// Transcripts of servers that were run.
    Servers,
}

impl Folder {
    fn path(self) -> PathBuf {
        let name = match self {
            Self::Hosted => "hosted",
            Self::Servers => "servers",
        };
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/it/replay")
            .join(name)
    }
}

/// One server, and the expected outcome of a login.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) server: String,
    pub(super) probe: Response,
    pub(super) routes: Routes,
    #[serde(default)]
    pub(super) callback_iss: Option<String>,
    #[serde(default)]
    pub(super) options: Options,
    pub(super) expect: String,
    #[serde(default)]
    pub(super) reason: Option<String>,
    #[serde(default)]
    pub(super) error_contains: Vec<String>,
    #[serde(default)]
    pub(super) authorize: Map<String, Value>,
    #[serde(default)]
    pub(super) scopes: Option<usize>,
    #[serde(default)]
    pub(super) logout: Option<String>,
    #[serde(default)]
    pub(super) doc: String,
    #[serde(default)]
    pub(super) tok: String,
    #[serde(default)]
    pub(super) date: String,
    #[serde(default, rename = "src")]
    _src: String,
    #[serde(default, rename = "note")]
    _note: String,
    #[serde(default)]
    pub(super) version: Option<String>,
    #[serde(default)]
    pub(super) recorded: Option<Recorded>,
    /// Says whether every recorded response must be requested.
    #[serde(skip)]
    pub(super) is_transcript: bool,
}

/// The date and the command of a recording.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Recorded {
    pub(super) date: String,
    #[serde(rename = "command")]
    _command: String,
}

/// The configuration of the client.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Options {
    pub(super) client_id: Option<String>,
    pub(super) client_secret: Option<String>,
    pub(super) document: Option<String>,
    pub(super) legacy: bool,
    pub(super) scope: Option<String>,
    pub(super) quirks: Quirks,
}

/// One response of a server.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Response {
    pub(super) status: u16,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) body: Value,
    #[serde(default)]
    pub(super) expects: Value,
}

/// The responses for one URL.
#[derive(Clone, Debug)]
pub(super) enum Route {
    /// The same each time.
    Constant(Response),
    /// One after the other.
    Successive(Vec<Response>),
}

/// The responses by `URL` and `POST URL`.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Map<String, Value>")]
pub(super) struct Routes(pub(super) BTreeMap<String, Route>);

impl TryFrom<Map<String, Value>> for Routes {
    type Error = serde_json::Error;

    fn try_from(written: Map<String, Value>) -> Result<Self, Self::Error> {
        let read = |(url, value)| Ok((url, route(value)?));
        written
            .into_iter()
            .map(read)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

fn route(value: Value) -> Result<Route, serde_json::Error> {
    Ok(match value {
        Value::Array(_) => Route::Successive(serde_json::from_value(value)?),
        Value::Object(ref members) if members.contains_key("status") => {
            Route::Constant(serde_json::from_value(value)?)
        }
        document => Route::Constant(Response {
            status: 200,
            headers: BTreeMap::new(),
            body: document,
            expects: Value::Null,
        }),
    })
}

/// For tests that change a case.
impl Routes {
    pub(super) fn at(&mut self, url: &str) -> &mut Vec<Response> {
        match self.0.get_mut(url) {
            Some(Route::Successive(responses)) => responses,
            other => panic!("{url}: {other:?}"),
        }
    }

    pub(super) fn remove(&mut self, url: &str) {
        self.0.remove(url).unwrap();
    }
}

impl Case {
    /// Returns the name of the case in messages.
    pub(super) fn title(&self) -> String {
        format!("{} ({})", self.name, self.server)
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.expect.starts_with("stopped: ")
    }
}

/// Returns every case of a folder, in the order of its files.
pub(super) fn all(folder: Folder) -> Vec<Case> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder.path())
        .map(|entries| entries.map(|entry| entry.unwrap().path()).collect())
        .unwrap_or_default();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "json"));
    files.sort_by_key(|file| file.file_stem().map(std::ffi::OsStr::to_owned));
    files.iter().flat_map(|file| read(file, folder)).collect()
}

fn read(file: &Path, folder: Folder) -> Vec<Case> {
    let text = fs::read_to_string(file).unwrap();
    let mut common: Map<String, Value> =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let written = match common.remove("cases") {
        Some(Value::Array(cases)) => cases,
        _ => vec![Value::Object(Map::new())],
    };
    let whole = |written| {
        let value = Value::Object(with_defaults(common.clone(), written));
        let mut case: Case = serde_json::from_value(value)
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        case.is_transcript = folder == Folder::Servers;
        case
    };
    written.into_iter().map(whole).collect()
}

/// Returns `common` with the members of `case`, and adds the routes of `case` to the common ones.
fn with_defaults(mut common: Map<String, Value>, case: Value) -> Map<String, Value> {
    let Value::Object(case) = case else {
        panic!("a case is an object");
    };
    for (name, value) in case {
        match (name.as_str(), common.get_mut("routes"), value) {
            ("routes", Some(Value::Object(routes)), Value::Object(own)) => {
                routes.extend(own);
                routes.retain(|_, route| !route.is_null());
            }
            (_, _, value) => {
                common.insert(name, value);
            }
        }
    }
    common
}
