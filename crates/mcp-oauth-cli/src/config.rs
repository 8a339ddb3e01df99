//! What was meant: flags, then the environment, then defaults. The only place that reads the
//! environment.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use etcetera::BaseStrategy as _;
use mcp_client_oauth::{Secret, store::SealedFiles};

use crate::{
    args::{Global, NetworkFlags},
    exit::Failure,
    place::Place,
    vault::Variables,
};

mod carried;

pub(crate) use carried::Carried;

const PASSWORD: &str = "MCP_OAUTH_PASSWORD";
const PROXY_TOKEN: &str = "MCP_OAUTH_PROXY_TOKEN";
const CLIENT_SECRET: &str = "MCP_OAUTH_CLIENT_SECRET";
const IDP_CLIENT_SECRET: &str = "MCP_OAUTH_IDP_CLIENT_SECRET";
/// The most that a password or secret may have: whoever names a device as a file gets an answer.
const LONGEST_SECRET: u64 = 64 * 1024;

/// The environment, as far as it concerns us.
#[derive(Default)]
pub(crate) struct Environment {
    store: Option<OsString>,
    data_dir: Option<OsString>,
    password: Option<OsString>,
    password_file: Option<OsString>,
    client_secret: Option<OsString>,
    idp_client_secret: Option<OsString>,
    vault: Variables,
    browser: Option<OsString>,
    display: Option<OsString>,
    wayland_display: Option<OsString>,
    ssh: Option<OsString>,
    proxy_token: Option<OsString>,
    /// The certificates that are named.
    certificates: NetworkFlags,
    /// Those that are set of [`carried::BY_VALUE`].
    by_value: Vec<(&'static str, OsString)>,
}

impl Environment {
    /// An empty variable is one that is not set.
    pub(crate) fn read() -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "this is the place where the environment is read"
        )]
        let read = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        Self {
            store: read("MCP_OAUTH_STORE"),
            data_dir: read("MCP_OAUTH_DATA_DIR"),
            password: read(PASSWORD),
            password_file: read("MCP_OAUTH_PASSWORD_FILE"),
            client_secret: read(CLIENT_SECRET),
            idp_client_secret: read(IDP_CLIENT_SECRET),
            vault: Variables::read(read),
            browser: read("BROWSER"),
            display: read("DISPLAY"),
            wayland_display: read("WAYLAND_DISPLAY"),
            ssh: read("SSH_CONNECTION"),
            proxy_token: read(PROXY_TOKEN),
            certificates: NetworkFlags {
                ca_cert: read("MCP_OAUTH_CA_CERT").map(Into::into),
                client_cert: read("MCP_OAUTH_CLIENT_CERT").map(Into::into),
                client_key: read("MCP_OAUTH_CLIENT_KEY").map(Into::into),
            },
            by_value: carried::BY_VALUE
                .into_iter()
                .filter_map(|name| Some((name, read(name)?)))
                .collect(),
        }
    }

    /// Whether a browser that is opened here is likely to be seen by the person: not over SSH, and
    /// not on a Linux without a display; unless `$BROWSER` says how.
    fn has_browser(&self) -> bool {
        let display = self.display.is_some() || self.wayland_display.is_some();
        let screen = display || !cfg!(target_os = "linux");
        self.browser.is_some() || (screen && self.ssh.is_none())
    }
}

/// `$PATH` without its empty and relative entries: a program in the directory where somebody works
/// is not what a name stands for (H153).
pub(crate) fn absolute_path() -> Option<OsString> {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the place where the environment is read"
    )]
    let path = std::env::var_os("PATH")?;
    let entries = std::env::split_paths(&path).filter(|entry| entry.is_absolute());
    std::env::join_paths(entries).ok()
}

/// Where a password comes from.
#[derive(Clone)]
pub(crate) enum Password {
    /// The file that holds it.
    File(PathBuf),
    /// The environment.
    Given(Secret<String>),
    /// Nobody has given one: a person is asked, if one is needed.
    Ask,
}

/// What holds for this run.
pub(crate) struct Config {
    pub(crate) place: Place,
    /// Why there, in words.
    pub(crate) why: &'static str,
    /// Where they would be kept without `--store`.
    pub(crate) otherwise: Place,
    /// The directory of sealed files where none is named.
    pub(crate) usual: Option<PathBuf>,
    pub(crate) password: Password,
    /// The file of a password, if one was typed.
    pub(crate) typed_password: Option<PathBuf>,
    /// The password without what was typed.
    pub(crate) kept_password: Password,
    pub(crate) client_secret: Option<Secret<String>>,
    /// The one at the identity provider.
    pub(crate) idp_client_secret: Option<Secret<String>>,
    /// Which Vault, and as whom, if the place is one.
    pub(crate) vault: Variables,
    /// Whether it makes sense to open a browser.
    pub(crate) has_browser: bool,
    /// Whom connections trust, and as whom they come.
    pub(crate) network: NetworkFlags,
    names: Option<PathBuf>,
    /// What a process that another application starts needs to find the same.
    pub(crate) carried: Carried,
    /// What a client of `proxy --listen` has to bring.
    pub(crate) proxy_token: Option<Secret<String>>,
}

