//! The configuration of a command: flags override the environment, and the environment overrides defaults.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use etcetera::BaseStrategy as _;
use mcp_client_oauth::Secret;
use mcp_oauth_store::EncryptedFileStore;

use crate::{
    args::{Global, NetworkFlags},
    error::Failure,
    store_spec::StoreLocation,
};

mod environment;
mod forwarded_env;
mod secrets;
mod vault;

pub(crate) use environment::{Environment, absolute_path, application_directory};
pub(crate) use forwarded_env::ForwardedEnv;
pub(crate) use secrets::{read_secret, read_whole_secret};
pub(crate) use vault::Variables;

use environment::{CLIENT_SECRET, IDP_CLIENT_SECRET, PASSWORD, PROXY_TOKEN, text_of};
use secrets::{not_text, text};

/// The source of a password.
#[derive(Clone)]
pub(crate) enum Password {
    /// A file that holds the password.
    File(PathBuf),
    /// The environment.
    Given(Secret<String>),
    /// None is given: the user is prompted, if one is needed.
    Ask,
}

/// The configuration of a command.
pub(crate) struct Config {
    pub(crate) store: StoreLocation,
    /// The setting that selected the store, as text.
    pub(crate) store_reason: &'static str,
    /// The store that is used without `--store`.
    pub(crate) configured_store: StoreLocation,
    /// The directory of encrypted files where none is named.
    pub(crate) default_directory: Option<PathBuf>,
    pub(crate) password: Password,
    /// The value of `--password-file`.
    pub(crate) typed_password: Option<PathBuf>,
    /// The password without `--password-file`.
    pub(crate) configured_password: Password,
    pub(crate) client_secret: Option<Secret<String>>,
    /// The client secret at the identity provider.
    pub(crate) idp_client_secret: Option<Secret<String>>,
    /// The address of the Vault and its credentials, for a store in Vault.
    pub(crate) vault: Variables,
    /// Says whether a browser can be opened here.
    pub(crate) has_browser: bool,
    /// Says whether the browser of the user runs on another machine.
    pub(crate) is_remote: bool,
    /// The certificates of connections.
    pub(crate) network: NetworkFlags,
    names: Option<PathBuf>,
    /// The configuration that a process of another application needs to use the same data.
    pub(crate) forwarded: ForwardedEnv,
    /// The token that a client of `proxy --listen` has to send.
    pub(crate) proxy_token: Option<Secret<String>>,
}

impl Config {
    pub(crate) fn new(flags: &Global, environment: Environment) -> Result<Self, Failure> {
        let has_browser = environment.has_browser();
        let is_remote = environment.is_remote();
        let data_dir = flags.data_dir.clone();
        let data_dir = data_dir.or_else(|| environment.data_dir.clone().map(PathBuf::from));
        let usual = match &data_dir {
            Some(directory) => Some(directory.join("tokens")),
            None => EncryptedFileStore::default_dir().ok(),
        };
        let (chosen, why) = store_location(flags, &environment, usual.as_deref())?;
        let without = Global {
            store: None,
            ..flags.clone()
        };
        let (otherwise, _) = store_location(&without, &environment, usual.as_deref())?;
        let forwarded = forwarded_env::forwarded(flags, &environment);
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
            store: chosen,
            store_reason: why,
            configured_store: otherwise,
            default_directory: usual,
            password,
            typed_password,
            configured_password: kept_password,
            client_secret: secret(CLIENT_SECRET, environment.client_secret)?,
            idp_client_secret: secret(IDP_CLIENT_SECRET, environment.idp_client_secret)?,
            vault: environment.vault,
            has_browser,
            is_remote,
            network: flags.network.or(environment.certificates),
            forwarded,
            proxy_token: environment
                .proxy_token
                .map(|own| text(PROXY_TOKEN, own))
                .transpose()?,
            names: data_dir
                .or_else(default_names)
                .map(|directory| directory.join("servers.json")),
        })
    }

    /// Replaces `${NAME}` in a text by the variable of the environment.
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

    /// Returns the directory of the files that proxies and `headers` store about their servers.
    pub(crate) fn proxy_directory(&self) -> Option<PathBuf> {
        Some(self.names.as_ref()?.with_file_name("proxy"))
    }

    /// Returns the file with the names of the servers.
    pub(crate) fn names_file(&self) -> Result<&Path, Failure> {
        self.names.as_deref().ok_or_else(|| {
            Failure::other(
                "config",
                "no configuration directory found; set --data-dir",
                Some("choose a directory: --data-dir DIR".to_owned()),
            )
        })
    }
}

