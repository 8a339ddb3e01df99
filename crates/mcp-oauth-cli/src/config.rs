//! What holds for this run: flags go before the environment, and that before defaults.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use etcetera::BaseStrategy as _;
use mcp_client_oauth::{Secret, store::EncryptedFileStore};

use crate::{
    args::{Global, NetworkFlags},
    error::Failure,
    store_spec::StoreLocation,
};

mod environment;
mod forwarded_env;
mod secrets;
mod vault;

pub(crate) use environment::{Environment, absolute_path};
pub(crate) use forwarded_env::ForwardedEnv;
pub(crate) use secrets::{read_secret, read_whole_secret};
pub(crate) use vault::Variables;

use environment::{CLIENT_SECRET, IDP_CLIENT_SECRET, PASSWORD, PROXY_TOKEN, text_of};
use secrets::{not_text, text};

/// Says where a password comes from.
#[derive(Clone)]
pub(crate) enum Password {
    /// The file that holds it.
    File(PathBuf),
    /// The environment.
    Given(Secret<String>),
    /// Nobody has given one: a person is asked, if one is needed.
    Ask,
}

/// Holds what holds for this run.
pub(crate) struct Config {
    pub(crate) place: StoreLocation,
    /// Says why there, in words.
    pub(crate) why: &'static str,
    /// Says where they would be kept without `--store`.
    pub(crate) otherwise: StoreLocation,
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
    /// Says which Vault, and as whom, if the place is one.
    pub(crate) vault: Variables,
    /// Says whether it makes sense to open a browser.
    pub(crate) has_browser: bool,
    /// Whom connections trust, and as whom they come.
    pub(crate) network: NetworkFlags,
    names: Option<PathBuf>,
    /// Holds what a process that another application starts needs to find the same.
    pub(crate) carried: ForwardedEnv,
    /// Holds what a client of `proxy --listen` has to bring.
    pub(crate) proxy_token: Option<Secret<String>>,
}

impl Config {
    pub(crate) fn new(flags: &Global, environment: Environment) -> Result<Self, Failure> {
        let has_browser = environment.has_browser();
        let data_dir = flags.data_dir.clone();
        let data_dir = data_dir.or_else(|| environment.data_dir.clone().map(PathBuf::from));
        let usual = match &data_dir {
            Some(directory) => Some(directory.join("tokens")),
            None => EncryptedFileStore::default_dir().ok(),
        };
        let (chosen, why) = place(flags, &environment, usual.as_deref())?;
        let without = Global {
            store: None,
            ..flags.clone()
        };
        let (otherwise, _) = place(&without, &environment, usual.as_deref())?;
        let carried = forwarded_env::carried(flags, &environment);
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

    /// Returns a text in which `${NAME}` stands for a variable of the environment.
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

    /// Returns the directory of what is remembered of servers that a proxy speaks for.
    pub(crate) fn remembered(&self) -> Option<PathBuf> {
        Some(self.names.as_ref()?.with_file_name("proxy"))
    }

    /// Returns the file with the names of the servers.
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

/// Returns a flag goes before the environment, and what names a store before what names a directory; only
/// a place that the environment names gives way to a directory that is typed. Whichever kind of
/// sealed files is chosen, they are in the directory that is chosen, unless the store names one.
fn place(
    flags: &Global,
    environment: &Environment,
    usual: Option<&Path>,
) -> Result<(StoreLocation, &'static str), Failure> {
    if let Some(spec) = &flags.store {
        return Ok((StoreLocation::of_spec(spec, usual), "chosen by --store"));
    }
    let in_usual = StoreLocation::of_spec("auto", usual);
    if let Some(spec) = &environment.store {
        let spec = spec.to_str().ok_or_else(|| not_text("MCP_OAUTH_STORE"))?;
        return Ok(match flags.data_dir {
            Some(_) if StoreLocation::is_elsewhere(spec) => (in_usual, "chosen by --data-dir"),
            _ => (
                StoreLocation::of_spec(spec, usual),
                "chosen by MCP_OAUTH_STORE",
            ),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn config(flags: &Global, environment: Environment) -> Config {
        Config::new(flags, environment).unwrap()
    }

    /// Returns the place that is chosen, in short.
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
            StoreLocation::Files { key, directory } => {
                format!("{key:?} {}", directory.unwrap_or_default().display())
            }
            StoreLocation::Vault(rest) => format!("vault {rest}"),
            StoreLocation::Other(spec) => spec,
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
}
