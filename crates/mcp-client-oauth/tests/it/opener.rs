//! What opens the login page: a program of the system, which gets the URL as one argument, and no
//! shell (H28, spec-checklist I7). It is this test program, started again.

use std::{
    io::Write as _,
    net::TcpStream,
    process::{Command, Stdio},
};

use mcp_client_oauth::platform::Browser;
use tokio::{io::AsyncReadExt as _, net::TcpListener};
use url::Url;

use crate::support::bounded;

/// Where the opener says what it was given.
const PORT: &str = "MCP_OAUTH_TEST_OPENER";
const CHILD: &str = "opener::the_child_opens_or_is_the_opener";

/// Everything that a shell would make something of.
fn hostile() -> Url {
    let text =
        "https://as.example/--flag;$(id)`id`|id?a=$(id)&b=`id`&c=%COMSPEC%&d=^&calc&e='\"\\ *~";
    Url::parse(text).unwrap()
}

#[expect(
    clippy::disallowed_methods,
    reason = "how a test speaks to its own child process"
)]
fn port() -> Option<u16> {
    std::env::var(PORT).ok()?.parse().ok()
}

/// Does nothing unless the other test started this process.
#[tokio::test]
async fn the_child_opens_or_is_the_opener() {
    let Some(port) = port() else { return };
    let given: Vec<String> = std::env::args().skip(1).collect();
    if given.len() == 3 {
        assert!(Browser::launch(&hostile()).await);
        return;
    }
    let mut parent = TcpStream::connect(("127.0.0.1", port)).unwrap();
    parent.write_all(given.join("\n").as_bytes()).unwrap();
}

#[tokio::test]
async fn the_opener_gets_the_url_as_one_argument_and_no_shell_reads_it() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let program = std::env::current_exe().unwrap();
    // `$BROWSER` is split at colons; `%c` is one.
    let browser = format!(
        "{} --exact {} --nocapture",
        program.display(),
        CHILD.replace(':', "%c")
    );
    let mut child = Command::new(&program)
        .args(["--exact", CHILD, "--nocapture"])
        .env(PORT, listener.local_addr().unwrap().port().to_string())
        .env("BROWSER", browser)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let (mut opener, _) = bounded(listener.accept()).await.unwrap();
    let mut given = String::new();
    bounded(opener.read_to_string(&mut given)).await.unwrap();
    assert!(child.wait().unwrap().success());
    let given: Vec<&str> = given.split('\n').collect();
    let url = hostile();
    assert_eq!(given, ["--exact", CHILD, "--nocapture", url.as_str()]);
}
