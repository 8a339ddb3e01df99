//! The names of the servers: `servers.json`. A name is only a label; tokens are stored by URL and
//! account, so a name that is given another URL does not find the tokens of the old one.

use std::{
    collections::BTreeMap,
    fs::{DirBuilder, File},
    io::ErrorKind,
    path::{Path, PathBuf},
};

use mcp_client_oauth::{
    ServerUrl,
    flow::{Issuer, Quirks, Scope},
    store::LoginKey,
};
use mcp_oauth_support::atomic_file::{WriteOptions, retry_while_in_use};
use serde::{Deserialize, Deserializer, Serialize, de};
use url::{Host, Url};

use crate::{
    assertion::{Idp, Source},
    error::Failure,
};

const VERSION: u64 = 1;
/// The longest name: users type it.
const LONGEST_NAME: usize = 64;

/// The server of a name, and the options of its login.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Server {
    // The user allowed plain http when the URL was first used.
    #[serde(deserialize_with = "plain_http_allowed")]
    pub(crate) url: ServerUrl,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) account: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) scope: Option<Scope>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) client_id: Option<String>,
    /// The issuer that the client is registered with: credentials must not be used at another authorization
    /// server (MCP authorization, "Authorization Server Binding").
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) issuer: Option<Issuer>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) client_metadata_url: Option<Url>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) port: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) redirect_uri: Option<Url>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) legacy: bool,
    /// The grant of the login, if it is not a browser on this machine.
    #[serde(alias = "way", default, skip_serializing_if = "Option::is_none")]
    pub(crate) grant: Option<GrantKind>,
    /// The source of the JWT of a workload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) workload_token: Option<Source>,
    /// The identity provider of an enterprise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) idp: Option<Idp>,
    /// Says whether only tokens that are bound to a key are accepted (DPoP).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) dpop: bool,
    /// Says whether a login at another server of the same issuer is reused.
    #[serde(alias = "share", default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) reuse_login: bool,
    /// The overrides for the server, besides those that the library knows for its provider.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) quirks: Quirks,
}

/// Deserializes the URL of a server that the user has allowed before.
fn plain_http_allowed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ServerUrl, D::Error> {
    let text = String::deserialize(deserializer)?;
    ServerUrl::parse_allow_http(&text).map_err(de::Error::custom)
}

fn is_default(quirks: &Quirks) -> bool {
    *quirks == Quirks::default()
}

/// Returns whether the host is a loopback address or `localhost`.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name.trim_end_matches('.').eq_ignore_ascii_case("localhost"),
        None => false,
    }
}

/// The grant of a login, if it is not a browser on this machine. Its secrets are in the record.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum GrantKind {
    /// A code that the user enters on another device (RFC 8628).
    Device,
    /// Client credentials.
    ClientCredentials,
    /// Workload identity.
    Workload,
    /// Enterprise-managed authorization.
    Enterprise,
}

impl Server {
    pub(crate) fn new(url: ServerUrl) -> Self {
        Self {
            url,
            account: None,
            scope: None,
            client_id: None,
            issuer: None,
            client_metadata_url: None,
            port: None,
            redirect_uri: None,
            legacy: false,
            grant: None,
            workload_token: None,
            idp: None,
            dpop: false,
            reuse_login: false,
            quirks: Quirks::default(),
        }
    }

    /// Returns the key of the login in the token store.
    pub(crate) fn key(&self) -> LoginKey {
        let key = LoginKey::from(&self.url);
        match &self.account {
            Some(account) => key.with_account(account),
            None => key,
        }
    }
}

/// The names, as of when the file was read.
#[derive(Debug)]
pub(crate) struct Servers {
    file: PathBuf,
    names: BTreeMap<String, Server>,
}

#[derive(Deserialize, Serialize)]
struct Content {
    version: u64,
    servers: BTreeMap<String, Server>,
}

