//! The configuration that a process of another application needs to use the same data and the same network
//! as this process.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use super::environment::{
    CLIENT_SECRET, Environment, IDP_CLIENT_SECRET, NAMES_BASE, PASSWORD, TOKENS_BASE,
};
use crate::{
    args::Global,
    store_spec::{Key, StoreLocation},
};

/// The configuration to forward.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct ForwardedEnv {
    /// The flags for the settings of this process, which came from flags or from its environment.
    pub(crate) arguments: Vec<String>,
    /// The variables that the other process gets, with their values.
    pub(crate) environment: Vec<(&'static str, String)>,
    /// The variables that the other process needs and that hold secrets: their values are not written.
    pub(crate) variables: Vec<&'static str>,
    /// The variables of the desktop session that a browser needs, with their values. None over SSH, where they
    /// would name the screen of another machine.
    pub(crate) session: Vec<(&'static str, String)>,
    /// The flags and variables with a value that is not UTF-8, and so cannot be written to a file.
    pub(crate) lost: Vec<&'static str>,
}

/// Returns the configuration to forward, from the flags and the environment.
pub(super) fn forwarded(flags: &Global, environment: &Environment) -> ForwardedEnv {
    let network = flags.network.or(environment.certificates.clone());
    let (store, location) = store(flags, environment);
    let data_dir = file(flags.data_dir.as_ref(), environment.data_dir.as_ref());
    let password_file = file(
        flags.password_file.as_ref(),
        environment.password_file.as_ref(),
    );
    let takes_password = password_file.is_none() && takes_password(&location);
    let network = network.given();
    let network = network.map(|(flag, path)| (flag, Some(absolute(path))));
    let has_data_dir = data_dir.is_some();
    let chosen = [
        ("--store", store),
        ("--data-dir", data_dir),
        ("--password-file", password_file),
    ];
    let mut forwarded = ForwardedEnv {
        variables: variables(environment, &location, takes_password),
        session: session(environment),
        ..ForwardedEnv::default()
    };
    for (name, value) in &environment.by_value {
        if has_data_dir && [NAMES_BASE, TOKENS_BASE].contains(name) {
            continue;
        }
        match value.to_str() {
            Some(url) if has_credentials(url) => forwarded.variables.push(name),
            Some(value) => forwarded.environment.push((name, value.to_owned())),
            None => forwarded.lost.push(name),
        }
    }
    for (flag, value) in chosen.into_iter().chain(network) {
        match value.map(OsString::into_string) {
            Some(Ok(value)) => forwarded.arguments.extend([flag.to_owned(), value]),
            Some(Err(_)) => forwarded.lost.push(flag),
            None => {}
        }
    }
    forwarded
}

/// Returns the value for `--store`, and the location that it names. `--data-dir` overrides a location of the
/// environment.
fn store(flags: &Global, environment: &Environment) -> (Option<OsString>, StoreLocation) {
    let named = environment.store.as_ref().and_then(|spec| spec.to_str());
    let named =
        named.filter(|spec| flags.data_dir.is_none() || !StoreLocation::names_location(spec));
    let Some(spec) = flags.store.as_deref().or(named) else {
        return (None, StoreLocation::parse("auto", None));
    };
    let location = StoreLocation::parse(spec, None);
    let whole = match &location {
        StoreLocation::Vault(rest) => environment.vault.spec(rest).into(),
        StoreLocation::Files {
            directory: Some(directory),
            ..
        } => {
            let kind = spec.split(':').next().unwrap_or_default();
            let mut whole = OsString::from(format!("{kind}:"));
            whole.push(absolute(directory));
            whole
        }
        StoreLocation::Files { .. } | StoreLocation::Other(_) => spec.into(),
    };
    (Some(whole), location)
}

fn session(environment: &Environment) -> Vec<(&'static str, String)> {
    let set = environment.of_session.iter();
    let set = set.filter(|_| environment.ssh.is_none());
    set.filter_map(|(name, value)| Some((*name, value.to_str()?.to_owned())))
        .collect()
}

fn takes_password(location: &StoreLocation) -> bool {
    matches!(
        location,
        StoreLocation::Files {
            key: Key::Auto | Key::File,
            ..
        }
    )
}

fn file(typed: Option<&PathBuf>, named: Option<&OsString>) -> Option<OsString> {
    let path = typed.map(PathBuf::as_path);
    Some(absolute(path.or(named.map(Path::new))?))
}

/// Returns an absolute path: the other process has another working directory.
fn absolute(path: &Path) -> OsString {
    let whole = std::path::absolute(path);
    whole.unwrap_or_else(|_| path.to_owned()).into_os_string()
}

fn variables(
    environment: &Environment,
    location: &StoreLocation,
    takes_password: bool,
) -> Vec<&'static str> {
    let own = [
        (PASSWORD, environment.password.is_some() && takes_password),
        (CLIENT_SECRET, environment.client_secret.is_some()),
        (IDP_CLIENT_SECRET, environment.idp_client_secret.is_some()),
    ];
    let own = own
        .into_iter()
        .filter_map(|(name, is_set)| is_set.then_some(name));
    let is_vault = matches!(location, StoreLocation::Vault(_));
    let vault = environment.vault.names().into_iter().filter(|_| is_vault);
    own.chain(vault).collect()
}

