//! The options of a Vault: its address, the auth method, and the path of the records.

use std::{fmt, path::PathBuf, sync::Arc};

use etcetera::BaseStrategy as _;
use mcp_client_oauth::{Secret, error::TokenStorageError, platform::AddressSpace};
use url::{ParseError, Url};

use crate::error::VaultError;

/// The default path of the records.
const MOUNT: &str = "secret";
const PREFIX: &str = "mcp-oauth";
/// The default mount of AppRole.
const APPROLE: &str = "approle";
/// The file with the token of the `vault` command, in the home directory.
const TOKEN_FILE: &str = ".vault-token";

/// The address of a Vault or OpenBao, the auth method, and the path of the records. Nothing is read from the
/// environment.
///
/// ```
/// use mcp_client_oauth::{Secret};
/// use mcp_oauth_vault::{VaultAuth, VaultOptions};
///
/// let auth = VaultAuth::app_role("my-role-id", Secret::new("my-secret-id".to_owned()));
/// let mut options = VaultOptions::new("https://vault.example:8200".parse()?, auth);
/// options.mount = "team/kv".to_owned();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct VaultOptions {
    /// Its URL: https, or http on loopback.
    pub address: Url,
    /// The auth method.
    pub auth: VaultAuth,
    /// The namespace of the mount and the auth method, for servers that have namespaces.
    pub namespace: Option<String>,
    /// The mount of the KV version 2 engine: `secret` by default.
    pub mount: String,
    /// The start of all paths in that engine: `mcp-oauth` by default.
    pub prefix: String,
    /// A PEM file with the only certificate authorities to trust, instead of those of the platform.
    pub ca_bundle: Option<PathBuf>,
}

/// An auth method of Vault.
#[derive(Clone)]
#[non_exhaustive]
pub enum VaultAuth {
    /// A token. It is renewed as long as possible.
    Token(Secret<String>),
    /// A token in a file, which is read again when the token is refused: an agent may have written another
    /// one.
    TokenFile(PathBuf),
    /// The AppRole method, for services: the login is repeated when its token is refused.
    AppRole {
        /// The role ID.
        role_id: String,
        /// The secret ID.
        secret_id: Secret<String>,
        /// The mount of the method.
        mount: String,
    },
}

impl VaultAuth {
    /// Returns AppRole at its default mount, `approle`.
    pub fn app_role(role_id: impl Into<String>, secret_id: Secret<String>) -> Self {
        Self::AppRole {
            role_id: role_id.into(),
            secret_id,
            mount: APPROLE.to_owned(),
        }
    }

    /// Returns the file in the home directory where `vault login` stores its token.
    ///
    /// # Errors
    /// [`TokenStorageError::NoDirectory`] if the user has no home.
    pub fn default_token_file() -> Result<Self, TokenStorageError> {
        let base = etcetera::base_strategy::choose_native_strategy()
            .map_err(|_| TokenStorageError::NoDirectory)?;
        Ok(Self::TokenFile(base.home_dir().join(TOKEN_FILE)))
    }
}

impl fmt::Debug for VaultAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(_) => f.write_str("Token([redacted])"),
            Self::TokenFile(path) => f.debug_tuple("TokenFile").field(path).finish(),
            Self::AppRole { mount, .. } => f
                .debug_struct("AppRole")
                .field("mount", mount)
                .finish_non_exhaustive(),
        }
    }
}

impl VaultOptions {
    /// Returns the options of the Vault at `address`, with the default mount and prefix.
    pub fn new(address: Url, auth: VaultAuth) -> Self {
        Self {
            address,
            auth,
            namespace: None,
            mount: MOUNT.to_owned(),
            prefix: PREFIX.to_owned(),
            ca_bundle: None,
        }
    }

    /// Parses the text after `vault:` in a store spec: `https://host:8200/mount/prefix`, where the mount and
    /// the prefix are optional.
    pub(crate) fn from_spec(spec: &str, auth: VaultAuth) -> Result<Self, TokenStorageError> {
        let mut address: Url =
            spec.parse()
                .map_err(|source: ParseError| TokenStorageError::Backend {
                    location: "the vault token store failed".to_owned(),
                    source: Arc::new(source),
                    is_temporary: false,
                })?;
        let path = address.path().to_owned();
        address.set_path("");
        Ok(Self::new(address, auth).at(&path))
    }