impl Servers {
    /// Reads the names; a missing file has none.
    pub(crate) fn read(file: &Path) -> Result<Self, Failure> {
        let names = match retry_while_in_use(|| std::fs::read(file)) {
            Ok(bytes) => parse(file, &bytes)?,
            Err(error) if error.kind() == ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(Failure::file("read", file, &error)),
        };
        Ok(Self {
            file: file.to_owned(),
            names,
        })
    }

    /// Returns the server of a name.
    pub(crate) fn find(&self, name: &str) -> Option<&Server> {
        self.names.get(name)
    }

    /// Returns the other names of the login with this key, sorted, without `name`.
    pub(crate) fn others(&self, key: &LoginKey, name: &str) -> Vec<String> {
        let same = self
            .iter()
            .filter(|(other, server)| *other != name && server.key() == *key);
        same.map(|(other, _)| other.to_owned()).collect()
    }

    /// Returns every name, sorted.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Server)> {
        self.names
            .iter()
            .map(|(name, server)| (name.as_str(), server))
    }

    /// Stores `server` under `name`.
    pub(crate) fn remember(&mut self, name: &str, server: Server) -> Result<(), Failure> {
        self.change(|names| names.insert(name.to_owned(), server) != names.get(name).cloned())
    }

    /// Removes `name`.
    pub(crate) fn remove(&mut self, name: &str) -> Result<(), Failure> {
        self.change(|names| names.remove(name).is_some())
    }

    /// Reads the file again, changes the names, and writes them if `change` returns true. A lock excludes
    /// other processes, so that two logins at once lose no name.
    fn change(
        &mut self,
        change: impl FnOnce(&mut BTreeMap<String, Server>) -> bool,
    ) -> Result<(), Failure> {
        make(self.file.parent().unwrap_or(Path::new(".")))?;
        let lock = self.file.with_extension("json.lock");
        let held = File::create(&lock).and_then(|file| file.lock().map(|()| file));
        let _held = held.map_err(|error| Failure::file("lock", &lock, &error))?;
        *self = Self::read(&self.file)?;
        if change(&mut self.names) {
            self.write()
        } else {
            Ok(())
        }
    }

    /// Writes the file atomically, readable by its owner only: it is no secret, but it is private.
    fn write(&self) -> Result<(), Failure> {
        let failed = |error: std::io::Error| Failure::file("write", &self.file, &error);
        let content = Content {
            version: VERSION,
            servers: self.names.clone(),
        };
        let mut text = serde_json::to_vec_pretty(&content).map_err(|error| failed(error.into()))?;
        text.push(b'\n');
        WriteOptions::default()
            .write(&self.file, &text)
            .map_err(failed)
    }
}

fn parse(file: &Path, bytes: &[u8]) -> Result<BTreeMap<String, Server>, Failure> {
    let corrupt = |why: String| {
        let message = format!("{} is corrupt (left unchanged): {why}", file.display());
        let hint = "fix it, or move it away: it has the names of the servers, but no tokens";
        Failure::other("names", message, Some(hint.to_owned()))
    };
    let content: Content =
        serde_json::from_slice(bytes).map_err(|error| corrupt(error.to_string()))?;
    if content.version > VERSION {
        return Err(corrupt(format!(
            "its version {} is newer than this mcp-oauth supports",
            content.version
        )));
    }
    Ok(content.servers)
}

fn make(directory: &Path) -> Result<(), Failure> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
        .create(directory)
        .map_err(|error| Failure::file("create", directory, &error))
}

/// Checks that `text` can be a name: it must not look like a URL, an option or a path.
pub(crate) fn check_name(text: &str) -> Result<(), Failure> {
    let odd = |c: char| c.is_control() || c.is_whitespace() || matches!(c, '/' | '\\');
    let fits = (1..=LONGEST_NAME).contains(&text.chars().count());
    if fits && !text.starts_with('-') && !text.contains(odd) {
        return Ok(());
    }
    Err(Failure::usage(
        format!("a name must have 1 to {LONGEST_NAME} characters, without blanks and slashes"),
        "mcp-oauth login NAME URL",
    ))
}

