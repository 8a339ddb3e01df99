//! What a process that is started elsewhere, by another application, needs to find the same data and
//! the same network as this one.

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

/// Holds what goes along.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct ForwardedEnv {
    /// The flags that choose what this process has chosen, by flags or by its environment.
    pub(crate) arguments: Vec<String>,
    /// The variables that the other process gets, with their values.
    pub(crate) environment: Vec<(&'static str, String)>,
    /// The variables that are set here, matter there, and hold secrets: they are named and not
    /// written.
    pub(crate) variables: Vec<&'static str>,
    /// The flags and variables with a value that is no text, and so can be written nowhere.
    pub(crate) lost: Vec<&'static str>,
}

/// From what was typed, and what the environment adds.
pub(super) fn carried(flags: &Global, environment: &Environment) -> ForwardedEnv {
    let network = flags.network.or(environment.certificates.clone());
    let (store, place) = store(flags, environment);
    let data_dir = file(flags.data_dir.as_ref(), environment.data_dir.as_ref());
    let password_file = file(
        flags.password_file.as_ref(),
        environment.password_file.as_ref(),
    );
    let takes_password = password_file.is_none() && takes_password(&place);
    let network = network.given();
    let network = network.map(|(flag, path)| (flag, Some(absolute(path))));
    let has_data_dir = data_dir.is_some();
    let chosen = [
        ("--store", store),
        ("--data-dir", data_dir),
        ("--password-file", password_file),
    ];
    let mut carried = ForwardedEnv {
        variables: variables(environment, &place, takes_password),
        ..ForwardedEnv::default()
    };
    for (name, value) in &environment.by_value {
        if has_data_dir && [NAMES_BASE, TOKENS_BASE].contains(name) {
            continue;
        }
        match value.to_str() {
            Some(url) if has_credentials(url) => carried.variables.push(name),
            Some(value) => carried.environment.push((name, value.to_owned())),
            None => carried.lost.push(name),
        }
    }
    for (flag, value) in chosen.into_iter().chain(network) {
        match value.map(OsString::into_string) {
            Some(Ok(value)) => carried.arguments.extend([flag.to_owned(), value]),
            Some(Err(_)) => carried.lost.push(flag),
            None => {}
        }
    }
    carried
}

/// Returns what says where the tokens are, and where that is. A directory that is typed goes before a place
/// that the environment names.
fn store(flags: &Global, environment: &Environment) -> (Option<OsString>, StoreLocation) {
    let named = environment.store.as_ref().and_then(|spec| spec.to_str());
    let named = named.filter(|spec| flags.data_dir.is_none() || !StoreLocation::is_elsewhere(spec));
    let Some(spec) = flags.store.as_deref().or(named) else {
        return (None, StoreLocation::of_spec("auto", None));
    };
    let place = StoreLocation::of_spec(spec, None);
    let whole = match &place {
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
    (Some(whole), place)
}

fn takes_password(place: &StoreLocation) -> bool {
    matches!(
        place,
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

/// Returns the other process is in another directory.
fn absolute(path: &Path) -> OsString {
    let whole = std::path::absolute(path);
    whole.unwrap_or_else(|_| path.to_owned()).into_os_string()
}

fn variables(
    environment: &Environment,
    place: &StoreLocation,
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
    let is_vault = matches!(place, StoreLocation::Vault(_));
    let vault = environment.vault.names().into_iter().filter(|_| is_vault);
    own.chain(vault).collect()
}

/// Returns whether it is a URL with a user or a password, as that of an HTTP proxy may be.
fn has_credentials(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|url| !url.username().is_empty() || url.password().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{args::NetworkFlags, config::vault::Variables};

    fn arguments(flags: &Global, environment: &Environment) -> String {
        carried(flags, environment).arguments.join(" ")
    }

    #[test]
    fn what_the_environment_chooses_is_carried_as_flags() {
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
        let carried = arguments(&typed, &environment);
        assert!(carried.starts_with("--store file:/tokens "), "{carried}");
    }

    #[test]
    fn a_directory_that_was_typed_is_not_overruled_there_either() {
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
    fn the_base_directories_go_along_where_no_data_directory_does() {
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
            let carried = carried(&Global::default(), environment).environment;
            carried.into_iter().map(|(name, _)| name).collect()
        };
        let all = [NAMES_BASE, TOKENS_BASE, "XDG_RUNTIME_DIR"];
        assert_eq!(names(&environment(None)), all);
        assert_eq!(names(&environment(Some("/data"))), ["XDG_RUNTIME_DIR"]);
    }

    #[test]
    fn paths_are_whole() {
        let mut typed = Global {
            store: Some("file:tokens".to_owned()),
            ..Global::default()
        };
        typed.network.ca_cert = Some("ca.pem".into());
        let carried = carried(&typed, &Environment::default()).arguments;
        for place in [carried[1].strip_prefix("file:").unwrap(), &carried[3]] {
            assert!(Path::new(place).is_absolute(), "{carried:?}");
        }
    }

    fn vault(set: &[(&str, &str)]) -> Variables {
        Variables::read(|name| {
            let found = set.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn a_vault_is_carried_with_its_address_and_its_secrets_are_named() {
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
        let carried = carried(&Global::default(), &environment);
        assert_eq!(
            carried.arguments,
            ["--store", "vault:https://v.example:8200/kv"]
        );
        assert_eq!(
            carried.variables,
            [CLIENT_SECRET, "VAULT_TOKEN", "HTTPS_PROXY"]
        );
        assert_eq!(carried.environment, [("NO_PROXY", "localhost".to_owned())]);
    }

    #[test]
    fn an_address_that_would_be_read_otherwise_stays_a_variable() {
        let environment = Environment {
            store: Some("vault".into()),
            vault: vault(&[("VAULT_ADDR", "https://v.example/behind")]),
            ..Environment::default()
        };
        let carried = carried(&Global::default(), &environment);
        assert_eq!(carried.arguments, ["--store", "vault:"]);
        assert_eq!(carried.variables, ["VAULT_ADDR"]);
    }

    #[test]
    fn a_password_is_named_where_one_is_of_use() {
        let named = |store: &str, password_file: Option<&str>| {
            let environment = Environment {
                store: Some(store.into()).filter(|store: &OsString| !store.is_empty()),
                password: Some("planted".into()),
                password_file: password_file.map(OsString::from),
                ..Environment::default()
            };
            let carried = carried(&Global::default(), &environment);
            carried.variables.contains(&PASSWORD)
        };
        assert!(named("", None) && named("file:/tokens", None));
        assert!(!named("", Some("/password")));
        assert!(!named("keychain", None) && !named("memory:", None));
    }

    #[test]
    fn a_certificate_that_is_typed_goes_with_its_own_key() {
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
    fn a_path_that_is_no_text_is_not_left_out_in_silence() {
        use std::os::unix::ffi::OsStringExt as _;
        let environment = Environment {
            data_dir: Some(OsString::from_vec(b"/\xff".to_vec())),
            ..Environment::default()
        };
        let carried = carried(&Global::default(), &environment);
        assert_eq!(carried.lost, ["--data-dir"]);
    }
}
