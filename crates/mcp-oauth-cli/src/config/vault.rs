//! Which Vault, as whom, and where in it: `vault:…` and the variables that the command `vault` has.

use std::ffi::OsString;

use mcp_client_oauth::store::{VaultAuth, VaultOptions};
use url::Url;

use super::secrets::{not_text, text};
use crate::error::Failure;

/// Holds what is known of a Vault from the environment. Nothing of it is looked at before it is needed.
#[derive(Default)]
pub(crate) struct Variables {
    address: Option<OsString>,
    namespace: Option<OsString>,
    ca_bundle: Option<OsString>,
    token: Option<OsString>,
    token_file: Option<OsString>,
    role_id: Option<OsString>,
    secret_id: Option<OsString>,
}

impl Variables {
    pub(crate) const ADDRESS: &str = "VAULT_ADDR";
    pub(crate) const TOKEN: &str = "VAULT_TOKEN";
    pub(crate) const SECRET_ID: &str = "VAULT_SECRET_ID";
    const ROLE_ID: &str = "VAULT_ROLE_ID";
    const NAMESPACE: &str = "VAULT_NAMESPACE";
    const CA_BUNDLE: &str = "VAULT_CACERT";
    const TOKEN_FILE: &str = "MCP_OAUTH_VAULT_TOKEN_FILE";

    pub(crate) fn read(read: impl Fn(&str) -> Option<OsString>) -> Self {
        Self {
            address: read(Self::ADDRESS),
            namespace: read(Self::NAMESPACE),
            ca_bundle: read(Self::CA_BUNDLE),
            token: read(Self::TOKEN),
            token_file: read(Self::TOKEN_FILE),
            role_id: read(Self::ROLE_ID),
            secret_id: read(Self::SECRET_ID),
        }
    }

    /// `vault:rest` with the address in it, if it is known and can stand there.
    pub(crate) fn spec(&self, rest: &str) -> String {
        match self.bare_address() {
            Some(address) if rest.is_empty() || rest.starts_with('/') => {
                format!("vault:{}{rest}", address.trim_end_matches('/'))
            }
            _ => format!("vault:{rest}"),
        }
    }

    /// Returns the address, if it has no path of its own: in `vault:…` that would be the mount.
    fn bare_address(&self) -> Option<&str> {
        let address = self.address.as_ref()?.to_str()?;
        let url = Url::parse(address).ok()?;
        (url.path() == "/").then_some(address)
    }

    /// Returns the names of those that are set, but for an address that stands in what `spec` gives.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        let whole_address = self.address.as_ref();
        let whole_address = whole_address.filter(|_| self.bare_address().is_none());
        let set = [
            (Self::ADDRESS, whole_address),
            (Self::NAMESPACE, self.namespace.as_ref()),
            (Self::CA_BUNDLE, self.ca_bundle.as_ref()),
            (Self::TOKEN, self.token.as_ref()),
            (Self::TOKEN_FILE, self.token_file.as_ref()),
            (Self::ROLE_ID, self.role_id.as_ref()),
            (Self::SECRET_ID, self.secret_id.as_ref()),
        ];
        let set = set.into_iter().filter(|(_, value)| value.is_some());
        set.map(|(name, _)| name).collect()
    }

    /// Returns whether they name a Vault.
    pub(crate) fn name_one(&self) -> bool {
        self.address.is_some()
    }

    /// Returns the Vault that `vault:rest` means: `https://host:8200/mount/prefix`, or `/mount/prefix` in
    /// the Vault that the environment names; mount and prefix may be missing.
    pub(crate) fn options(&self, rest: &str) -> Result<VaultOptions, Failure> {
        let (address, path) = if rest.is_empty() || rest.starts_with('/') {
            (self.address()?, rest.to_owned())
        } else {
            let mut address = parse(rest)?;
            let path = address.path().to_owned();
            address.set_path("");
            (address, path)
        };
        let mut options = VaultOptions::new(address, self.auth()?).at(&path);
        options.namespace = known(Self::NAMESPACE, self.namespace.as_ref())?;
        options.ca_bundle = self.ca_bundle.clone().map(Into::into);
        Ok(options)
    }

    fn address(&self) -> Result<Url, Failure> {
        match known(Self::ADDRESS, self.address.as_ref())? {
            Some(address) => parse(&address),
            None => Err(Failure::usage(
                "which Vault is not said",
                "export VAULT_ADDR=https://HOST:8200, or name it: --store vault:https://HOST:8200",
            )),
        }
    }

    /// Returns a token goes before a login by role, and what the environment names before the file that
    /// `vault login` leaves in the home directory.
    fn auth(&self) -> Result<VaultAuth, Failure> {
        if let Some(token) = &self.token {
            return Ok(VaultAuth::Token(text(Self::TOKEN, token.clone())?));
        }
        let role_id = known(Self::ROLE_ID, self.role_id.as_ref())?;
        match (role_id, &self.secret_id, &self.token_file) {
            (Some(role_id), Some(secret_id), _) => {
                let secret_id = text(Self::SECRET_ID, secret_id.clone())?;
                Ok(VaultAuth::app_role(role_id, secret_id))
            }
            (None, None, Some(file)) => Ok(VaultAuth::TokenFile(file.into())),
            (None, None, None) => Ok(VaultAuth::default_token_file()?),
            _ => Err(Failure::usage(
                "VAULT_ROLE_ID and VAULT_SECRET_ID belong together, and one of them is missing",
                "set both, or neither: then `export VAULT_TOKEN=…`, or `vault login`",
            )),
        }
    }
}