/// Returns a name for a server that was given none: the first specific label of its host.
pub(crate) fn name_for(url: &ServerUrl) -> String {
    let host = url.as_url().host_str().unwrap_or("server");
    let port = url
        .as_url()
        .port()
        .map(|port| format!("-{port}"))
        .unwrap_or_default();
    let is_address =
        host.starts_with('[') || host.split('.').all(|part| part.parse::<u8>().is_ok());
    if is_address {
        return format!("{}{port}", host.trim_matches(['[', ']']));
    }
    let common = |part: &&str| matches!(*part, "mcp" | "api" | "www");
    let mut parts = host.split('.').skip_while(common);
    format!(
        "{}{port}",
        parts.next().filter(|part| !part.is_empty()).unwrap_or(host)
    )
}

/// Quotes and joins names for a sentence.
pub(crate) fn listed(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn url(text: &str) -> ServerUrl {
        text.parse().unwrap()
    }

    #[test]
    fn a_name_is_stored_and_removed() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("new").join("servers.json");
        let mut servers = Servers::read(&file).unwrap();
        let server = Server {
            port: Some(5),
            ..Server::new(url("https://a.example/mcp"))
        };
        servers.remember("a", server.clone()).unwrap();
        servers
            .remember("b", Server::new(url("https://b.example/mcp")))
            .unwrap();
        let read = Servers::read(&file).unwrap();
        assert_eq!(read.find("a"), Some(&server));
        servers.remove("a").unwrap();
        let read = Servers::read(&file).unwrap();
        assert_eq!(read.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["b"]);
    }

    #[test]
    fn concurrent_writes_lose_no_name() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("servers.json");
        std::thread::scope(|scope| {
            for number in 0..16 {
                let file = &file;
                scope.spawn(move || {
                    let mut servers = Servers::read(file).unwrap();
                    let server = Server::new(url("https://a.example/mcp"));
                    servers.remember(&number.to_string(), server).unwrap();
                });
            }
        });
        assert_eq!(Servers::read(&file).unwrap().iter().count(), 16);
    }

    #[test]
    fn a_file_with_the_old_keys_is_read_and_written_with_the_new_ones() {
        let old = r#"{"url":"https://a.example/mcp","way":"device","share":true}"#;
        let server: Server = serde_json::from_str(old).unwrap();
        assert_eq!(server.grant, Some(GrantKind::Device));
        assert!(server.reuse_login);
        let new = serde_json::to_string(&server).unwrap();
        let expected = r#"{"url":"https://a.example/mcp","grant":"device","reuse_login":true}"#;
        assert_eq!(new, expected);
    }

    #[test]
    fn a_corrupt_file_is_reported_and_left_unchanged() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("servers.json");
        for corrupt in [
            &b"{"[..],
            b"null",
            br#"{"version":99,"servers":{}}"#,
            b"\xff",
        ] {
            File::create(&file).unwrap().write_all(corrupt).unwrap();
            let rendered = Servers::read(&file).unwrap_err().render(None);
            assert!(
                rendered.message.contains("servers.json"),
                "{}",
                rendered.message
            );
            assert_eq!(std::fs::read(&file).unwrap(), corrupt);
        }
    }

    #[test]
    fn a_name_is_derived_from_the_specific_part_of_the_host() {
        for (text, name) in [
            ("https://mcp.notion.com/mcp", "notion"),
            ("https://notion.example", "notion"),
            ("https://www.api.example.com:8443/", "example-8443"),
            ("http://localhost:8080/mcp", "localhost-8080"),
            ("http://127.0.0.1:9/mcp", "127.0.0.1-9"),
            ("http://[::1]:9/mcp", "::1-9"),
            ("https://mcp/", "mcp"),
        ] {
            assert_eq!(name_for(&url(text)), name, "{text}");
            assert!(check_name(name).is_ok());
        }
    }

    #[test]
    fn a_name_that_looks_like_an_option_a_path_or_a_url_is_refused() {
        for bad in [
            "",
            "-x",
            "a b",
            "../x",
            "https://x",
            "a\0b",
            "a\nb",
            &"x".repeat(65),
        ] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
        assert!(check_name("münze_2").is_ok());
    }
}