    /// Sets the mount and the prefix from `path`: `MOUNT/PREFIX`. A missing part is not changed.
    #[must_use]
    pub fn at(mut self, path: &str) -> Self {
        let path = path.trim_matches('/');
        let (mount, prefix) = path.split_once('/').unwrap_or((path, ""));
        for (part, option) in [(mount, &mut self.mount), (prefix, &mut self.prefix)] {
            if !part.is_empty() {
                part.clone_into(option);
            }
        }
        self
    }

    /// Refuses options that could send tokens unencrypted, or requests to other paths than those of the
    /// options.
    pub(super) fn check(&self) -> Result<(), TokenStorageError> {
        let mut address = without_query(&self.address);
        // A password in the URL is not shown; both calls fail only for a URL that cannot have one.
        let _ = address.set_username("");
        let _ = address.set_password(None);
        let fault = |cause: VaultError| cause.at(&address);
        if let Err(unsafe_url) = AddressSpace::Loopback.check_url(&self.address) {
            return Err(fault(VaultError::Address(unsafe_url)));
        }
        let mut paths = vec![&self.mount, &self.prefix];
        if let VaultAuth::AppRole { mount, .. } = &self.auth {
            paths.push(mount);
        }
        let is_odd = |segment: &str| matches!(segment, "" | "." | "..");
        match paths.into_iter().find(|path| path.split('/').any(is_odd)) {
            Some(odd) => Err(fault(VaultError::Path(odd.clone()))),
            None => Ok(()),
        }
    }
}

/// Returns `address` without its query and fragment, for requests and errors: they may hold a secret.
pub(crate) fn without_query(address: &Url) -> Url {
    let mut address = address.clone();
    address.set_query(None);
    address.set_fragment(None);
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(text: &str) -> Result<VaultOptions, TokenStorageError> {
        let options = VaultOptions::from_spec(text, VaultAuth::TokenFile("token".into()))?;
        options.check().map(|()| options)
    }

    #[test]
    fn a_spec_names_address_mount_and_prefix() {
        for (text, mount, prefix) in [
            ("https://vault.example:8200", "secret", "mcp-oauth"),
            ("https://vault.example:8200/", "secret", "mcp-oauth"),
            ("https://vault.example:8200/kv", "kv", "mcp-oauth"),
            ("https://vault.example:8200/kv/a/b/", "kv", "a/b"),
        ] {
            let options = spec(text).unwrap();
            assert_eq!(options.address.as_str(), "https://vault.example:8200/");
            assert_eq!((&*options.mount, &*options.prefix), (mount, prefix));
        }
    }

    #[test]
    fn an_address_that_sends_tokens_unencrypted_is_refused() {
        for text in [
            "http://vault.example:8200",
            "https://root:hunter2@vault.example",
            "ftp://vault.example",
        ] {
            let error = spec(text).unwrap_err().to_string();
            assert!(error.contains("https"), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        assert!(spec("http://127.0.0.1:8200").is_ok());
        assert!(spec("").is_err());
    }

    #[test]
    fn a_path_that_leads_elsewhere_is_refused() {
        for odd in ["", "a//b", "..", "a/../../sys", "."] {
            let mut options = spec("https://vault.example").unwrap();
            odd.clone_into(&mut options.prefix);
            let error = options.check().unwrap_err();
            assert!(error.to_string().contains("plain segments"), "{error}");
        }
    }

    #[test]
    fn options_are_printed_without_their_secrets() {
        let secret = || Secret::new("planted".to_owned());
        for auth in [
            VaultAuth::Token(secret()),
            VaultAuth::app_role("planted", secret()),
        ] {
            let options = VaultOptions::new("https://vault.example".parse().unwrap(), auth);
            assert!(!format!("{options:?}").contains("planted"));
        }
    }
}