fn known(name: &str, value: Option<&OsString>) -> Result<Option<String>, Failure> {
    let text = value.map(|value| value.to_str().ok_or_else(|| not_text(name)));
    Ok(text.transpose()?.map(str::to_owned))
}

/// It is not repeated: there may be a password in it (H168).
fn parse(address: &str) -> Result<Url, Failure> {
    address.parse().map_err(|error| {
        Failure::usage(
            format!("the address of the Vault is no URL: {error}"),
            "it looks like https://HOST:8200",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the variables of the environment, as `NAME=value`.
    fn variables(set: &[(&str, &str)]) -> Variables {
        Variables::read(|name| {
            let found = set.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        })
    }

    const ADDRESS: (&str, &str) = ("VAULT_ADDR", "https://env.example:8200");

    #[test]
    fn a_spec_names_what_the_environment_does_not() {
        for (rest, address, mount, prefix) in [
            ("", "https://env.example:8200/", "secret", "mcp-oauth"),
            ("/kv", "https://env.example:8200/", "kv", "mcp-oauth"),
            ("/kv/a/b", "https://env.example:8200/", "kv", "a/b"),
            (
                "https://v.example",
                "https://v.example/",
                "secret",
                "mcp-oauth",
            ),
            (
                "https://v.example/kv/a/b/",
                "https://v.example/",
                "kv",
                "a/b",
            ),
        ] {
            let options = variables(&[ADDRESS]).options(rest).unwrap();
            assert_eq!(options.address.as_str(), address, "{rest}");
            assert_eq!((&*options.mount, &*options.prefix), (mount, prefix));
        }
        assert!(variables(&[]).options("").is_err());
        assert!(
            variables(&[])
                .options("v.example:8200")
                .is_ok_and(|options| {
                    // The back end refuses it, with its own words.
                    options.address.scheme() == "v.example"
                })
        );
    }

    #[test]
    fn a_token_goes_before_a_role_and_a_role_before_a_file() {
        let auth = |set: &[(&str, &str)]| {
            let set = [&[ADDRESS], set].concat();
            let options = variables(&set).options("");
            options.map(|options| format!("{:?}", options.auth))
        };
        let token = ("VAULT_TOKEN", "planted");
        let role = [("VAULT_ROLE_ID", "r"), ("VAULT_SECRET_ID", "planted")];
        let file = ("MCP_OAUTH_VAULT_TOKEN_FILE", "/token");
        for (set, is) in [
            (&[token, role[0], role[1], file][..], "Token("),
            (&[role[0], role[1]], "AppRole"),
            (&[file], r#"TokenFile("/token")"#),
            (&[], ".vault-token"),
        ] {
            let auth = auth(set).unwrap();
            assert!(auth.contains(is) && !auth.contains("planted"), "{auth}");
        }
        for lonely in role {
            assert!(auth(&[lonely]).is_err(), "{lonely:?}");
            assert!(auth(&[lonely, file]).is_err(), "{lonely:?}");
        }
    }

    #[test]
    fn the_rest_of_the_environment_is_heeded() {
        let set = [
            ADDRESS,
            ("VAULT_NAMESPACE", "team"),
            ("VAULT_CACERT", "/ca.pem"),
        ];
        let options = variables(&set).options("").unwrap();
        assert_eq!(options.namespace.as_deref(), Some("team"));
        assert_eq!(options.ca_bundle, Some("/ca.pem".into()));
    }

    #[test]
    fn an_address_that_is_no_url_is_not_repeated() {
        let told = variables(&[])
            .options("https://root:planted@[")
            .unwrap_err();
        assert!(!told.told(None).message.contains("planted"));
    }
}
