//! The login page is opened by a program of the system, which gets the URL as one argument, and never
//! by a shell (CVE-2025-6514; MCP security best practices). The opener is this test program.

use std::{
    fs::File,
    io::Write as _,
    net::TcpStream,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use mcp_client_oauth::platform::{Browser, Clock as _, SystemClock};
use tokio::{io::AsyncReadExt as _, net::TcpListener};
use url::Url;

use crate::support::bounded;

/// The port to which the opener sends its arguments.
const PORT: &str = "MCP_OAUTH_TEST_OPENER";
/// Set if opening must fail.
const REFUSES: &str = "MCP_OAUTH_TEST_REFUSES";
const CHILD: &str = "browser_launch::child_process_opens_the_url_or_acts_as_the_opener";

/// Returns a URL with every character that is special to a shell.
fn hostile() -> Url {
    let text =
        "https://as.example/--flag;$(id)`id`|id?a=$(id)&b=`id`&c=%COMSPEC%&d=^&calc&e='\"\\ *~";
    Url::parse(text).unwrap()
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test passes values to its own child process"
)]
fn port() -> Option<u16> {
    std::env::var(PORT).ok()?.parse().ok()
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test passes values to its own child process"
)]
fn is_variable_set(name: &str) -> bool {
    std::env::var_os(name).is_some()
}

/// Does nothing unless the other test started this process.
#[tokio::test]
async fn child_process_opens_the_url_or_acts_as_the_opener() {
    let Some(port) = port() else { return };
    let given: Vec<String> = std::env::args().skip(1).collect();
    if given.len() == 3 {
        let is_started = Browser::launch(&hostile()).await;
        assert_eq!(is_started, !is_variable_set(REFUSES));
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

/// The current directory may contain a hostile program with the name of an opener, and `$BROWSER` may
/// be a shell that would read the URL (docs/hostile.md H153).
#[test]
fn neither_a_program_of_the_current_directory_nor_a_shell_is_started() {
    let directory = tempfile::tempdir().unwrap();
    let trap = directory.path().join("sprung");
    for name in ["xdg-settings", "xdg-open", "x-www-browser", "gio", "trap"] {
        let path = directory.path().join(name);
        let mut options = File::options();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o700)
            .open(path)
            .unwrap();
        write!(file, "#!/bin/sh\n: >'{}'\n", trap.display()).unwrap();
    }
    let here = directory.path().to_str().unwrap();
    let shell = format!("sh -c :>{}", trap.display());
    for (path, browser, is_refused) in [
        (":/usr/bin:/bin", "", true),
        ("/usr/bin:/bin:.", "trap", true),
        ("/usr/bin:/bin", shell.as_str(), true),
        ("/usr/bin:/bin", "none-of-that-name:sh -c %s", true),
        // The trap itself works.
        (here, "", false),
        (here, "trap", false),
    ] {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child
            .args(["--exact", CHILD, "--nocapture"])
            .current_dir(directory.path())
            .env(PORT, "1")
            .env("PATH", path)
            .env("BROWSER", browser)
            .stdout(Stdio::null());
        if is_refused {
            child.env(REFUSES, "");
        }
        assert!(child.status().unwrap().success(), "{path} {browser}");
        if !is_refused {
            appears(&trap);
            std::fs::remove_file(&trap).unwrap();
        }
        assert!(!trap.exists(), "{path} {browser}");
    }
}

/// Waits until `path` exists: the client does not wait for the opener.
fn appears(path: &Path) {
    let clock = SystemClock::default();
    let end = clock.now() + Duration::from_secs(20);
    while !path.exists() {
        assert!(clock.now() < end, "nothing was started");
        std::thread::yield_now();
    }
}