/// Returns whether the text is a URL with a user or a password, as that of an HTTP proxy may be.
fn has_credentials(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|url| !url.username().is_empty() || url.password().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{args::NetworkFlags, config::vault::Variables};

    fn arguments(flags: &Global, environment: &Environment) -> String {
        forwarded(flags, environment).arguments.join(" ")
    }

    #[test]
    fn settings_of_the_environment_are_forwarded_as_flags() {
        let environment = Environment {
            store: Some("keychain".into()),
            data_dir: Some("/data".into()),
            password_file: Some("/password".into()),
            ..Environment::default()
        };
        assert_eq!(
            arguments(&Global::default(), &environment),
            "--store keychain --data-dir /data --password-file /password"
        );
        let typed = Global {
            store: Some("file:/tokens".to_owned()),
            ..Global::default()
        };
        let forwarded = arguments(&typed, &environment);
        assert!(
            forwarded.starts_with("--store file:/tokens "),
            "{forwarded}"
        );
    }

    #[test]
    fn a_typed_directory_overrides_the_store_of_the_environment_there_too() {
        let environment = Environment {
            store: Some("file:/elsewhere".into()),
            ..Environment::default()
        };
        let typed = Global {
            data_dir: Some("/typed".into()),
            ..Global::default()
        };
        assert_eq!(arguments(&typed, &environment), "--data-dir /typed");
    }

    #[test]
    fn the_base_directories_are_forwarded_unless_a_data_directory_is() {
        let environment = |data_dir: Option<&str>| Environment {
            data_dir: data_dir.map(OsString::from),
            by_value: vec![
                (NAMES_BASE, "/names".into()),
                (TOKENS_BASE, "/tokens".into()),
                ("XDG_RUNTIME_DIR", "/run".into()),
            ],
            ..Environment::default()
        };
        let names = |environment: &Environment| -> Vec<&str> {
            let forwarded = forwarded(&Global::default(), environment).environment;
            forwarded.into_iter().map(|(name, _)| name).collect()
        };
        let all = [NAMES_BASE, TOKENS_BASE, "XDG_RUNTIME_DIR"];
        assert_eq!(names(&environment(None)), all);
        assert_eq!(names(&environment(Some("/data"))), ["XDG_RUNTIME_DIR"]);
    }

    #[test]
    fn forwarded_paths_are_absolute() {
        let mut typed = Global {
            store: Some("file:tokens".to_owned()),
            ..Global::default()
        };
        typed.network.ca_cert = Some("ca.pem".into());
        let forwarded = forwarded(&typed, &Environment::default()).arguments;
        for path in [forwarded[1].strip_prefix("file:").unwrap(), &forwarded[3]] {
            assert!(Path::new(path).is_absolute(), "{forwarded:?}");
        }
    }

    fn vault(set: &[(&str, &str)]) -> Variables {
        Variables::read(|name| {
            let found = set.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn a_vault_is_forwarded_with_its_address_and_the_names_of_its_secrets() {
        let set = [
            ("VAULT_ADDR", "https://v.example:8200/"),
            ("VAULT_TOKEN", "planted"),
        ];
        let environment = Environment {
            store: Some("vault:/kv".into()),
            password: Some("planted".into()),
            client_secret: Some("planted".into()),
            by_value: vec![
                ("HTTPS_PROXY", "http://user:planted@proxy.example".into()),
                ("NO_PROXY", "localhost".into()),
            ],
            vault: vault(&set),
            ..Environment::default()
        };
        let forwarded = forwarded(&Global::default(), &environment);
        assert_eq!(
            forwarded.arguments,
            ["--store", "vault:https://v.example:8200/kv"]
        );
        assert_eq!(
            forwarded.variables,
            [CLIENT_SECRET, "VAULT_TOKEN", "HTTPS_PROXY"]
        );
        assert_eq!(
            forwarded.environment,
            [("NO_PROXY", "localhost".to_owned())]
        );
    }

    #[test]
    fn a_vault_address_with_a_path_is_forwarded_as_a_variable() {
        let environment = Environment {
            store: Some("vault".into()),
            vault: vault(&[("VAULT_ADDR", "https://v.example/behind")]),
            ..Environment::default()
        };
        let forwarded = forwarded(&Global::default(), &environment);
        assert_eq!(forwarded.arguments, ["--store", "vault:"]);
        assert_eq!(forwarded.variables, ["VAULT_ADDR"]);
    }

    #[test]
    fn a_password_variable_is_named_only_if_the_store_can_use_it() {
        let named = |store: &str, password_file: Option<&str>| {
            let environment = Environment {
                store: Some(store.into()).filter(|store: &OsString| !store.is_empty()),
                password: Some("planted".into()),
                password_file: password_file.map(OsString::from),
                ..Environment::default()
            };
            let forwarded = forwarded(&Global::default(), &environment);
            forwarded.variables.contains(&PASSWORD)
        };
        assert!(named("", None) && named("file:/tokens", None));
        assert!(!named("", Some("/password")));
        assert!(!named("keychain", None) && !named("memory:", None));
    }

    #[test]
    fn a_typed_certificate_is_not_combined_with_another_key() {
        let environment = Environment {
            certificates: NetworkFlags {
                ca_cert: Some("/ca".into()),
                client_cert: Some("/certificate".into()),
                client_key: Some("/key".into()),
            },
            ..Environment::default()
        };
        let mut typed = Global::default();
        assert_eq!(
            arguments(&typed, &environment),
            "--ca-cert /ca --client-cert /certificate --client-key /key"
        );
        typed.network.client_cert = Some("/both".into());
        assert_eq!(
            arguments(&typed, &environment),
            "--ca-cert /ca --client-cert /both"
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_path_that_is_not_utf8_is_reported_as_lost() {
        use std::os::unix::ffi::OsStringExt as _;
        let environment = Environment {
            data_dir: Some(OsString::from_vec(b"/\xff".to_vec())),
            ..Environment::default()
        };
        let forwarded = forwarded(&Global::default(), &environment);
        assert_eq!(forwarded.lost, ["--data-dir"]);
    }
}