impl Config {
    pub(crate) fn new(flags: &Global, environment: Environment) -> Result<Self, Failure> {
        let has_browser = environment.has_browser();
        let data_dir = flags.data_dir.clone();
        let data_dir = data_dir.or_else(|| environment.data_dir.clone().map(PathBuf::from));
        let usual = match &data_dir {
            Some(directory) => Some(directory.join("tokens")),
            None => SealedFiles::default_dir().ok(),
        };
        let (chosen, why) = place(flags, &environment, usual.as_deref())?;
        let without = Global {
            store: None,
            ..flags.clone()
        };
        let (otherwise, _) = place(&without, &environment, usual.as_deref())?;
        let carried = carried::carried(flags, &environment);
        let kept_password = match (environment.password_file, environment.password) {
            (Some(file), _) => Password::File(file.into()),
            (None, Some(password)) => Password::Given(text(PASSWORD, password)?),
            (None, None) => Password::Ask,
        };
        let typed_password = flags.password_file.clone();
        let password = match &typed_password {
            Some(file) => Password::File(file.clone()),
            None => kept_password.clone(),
        };
        let secret = |name, own: Option<OsString>| own.map(|own| text(name, own)).transpose();
        Ok(Self {
            place: chosen,
            why,
            otherwise,
            usual,
            password,
            typed_password,
            kept_password,
            client_secret: secret(CLIENT_SECRET, environment.client_secret)?,
            idp_client_secret: secret(IDP_CLIENT_SECRET, environment.idp_client_secret)?,
            vault: environment.vault,
            has_browser,
            network: flags.network.or(environment.certificates),
            carried,
            proxy_token: environment
                .proxy_token
                .map(|own| text(PROXY_TOKEN, own))
                .transpose()?,
            names: data_dir
                .or_else(default_names)
                .map(|directory| directory.join("servers.json")),
        })
    }

    /// A text in which `${NAME}` stands for a variable of the environment.
    pub(crate) fn with_variables(text: &str) -> Result<String, Failure> {
        let mut whole = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let Some((name, after)) = after.split_once('}') else {
                break;
            };
            whole.push_str(before);
            whole.push_str(text_of(name)?.expose());
            rest = after;
        }
        Ok(whole + rest)
    }

    /// The directory of what is remembered of servers that a proxy speaks for.
    pub(crate) fn remembered(&self) -> Option<PathBuf> {
        Some(self.names.as_ref()?.with_file_name("proxy"))
    }

    /// The file with the names of the servers.
    pub(crate) fn names(&self) -> Result<&Path, Failure> {
        self.names.as_deref().ok_or_else(|| {
            Failure::other(
                "config",
                "this system names no directory for configuration",
                Some("choose a place: --data-dir DIR".to_owned()),
            )
        })
    }
}

/// A flag goes before the environment, and what names a store before what names a directory; only
/// a place that the environment names gives way to a directory that is typed. Whichever kind of
/// sealed files is chosen, they are in the directory that is chosen, unless the store names one.
fn place(
    flags: &Global,
    environment: &Environment,
    usual: Option<&Path>,
) -> Result<(Place, &'static str), Failure> {
    if let Some(spec) = &flags.store {
        return Ok((Place::of_spec(spec, usual), "chosen by --store"));
    }
    let in_usual = Place::of_spec("auto", usual);
    if let Some(spec) = &environment.store {
        let spec = spec.to_str().ok_or_else(|| not_text("MCP_OAUTH_STORE"))?;
        return Ok(match flags.data_dir {
            Some(_) if Place::is_elsewhere(spec) => (in_usual, "chosen by --data-dir"),
            _ => (Place::of_spec(spec, usual), "chosen by MCP_OAUTH_STORE"),
        });
    }
    Ok(match (&flags.data_dir, &environment.data_dir) {
        (Some(_), _) => (in_usual, "chosen by --data-dir"),
        (None, Some(_)) => (in_usual, "chosen by MCP_OAUTH_DATA_DIR"),
        (None, None) => (in_usual, "the default: nothing else was chosen"),
    })
}

fn default_names() -> Option<PathBuf> {
    let base = etcetera::base_strategy::choose_native_strategy().ok()?;
    Some(base.config_dir().join("mcp-oauth"))
}

/// The value of a variable that holds a secret.
pub(crate) fn text(variable: &str, value: OsString) -> Result<Secret<String>, Failure> {
    value
        .into_string()
        .map(Secret::new)
        .map_err(|_| not_text(variable))
}

pub(crate) fn not_text(variable: &str) -> Failure {
    Failure::usage(
        format!("{variable} is not UTF-8 text"),
        format!("set {variable} again, or put the value into a file"),
    )
}

