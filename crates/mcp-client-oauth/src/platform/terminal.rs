//! The interaction of a program in a terminal.

use std::io::{Write as _, stderr};

use async_trait::async_trait;
use url::Url;

use super::{browser::Browser, device_prompt::DevicePrompt, interaction::Interaction};

/// Opens the system's browser as [`Browser`] does, and writes the URL to stderr too, for a browser on another
/// machine. Writes the code of a device login to stderr.
///
/// ```no_run
/// # async fn run() -> Result<(), mcp_client_oauth::Error> {
/// use mcp_client_oauth::{Client, platform::Terminal};
///
/// let client = Client::builder().interaction(Terminal).build().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[expect(
    clippy::exhaustive_structs,
    reason = "it has no options, and is passed by its name"
)]
pub struct Terminal;

#[async_trait]
impl Interaction for Terminal {
    async fn open(&self, url: &Url) {
        write_lines(&format!(
            "Opening your browser. If it does not open, visit:\n\n  {url}\n"
        ));
        Browser::launch(url).await;
    }

    async fn show_code(&self, prompt: &DevicePrompt) {
        write_lines(&instructions(prompt));
    }
}

fn instructions(prompt: &DevicePrompt) -> String {
    let (url, code) = (&prompt.verification_uri, &prompt.user_code);
    let warning = if prompt.is_third_party_host {
        "This is not the host of the authorization server; make sure that you trust it.\n"
    } else {
        ""
    };
    format!("{warning}Visit {url} and enter the code {code}\n")
}

fn write_lines(text: &str) {
    // A program without stderr still logs in by the browser.
    let _ = stderr().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn the_code_and_its_url_are_shown_with_a_warning_for_another_host() {
        let url = "https://auth.example/device".parse().unwrap();
        let mut prompt = DevicePrompt::new("ABCD-EFGH", url, SystemTime::UNIX_EPOCH);
        let text = instructions(&prompt);
        assert_eq!(
            text,
            "Visit https://auth.example/device and enter the code ABCD-EFGH\n"
        );
        prompt.is_third_party_host = true;
        assert!(instructions(&prompt).starts_with("This is not the host"));
    }
}