/// Returns the store, and the setting that selected it. Flags override the environment, and a store overrides
/// a data directory; only a location in `MCP_OAUTH_STORE` is overridden by `--data-dir`. Encrypted files are
/// in the data directory, unless the store names another one.
fn store_location(
    flags: &Global,
    environment: &Environment,
    default_directory: Option<&Path>,
) -> Result<(StoreLocation, &'static str), Failure> {
    if let Some(spec) = &flags.store {
        return Ok((
            StoreLocation::parse(spec, default_directory),
            "set by --store",
        ));
    }
    let in_default = StoreLocation::parse("auto", default_directory);
    if let Some(spec) = &environment.store {
        let spec = spec.to_str().ok_or_else(|| not_text("MCP_OAUTH_STORE"))?;
        return Ok(match flags.data_dir {
            Some(_) if StoreLocation::names_location(spec) => (in_default, "set by --data-dir"),
            _ => (
                StoreLocation::parse(spec, default_directory),
                "set by MCP_OAUTH_STORE",
            ),
        });
    }
    Ok(match (&flags.data_dir, &environment.data_dir) {
        (Some(_), _) => (in_default, "set by --data-dir"),
        (None, Some(_)) => (in_default, "set by MCP_OAUTH_DATA_DIR"),
        (None, None) => (in_default, "the default"),
    })
}

fn default_names() -> Option<PathBuf> {
    let base = etcetera::base_strategy::choose_native_strategy().ok()?;
    Some(base.config_dir().join("mcp-oauth"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(flags: &Global, environment: Environment) -> Config {
        Config::new(flags, environment).unwrap()
    }

    /// Returns the selected store, in short.
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
        match config(&flags, environment).store {
            StoreLocation::Files { key, directory } => {
                format!("{key:?} {}", directory.unwrap_or_default().display())
            }
            StoreLocation::Vault(rest) => format!("vault {rest}"),
            StoreLocation::Other(spec) => spec,
        }
    }

    #[test]
    fn the_library_lists_every_secret_variable() {
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
    fn a_flag_overrides_the_environment() {
        assert_eq!(chosen("memory:", "", "file:/env", ""), "memory:");
        assert_eq!(chosen("file", "/flag", "", "/env"), "File /flag/tokens");
        assert_eq!(chosen("file:/a", "/flag", "", ""), "File /a");
        assert_eq!(chosen("", "/flag", "", "/env"), "Auto /flag/tokens");
    }

    #[test]
    fn a_typed_directory_overrides_the_location_in_the_environment_but_not_its_kind() {
        for location in ["memory:", "file:/env", "vault:https://v.example"] {
            assert_eq!(chosen("", "/flag", location, ""), "Auto /flag/tokens");
        }
        assert_eq!(chosen("", "/flag", "keychain", ""), "Keychain /flag/tokens");
    }

    #[test]
    fn the_environment_sets_the_store_and_the_directory() {
        assert_eq!(chosen("", "", "file:/tokens", "/data"), "File /tokens");
        assert_eq!(chosen("", "", "keychain", "/data"), "Keychain /data/tokens");
        assert_eq!(chosen("", "", "vault", "/data"), "vault ");
        let environment = Environment {
            data_dir: Some("/data".into()),
            ..Environment::default()
        };
        let config = config(&Global::default(), environment);
        assert_eq!(
            config.names_file().unwrap(),
            Path::new("/data/servers.json")
        );
    }
}