/// A variable that the person names.
fn text_of(name: &str) -> Result<Secret<String>, Failure> {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the place where the environment is read"
    )]
    let value = std::env::var_os(name).ok_or_else(|| {
        let name = mcp_client_oauth::proto::foreign::Foreign::new(name);
        Failure::usage(
            format!("the variable {name} is not set"),
            "set it, or leave it out",
        )
    })?;
    text(name, value)
}

/// Reads all of a secret.
pub(crate) fn read_whole_secret(
    mut source: impl std::io::Read,
    named: &Path,
) -> Result<Secret<String>, Failure> {
    use std::io::Read as _;
    let mut text = String::new();
    let read = source
        .by_ref()
        .take(LONGEST_SECRET)
        .read_to_string(&mut text);
    let text = Secret::new(text);
    read.map_err(|error| Failure::file("read", named, &error))?;
    Ok(text)
}

/// Reads a secret, to the first line break: editors add one.
pub(crate) fn read_secret(
    source: impl std::io::Read,
    named: &Path,
) -> Result<Secret<String>, Failure> {
    let text = read_whole_secret(source, named)?;
    let line = text.expose().lines().next().unwrap_or_default();
    if line.is_empty() {
        let message = format!("{} has no secret in its first line", named.display());
        return Err(Failure::usage(message, "write the secret there, alone"));
    }
    Ok(Secret::new(line.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(flags: &Global, environment: Environment) -> Config {
        Config::new(flags, environment).unwrap()
    }

    /// The place that is chosen, in short.
    fn chosen(store: &str, data_dir: &str, env_store: &str, env_data_dir: &str) -> String {
        let given = |value: &str| Some(value.to_owned()).filter(|value| !value.is_empty());
        let flags = Global {
            store: given(store),
            data_dir: given(data_dir).map(PathBuf::from),
            ..Global::default()
        };
        let environment = Environment {
            store: given(env_store).map(OsString::from),
            data_dir: given(env_data_dir).map(OsString::from),
            ..Environment::default()
        };
        match config(&flags, environment).place {
            Place::Files { key, directory } => {
                format!("{key:?} {}", directory.unwrap_or_default().display())
            }
            Place::Vault(rest) => format!("vault {rest}"),
            Place::Other(spec) => spec,
        }
    }

    #[test]
    fn what_is_secret_in_the_environment_is_known_to_be() {
        let own = [
            PASSWORD,
            CLIENT_SECRET,
            IDP_CLIENT_SECRET,
            PROXY_TOKEN,
            Variables::TOKEN,
            Variables::SECRET_ID,
        ];
        assert_eq!(own, mcp_client_oauth::platform::SECRET_VARIABLES);
    }

    #[test]
    fn a_flag_goes_before_the_environment() {
        assert_eq!(chosen("memory:", "", "file:/env", ""), "memory:");
        assert_eq!(chosen("file", "/flag", "", "/env"), "File /flag/tokens");
        assert_eq!(chosen("file:/a", "/flag", "", ""), "File /a");
        assert_eq!(chosen("", "/flag", "", "/env"), "Auto /flag/tokens");
    }

    #[test]
    fn a_directory_that_is_typed_goes_before_a_place_of_the_environment_but_not_its_kind() {
        for elsewhere in ["memory:", "file:/env", "vault:https://v.example"] {
            assert_eq!(chosen("", "/flag", elsewhere, ""), "Auto /flag/tokens");
        }
        assert_eq!(chosen("", "/flag", "keychain", ""), "Keychain /flag/tokens");
    }

    #[test]
    fn a_store_and_a_directory_can_be_chosen_by_the_environment() {
        assert_eq!(chosen("", "", "file:/tokens", "/data"), "File /tokens");
        assert_eq!(chosen("", "", "keychain", "/data"), "Keychain /data/tokens");
        assert_eq!(chosen("", "", "vault", "/data"), "vault ");
        let environment = Environment {
            data_dir: Some("/data".into()),
            ..Environment::default()
        };
        let config = config(&Global::default(), environment);
        assert_eq!(config.names().unwrap(), Path::new("/data/servers.json"));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_browser_is_opened_only_where_somebody_sees_it() {
        let environment = |display: bool, ssh: bool, browser: bool| Environment {
            display: display.then(|| ":0".into()),
            ssh: ssh.then(|| "1.2.3.4 5 6.7.8.9 22".into()),
            browser: browser.then(|| "firefox".into()),
            ..Environment::default()
        };
        assert!(environment(true, false, false).has_browser());
        assert!(!environment(false, false, false).has_browser());
        assert!(!environment(true, true, false).has_browser());
        assert!(environment(false, true, true).has_browser());
    }

    #[test]
    fn a_secret_is_the_first_line() {
        let read = |bytes: &[u8]| read_secret(bytes, Path::new("secret"));
        assert_eq!(read(b"one\n").unwrap().expose(), "one");
        assert_eq!(read(b" one two \r\nthree").unwrap().expose(), " one two ");
        assert!(read(b"").is_err() && read(b"\n").is_err() && read(b"\xff").is_err());
    }
}
