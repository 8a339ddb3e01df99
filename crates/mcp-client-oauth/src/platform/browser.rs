//! The user's browser.

use async_trait::async_trait;
use url::Url;

use super::{interaction::Interaction, without_query::without_query};

/// Opens the system's browser. It does not show the URL: an application with a terminal or a window shows
/// it too, by its own [`Interaction`], because the browser may open on another screen.
///
/// No shell is involved: the opener gets the serialized URL as one argument (CVE-2025-6514). `$BROWSER` is
/// used: several commands separated by colons, of which the first one that exists is started. Its
/// arguments are separated by blanks, and the URL replaces `%s` or is appended. A command with a shell in
/// it is refused, because the shell would interpret the URL, which a server wrote. If `$PATH` has an
/// empty or a relative entry, nothing is started: another user may have written the current directory.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Browser;

impl Browser {
    /// Opens `url` and returns whether a program was started. The user may not see its window.
    pub async fn launch(url: &Url) -> bool {
        if let Some(reason) = refusal() {
            tracing::warn!("cannot start a browser: {reason}");
            return false;
        }
        let text = url.as_str().to_owned();
        // The opener may wait for a text browser to end.
        let opened = tokio::task::spawn_blocking(move || webbrowser::open(&text)).await;
        matches!(opened, Ok(Ok(())))
    }
}

#[async_trait]
impl Interaction for Browser {
    async fn open(&self, url: &Url) {
        // Without the query: it has `state`, which is a secret of this login.
        let at = without_query(url);
        if Self::launch(url).await {
            tracing::info!(%at, "opening the login page in the browser");
        } else {
            tracing::warn!(%at, "cannot start a browser for the login page");
        }
    }
}

/// Other systems know the default browser themselves and use no environment variable.
#[cfg(any(not(unix), target_os = "macos"))]
fn refusal() -> Option<&'static str> {
    None
}

#[cfg(all(unix, not(target_os = "macos")))]
fn refusal() -> Option<&'static str> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the program that is started depends on these variables"
    )]
    let [path, browser] = ["PATH", "BROWSER"].map(std::env::var_os);
    refusal_for(&path.unwrap_or_default(), &browser.unwrap_or_default())
}

#[cfg(all(unix, not(target_os = "macos")))]
use self::variables::refusal_for;

#[cfg(all(unix, not(target_os = "macos")))]
mod variables {
    //! Checks of the environment variables that choose the program.

    use std::{ffi::OsStr, path::Path};

    /// The programs that interpret their arguments as commands.
    const SHELLS: [&str; 13] = [
        "ash", "bash", "busybox", "csh", "dash", "fish", "ksh", "mksh", "nu", "pwsh", "sh", "tcsh",
        "zsh",
    ];

    pub(super) fn refusal_for(path: &OsStr, browser: &OsStr) -> Option<&'static str> {
        if std::env::split_paths(path).any(|entry| !entry.is_absolute()) {
            return Some("PATH has an empty or a relative entry");
        }
        let browser = browser.to_string_lossy();
        let mut parts = browser.split([':', ' ', '\t', '\n', '\r', '\x0c']);
        let is_shell = |part: &str| {
            let name = Path::new(part).file_name().and_then(OsStr::to_str);
            name.is_some_and(|name| SHELLS.contains(&name))
        };
        parts
            .any(is_shell)
            .then_some("BROWSER contains a shell, which would interpret the URL")
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        fn is_refused(path: &str, browser: &str) -> bool {
            refusal_for(path.as_ref(), browser.as_ref()).is_some()
        }

        #[test]
        fn a_path_into_the_current_directory_is_refused() {
            for path in [":/bin", "/bin:", "/usr/bin::/bin", ".", "./bin:/bin", "bin"] {
                assert!(is_refused(path, ""), "{path}");
            }
            for path in ["/bin", "/usr/local/bin:/usr/bin", "/bin/../sbin"] {
                assert!(!is_refused(path, ""), "{path}");
            }
        }

        #[test]
        fn a_shell_at_any_position_is_refused() {
            for browser in [
                "sh -c %s",
                "/bin/bash -c",
                "firefox:sh -c %s",
                "env\tA=b dash -c %s",
                "/opt/browser %s:/usr/bin/env zsh",
            ] {
                assert!(is_refused("/bin", browser), "{browser}");
            }
            for browser in ["", "firefox", "/opt/sh/browser --new %s:w3m", "push %s"] {
                assert!(!is_refused("/bin", browser), "{browser}");
            }
        }
    }
}
