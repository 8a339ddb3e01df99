//! The address, credentials and path of a store in Vault: `vault:…` and the variables of `vault`.

use std::ffi::OsString;

use mcp_oauth_vault::{VaultAuth, VaultOptions};
use url::Url;

use super::secrets::{not_text, text};
use crate::error::Failure;

/// The variables about Vault. They are checked only when a Vault is used.
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

    /// Returns `vault:rest` with the address in it, if it is known and has no path.
    pub(crate) fn spec(&self, rest: &str) -> String {
        match self.bare_address() {
            Some(address) if rest.is_empty() || rest.starts_with('/') => {
                format!("vault:{}{rest}", address.trim_end_matches('/'))
            }
            _ => format!("vault:{rest}"),
        }
    }

    /// Returns the address, if it has no path: in `vault:…` a path is the mount.
    fn bare_address(&self) -> Option<&str> {
        let address = self.address.as_ref()?.to_str()?;
        let url = Url::parse(address).ok()?;
        (url.path() == "/").then_some(address)
    }

    /// Returns the names of the variables that are set, without an address that `spec` returns.
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

    /// Returns whether the environment has the address of a Vault.
    pub(crate) fn has_address(&self) -> bool {
        self.address.is_some()
    }

    /// Returns the Vault of `vault:rest`: `https://host:8200/mount/prefix`, or `/mount/prefix` in the Vault
    /// of the environment; mount and prefix may be missing.
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
                "no Vault address configured",
                "export VAULT_ADDR=https://HOST:8200, or use --store vault:https://HOST:8200",
            )),
        }
    }

    /// Returns the credentials. A token overrides AppRole, and the environment overrides the file that
    /// `vault login` writes in the home directory.
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
                "VAULT_ROLE_ID and VAULT_SECRET_ID are needed together, and one of them is missing",
                "set both; or unset both, and export VAULT_TOKEN=… or run vault login",
            )),
        }
    }
}

fn known(name: &str, value: Option<&OsString>) -> Result<Option<String>, Failure> {
    let text = value.map(|value| value.to_str().ok_or_else(|| not_text(name)));
    Ok(text.transpose()?.map(str::to_owned))
}

/// Parses an address. The message does not repeat it: it may have a password (CWE-532).
fn parse(address: &str) -> Result<Url, Failure> {
    address.parse().map_err(|error| {
        Failure::usage(
            format!("the address of the Vault is not a URL: {error}"),
            "use an address such as https://HOST:8200",
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
    fn a_spec_overrides_the_address_of_the_environment() {
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
                    // The back end refuses it, with its own message.
                    options.address.scheme() == "v.example"
                })
        );
    }

    #[test]
    fn a_token_overrides_a_role_and_a_role_overrides_a_file() {
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
    fn the_namespace_and_the_ca_bundle_are_taken_from_the_environment() {
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
    fn an_invalid_address_is_not_in_the_message() {
        let failure = variables(&[])
            .options("https://root:planted@[")
            .unwrap_err();
        assert!(!failure.render(None).message.contains("planted"));
    }
}
