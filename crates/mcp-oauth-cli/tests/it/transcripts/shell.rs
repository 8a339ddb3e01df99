//! A shell with its own home, in which the server of the documentation is a testbed.

use std::{path::Path, time::Duration};

use mcp_oauth_testbed::Testbed;

use super::replacements::Replacements;
use crate::{support::Home, terminal::Terminal};

const SERVER: &str = "https://mcp.example.com";
const COLUMNS: u16 = 100;

/// The shell of one transcript.
pub(super) struct Shell {
    home: Home,
    replacements: Replacements,
}

impl Shell {
    pub(super) async fn start() -> Self {
        let lifetime = Duration::from_secs(3600);
        let testbed = Testbed::builder().step_up(true);
        let home = Home::with(testbed.access_token_lifetime(lifetime)).await;
        let replacements = Replacements::new(&home, SERVER);
        Self { home, replacements }
    }

    /// Runs a line as a user types it, and approves each login. Returns what the terminal receives, with
    /// everything that differs from run to run replaced.
    pub(super) async fn run(&self, line: &str) -> String {
        let origin = self.home.testbed.server_url().origin();
        let line = line.replace(SERVER, &origin.ascii_serialization());
        let own = Path::new(env!("CARGO_BIN_EXE_mcp-oauth")).parent().unwrap();
        let mut shell = self.home.program("/bin/sh");
        shell
            .args(["-c", &line])
            .env_remove("MCP_OAUTH_DATA_DIR")
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("XDG_DATA_HOME")
            .env_remove("TMPDIR")
            // Tests have no keychain of their own, and `auto` would warn of that.
            .env("MCP_OAUTH_STORE", "file")
            .env("PATH", format!("{}:/usr/bin:/bin", own.display()))
            // The test is the browser: it reads the URL on the screen.
            .env("BROWSER", "/bin/true");
        let terminal = Terminal::start_with_columns(shell, COLUMNS);
        let shown = terminal.end_after_approvals().await;
        self.replacements.apply(&shown)
    }
}
