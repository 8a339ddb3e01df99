//! The person's own browser.

use async_trait::async_trait;
use url::Url;

use super::{interaction::Interaction, without_query::without_query};

/// Opens the system's browser. It has nowhere to show the URL: an application with a terminal or a
/// window shows it by an [`Interaction`] of its own, for the browser may open where nobody looks.
///
/// No shell is involved: the opener gets the re-serialised URL as one argument (H28). `$BROWSER`
/// is honoured: several commands with colons between them, of which the first that is there is
/// started, with its words as they are between blanks, and with the URL for `%s` or at the end. One
/// that has a shell among its words is not, because the shell would read the URL, which a server
/// wrote. Where programs are searched for in `$PATH`, nothing is started if that has an empty or a
/// relative entry: the current directory may be anybody's (H153).
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Browser;

impl Browser {
    /// Opens `url`; whether something was started. "Yes" does not mean that a person sees it.
    pub async fn launch(url: &Url) -> bool {
        if let Some(why) = fault_of_this_process() {
            tracing::warn!("no browser is started: {why}");
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
        // Without the query: `state` is nobody's business.
        let at = without_query(url);
        if Self::launch(url).await {
            tracing::info!(%at, "the browser is asked to open the login page");
        } else {
            tracing::warn!(%at, "no browser could be started for the login page");
        }
    }
}

/// Elsewhere the system itself knows the browser, and no variable is asked.
#[cfg(any(not(unix), target_os = "macos"))]
fn fault_of_this_process() -> Option<&'static str> {
    None
}

#[cfg(all(unix, not(target_os = "macos")))]
fn fault_of_this_process() -> Option<&'static str> {
    #[expect(
        clippy::disallowed_methods,
        reason = "what is started depends on these, whoever reads them"
    )]
    let [path, browser] = ["PATH", "BROWSER"].map(std::env::var_os);
    fault(&path.unwrap_or_default(), &browser.unwrap_or_default())
}

#[cfg(all(unix, not(target_os = "macos")))]
use self::variables::fault;

#[cfg(all(unix, not(target_os = "macos")))]
mod variables {
    //! What may not be in the variables that say which program is started.

    use std::{ffi::OsStr, path::Path};

    /// Holds what reads a line of commands.
    const SHELLS: [&str; 13] = [
        "ash", "bash", "busybox", "csh", "dash", "fish", "ksh", "mksh", "nu", "pwsh", "sh", "tcsh",
        "zsh",
    ];

    pub(super) fn fault(path: &OsStr, browser: &OsStr) -> Option<&'static str> {
        if std::env::split_paths(path).any(|entry| !entry.is_absolute()) {
            return Some("PATH has an empty or a relative entry");
        }
        let browser = browser.to_string_lossy();
        let mut words = browser.split([':', ' ', '\t', '\n', '\r', '\x0c']);
        let is_shell = |word: &str| {
            let name = Path::new(word).file_name().and_then(OsStr::to_str);
            name.is_some_and(|name| SHELLS.contains(&name))
        };
        words
            .any(is_shell)
            .then_some("BROWSER has a shell in it, which would read the URL")
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        fn is_refused(path: &str, browser: &str) -> bool {
            fault(path.as_ref(), browser.as_ref()).is_some()
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
        fn a_shell_in_any_place_is_refused() {
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
