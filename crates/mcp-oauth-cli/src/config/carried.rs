//! What a process that is started elsewhere, by another application, needs to find the same data and
//! the same network as this one.

use std::path::{Path, PathBuf};

use super::{CLIENT_SECRET, Environment, IDP_CLIENT_SECRET, PASSWORD, TRUST_RECORDS};
use crate::{args::Global, place::Place};

/// Variables that other libraries read: they decide by whom a connection goes, and whom it trusts.
pub(super) const OF_THE_NETWORK: [&str; 8] = [
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

/// What goes along.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Carried {
    /// The flags that choose what this process has chosen, by flags or by its environment.
    pub(crate) arguments: Vec<String>,
    /// The variables that are set here and matter there: secrets, and what has no flag.
    pub(crate) variables: Vec<&'static str>,
}

/// From what was typed, and what the environment adds.
pub(super) fn carried(flags: &Global, environment: &Environment) -> Carried {
    let store = store(flags, environment);
    let network = &flags.network;
    let arguments = [
        ("--store", store.clone()),
        (
            "--data-dir",
            file(flags.data_dir.as_ref(), environment.data_dir.as_ref()),
        ),
        (
            "--password-file",
            file(
                flags.password_file.as_ref(),
                environment.password_file.as_ref(),
            ),
        ),
        ("--ca-cert", file(network.ca_cert.as_ref(), None)),
        ("--client-cert", file(network.client_cert.as_ref(), None)),
        ("--client-key", file(network.client_key.as_ref(), None)),
    ];
    let typed = arguments
        .into_iter()
        .filter_map(|(flag, value)| Some([flag.to_owned(), value?]));
    Carried {
        arguments: typed.flatten().collect(),
        variables: variables(environment, store.as_deref()),
    }
}

/// A directory that is typed goes before a place that the environment names.
fn store(flags: &Global, environment: &Environment) -> Option<String> {
    let named = environment.store.as_ref().and_then(|spec| spec.to_str());
    let named = named.filter(|spec| flags.data_dir.is_none() || !Place::is_elsewhere(spec));
    let spec = flags.store.as_deref().or(named)?;
    Some(match Place::of_spec(spec, None) {
        Place::Vault(rest) => environment.vault.spec(&rest),
        Place::Files {
            directory: Some(directory),
            ..
        } => {
            let kind = spec.split(':').next().unwrap_or_default();
            format!("{kind}:{}", absolute(&directory)?)
        }
        Place::Files { .. } | Place::Other(_) => spec.to_owned(),
    })
}

fn file(typed: Option<&PathBuf>, named: Option<&std::ffi::OsString>) -> Option<String> {
    let path = typed.map(PathBuf::as_path);
    absolute(path.or(named.map(Path::new))?)
}

/// The other process is in another directory.
fn absolute(path: &Path) -> Option<String> {
    let path = std::path::absolute(path).ok()?;
    path.to_str().map(str::to_owned)
}

fn variables(environment: &Environment, store: Option<&str>) -> Vec<&'static str> {
    let is_vault = store.is_some_and(|spec| matches!(Place::of_spec(spec, None), Place::Vault(_)));
    let own = [
        (PASSWORD, environment.password.is_some() && !is_vault),
        (CLIENT_SECRET, environment.client_secret.is_some()),
        (IDP_CLIENT_SECRET, environment.idp_client_secret.is_some()),
        (TRUST_RECORDS, environment.trust_records.is_some()),
    ];
    let own = own
        .into_iter()
        .filter_map(|(name, is_set)| is_set.then_some(name));
    let vault = environment.vault.names().into_iter().filter(|_| is_vault);
    own.chain(vault)
        .chain(environment.network.iter().copied())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::vault::Variables;

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
            network: vec!["HTTPS_PROXY"],
            vault: Variables::read(|name| {
                let found = set.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| OsString::from(value))
            }),
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
    }
}
