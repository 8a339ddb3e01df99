//! The environment variables. They are read only here.

use std::{ffi::OsString, path::PathBuf};

use mcp_client_oauth::Secret;

use super::{secrets::text, vault::Variables};
use crate::{args::NetworkFlags, error::Failure};

pub(super) const PASSWORD: &str = "MCP_OAUTH_PASSWORD";
pub(super) const PROXY_TOKEN: &str = "MCP_OAUTH_PROXY_TOKEN";
pub(super) const CLIENT_SECRET: &str = "MCP_OAUTH_CLIENT_SECRET";
pub(super) const IDP_CLIENT_SECRET: &str = "MCP_OAUTH_IDP_CLIENT_SECRET";

/// Variables without a flag and with values that are no secrets, so that they can be written to a file. Some
/// applications forward little more than `HOME` and `PATH`.
pub(super) const BY_VALUE: [&str; 12] = [
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    NAMES_BASE,
    TOKENS_BASE,
    "XDG_RUNTIME_DIR",
    "DBUS_SESSION_BUS_ADDRESS",
];

/// The variables that a browser of the user needs. They belong to a desktop session.
const OF_SESSION: [&str; 4] = ["BROWSER", "DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY"];

/// The base directory of the names, unless a data directory is set.
pub(super) const NAMES_BASE: &str = "XDG_CONFIG_HOME";

/// The base directory of the tokens, unless a data directory is set.
pub(super) const TOKENS_BASE: &str = "XDG_DATA_HOME";

/// The variables that this command uses.
#[derive(Default)]
pub(crate) struct Environment {
    pub(super) store: Option<OsString>,
    pub(super) data_dir: Option<OsString>,
    pub(super) password: Option<OsString>,
    pub(super) password_file: Option<OsString>,
    pub(super) client_secret: Option<OsString>,
    pub(super) idp_client_secret: Option<OsString>,
    pub(super) vault: Variables,
    pub(super) browser: Option<OsString>,
    pub(super) display: Option<OsString>,
    pub(super) wayland_display: Option<OsString>,
    pub(super) ssh: Option<OsString>,
    pub(super) proxy_token: Option<OsString>,
    /// The certificates of `MCP_OAUTH_CA_CERT`, `MCP_OAUTH_CLIENT_CERT` and `MCP_OAUTH_CLIENT_KEY`.
    pub(super) certificates: NetworkFlags,
    /// The variables of [`BY_VALUE`] that are set.
    pub(super) by_value: Vec<(&'static str, OsString)>,
    /// The variables of [`OF_SESSION`] that are set.
    pub(super) of_session: Vec<(&'static str, OsString)>,
}

impl Environment {
    /// Reads the variables. An empty variable counts as unset.
    pub(crate) fn read() -> Self {
        #[expect(clippy::disallowed_methods, reason = "the environment is read here")]
        let read = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let set = |name: &'static str| Some((name, read(name)?));
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
            by_value: BY_VALUE.into_iter().filter_map(set).collect(),
            of_session: OF_SESSION.into_iter().filter_map(set).collect(),
        }
    }

    /// Returns whether the user is likely to see a browser that is opened here: not over SSH, and not on a
    /// Linux without a display, unless `$BROWSER` is set.
    pub(super) fn has_browser(&self) -> bool {
        let display = self.display.is_some() || self.wayland_display.is_some();
        let screen = display || !cfg!(target_os = "linux");
        self.browser.is_some() || (screen && self.ssh.is_none())
    }

    /// Returns whether the user is logged in over SSH, so that their browser cannot reach this machine. A
    /// `$BROWSER` there opens the one of the user.
    pub(super) fn is_remote(&self) -> bool {
        self.ssh.is_some() && self.browser.is_none()
    }
}

/// Returns `$PATH` without its empty and relative entries, so that no program of the current directory is
/// run (CWE-426).
pub(crate) fn absolute_path() -> Option<OsString> {
    #[expect(clippy::disallowed_methods, reason = "the environment is read here")]
    let path = std::env::var_os("PATH")?;
    let entries = std::env::split_paths(&path).filter(|entry| entry.is_absolute());
    std::env::join_paths(entries).ok()
}

/// Returns a directory that a variable of another application sets, such as `CODEX_HOME`. An empty variable
/// counts as unset, and a relative path starts at the current directory.
pub(crate) fn application_directory(name: &str) -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "the environment is read here")]
    let set = std::env::var_os(name).filter(|value| !value.is_empty())?;
    std::path::absolute(set).ok()
}

/// Returns a variable that the user names.
pub(super) fn text_of(name: &str) -> Result<Secret<String>, Failure> {
    #[expect(clippy::disallowed_methods, reason = "the environment is read here")]
    let value = std::env::var_os(name).ok_or_else(|| {
        let name = mcp_client_oauth::error::UntrustedText::new(name);
        Failure::usage(
            format!("the variable {name} is not set"),
            "set the variable, or leave it out",
        )
    })?;
    text(name, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn a_browser_is_opened_only_with_a_local_display_or_a_browser_variable() {
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
        assert!(environment(true, true, false).is_remote());
        assert!(!environment(false, false, false).is_remote());
        assert!(!environment(false, true, true).is_remote());
    }
}
