//! Properties of a whole process: its memory, its connections, and the files that its children inherit.

use std::{
    fs,
    future::IntoFuture as _,
    io::{Seek as _, Write as _},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use mcp_client_oauth::{
    Client, TokenStore,
    platform::{AddressSpace, Platform, Request, ReqwestClient},
};
use mcp_oauth_testbed::{Fault, Testbed};
use mcp_oauth_testing::{ManualClock, RecordedInteraction};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    process::Command,
};

use super::{listeners::Listener, tls::TlsServer};
use crate::{
    concurrent_refresh::process::{Process, env_var, orders, report, rerun},
    encrypted::Home,
    support::{Fixture, ShortTimeout, TestUser, bounded, platform, start_time},
};

const ROLE: &str = "MCP_OAUTH_TEST_HOSTILE_ROLE";
const CHILD: &str = "hostile::child::the_child_runs_its_role";
/// The memory that a login may take beyond an idle process, in KiB.
const MEMORY_LIMIT: u64 = 64 * 1024;
/// The memory that may remain in use after two hundred logins, in KiB.
const LEAK_LIMIT: u64 = 8 * 1024;

fn child(role: &str) -> Command {
    let mut command = rerun(CHILD);
    command.env(ROLE, role);
    command
}

/// Returns a value of `/proc/self/status`, in KiB.
fn memory(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    let value = line.split_whitespace().nth(1).unwrap();
    value.parse().unwrap()
}

fn network() -> Platform {
    let clock = Arc::new(ManualClock::new(start_time()));
    let interaction = Arc::new(RecordedInteraction::default());
    Platform::new(Arc::new(ReqwestClient::default()), clock, interaction)
}

/// Does nothing unless another test started this process.
#[tokio::test]
async fn the_child_runs_its_role() {
    match env_var(ROLE).as_deref() {
        Some("memory") => log_in_and_report_memory().await,
        Some("proxied") => send_by_proxy().await,
        Some("cancelled") => start_and_cancel().await,
        _ => {}
    }
}

/// Logs in at each URL that it receives, which a file of certificate authorities may follow, and
/// reports the peak growth of its memory.
async fn log_in_and_report_memory() {
    let idle = memory("VmHWM");
    let clock = ManualClock::new(start_time());
    for order in orders() {
        let mut platform = platform(&clock, &TestUser::approving());
        let (url, roots) = order.split_once(' ').unwrap_or((&order, ""));
        if !roots.is_empty() {
            let roots = fs::read(roots).unwrap();
            let network = ReqwestClient::default().with_roots(&roots).unwrap();
            platform.http = Arc::new(ShortTimeout(Duration::from_secs(2), Arc::new(network)));
        }
        let client = Client::with_platform(platform, TokenStore::memory());
        let outcome = client.login(url).await;
        assert!(outcome.is_err());
        report(&(memory("VmHWM") - idle).to_string());
    }
}

/// Sends bodies of sixty megabytes, endless ones, and endless HTTP/2 frames.
#[tokio::test]
async fn no_response_takes_more_memory_than_the_limit() {
    let mut child = Process::start(child("memory"));
    let sixty_megabytes = format!("{{\"x\": \"{}\"}}", "x".repeat(60 << 20));
    for path in [
        "/.well-known/oauth-protected-resource/mcp",
        "/.well-known/oauth-authorization-server",
        "/register",
        "/token",
    ] {
        let testbed = Testbed::start().await.unwrap();
        testbed.set_fault(Fault::Status {
            path: path.to_owned(),
            status: 200,
            body: sixty_megabytes.clone(),
            headers: vec![("content-encoding".to_owned(), "identity".to_owned())],
            times: None,
        });
        child.send(testbed.server_url().as_str()).await;
        let grown: u64 = child.receive().await.unwrap().parse().unwrap();
        assert!(grown < MEMORY_LIMIT, "{path}: {grown} KiB more");
    }
    for head in [
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{\"x\": \"",
        "HTTP/1.1 200 OK\r\nx: ",
        "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n",
        "HTTP/1.1 100 ",
    ] {
        let (url, endless) = endless(head).await;
        child.send(&url).await;
        let grown: u64 = child.receive().await.unwrap().parse().unwrap();
        assert!(grown < MEMORY_LIMIT, "{head:?}: {grown} KiB more");
        endless.abort();
    }
    let mut roots = tempfile::NamedTempFile::new().unwrap();
    for manner in [
        "continuations",
        "data",
        "informational",
        "pings",
        "settings",
    ] {
        let server = TlsServer::with(&format!("h2-{manner}")).await;
        roots.as_file_mut().set_len(0).unwrap();
        roots.rewind().unwrap();
        roots.write_all(server.roots.as_bytes()).unwrap();
        let order = format!("{}/mcp {}", server.origin(), roots.path().display());
        child.send(&order).await;
        let grown: u64 = child.receive().await.unwrap().parse().unwrap();
        assert!(grown < MEMORY_LIMIT, "{manner}: {grown} KiB more");
        assert!(server.requests() > 0, "{manner}");
    }
    assert!(child.end().await.success());
}

/// Starts a server that sends `head` and then an endless body.
async fn endless(head: &'static str) -> (String, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        let piece = "x".repeat(64 * 1024);
        while let Ok((mut stream, _)) = listener.accept().await {
            let piece = piece.clone();
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(head.as_bytes()).await;
                while stream.write_all(piece.as_bytes()).await.is_ok() {}
            });
        }
    });
    (url, task)
}

/// Sends a request to each URL that it receives, on loopback and elsewhere.
async fn send_by_proxy() {
    let platform = network();
    for url in orders() {
        let address_space = if url.starts_with("https") {
            AddressSpace::Public
        } else {
            AddressSpace::Loopback
        };
        let request = Request::new(http::Method::GET, url.parse().unwrap(), address_space);
        let outcome = platform.http.send(request).await;
        report(if outcome.is_ok() {
            "responded"
        } else {
            "failed"
        });
    }
}

#[tokio::test]
async fn a_proxy_from_the_environment_receives_no_loopback_request() {
    let proxy = Listener::at("127.0.0.1:0").await.unwrap();
    let testbed = Testbed::start().await.unwrap();
    let mut command = child("proxied");
    for name in [
        "HTTP_PROXY",
        "http_proxy",
        "HTTPS_PROXY",
        "https_proxy",
        "ALL_PROXY",
    ] {
        command.env(name, proxy.origin());
    }
    command.env_remove("NO_PROXY").env_remove("no_proxy");
    let mut child = Process::start(command);
    child.send(testbed.server_url().as_str()).await;
    assert_eq!(child.receive().await.as_deref(), Some("responded"));
    assert_eq!(proxy.received(), [""; 0]);
    // The client opens a tunnel, because TLS ends at the server; this proxy opens none.
    child.send("https://mcp.example/mcp").await;
    assert_eq!(child.receive().await.as_deref(), Some("failed"));
    let received = proxy.received();
    assert!(!received.is_empty());
    for head in received {
        assert!(head.starts_with("CONNECT mcp.example:443 "), "{head}");
    }
    assert!(child.end().await.success());
}

/// Starts the given number of logins, cancels each, and reports the memory of the process.
async fn start_and_cancel() {
    let clock = ManualClock::new(start_time());
    let http = Arc::new(ReqwestClient::default());
    let store = TokenStore::memory();
    for order in orders() {
        let (count, url) = order.split_once(' ').unwrap();
        for _ in 0..count.parse().unwrap() {
            let user = TestUser::idle();
            let mut platform = platform(&clock, &user);
            platform.http = http.clone();
            let client = Client::with_platform(platform, store.clone());
            let login = tokio::spawn(client.login(url).into_future());
            bounded(user.shown()).await;
            login.abort();
            assert!(login.await.unwrap_err().is_cancelled());
        }
        report(&memory("VmRSS").to_string());
    }
}

#[tokio::test]
async fn logins_that_are_never_completed_leak_no_memory() {
    let testbed = Testbed::start().await.unwrap();
    let url = testbed.server_url();
    let mut child = Process::start(child("cancelled"));
    let mut sizes = Vec::new();
    for count in [50, 200] {
        child.send(&format!("{count} {url}")).await;
        sizes.push(child.receive().await.unwrap().parse::<u64>().unwrap());
    }
    let grown = sizes[1].saturating_sub(sizes[0]);
    assert!(grown < LEAK_LIMIT, "{grown} KiB more after 200 logins");
    assert!(child.end().await.success());
}

/// Checks that neither the listener of a login nor the lock of a record is open in a child process
/// (docs/hostile.md H167).
#[tokio::test]
async fn a_child_inherits_neither_listener_nor_lock() {
    let fixture = Fixture::start().await.with_user(TestUser::idle());
    let waiting = fixture.start_login(|login| login).await;
    let home = Home::new();
    let store = TokenStore::new(Arc::new(home.open()));
    let lock = store.lock(&fixture.key()).await.unwrap();
    let open = Command::new("ls")
        .args(["-l", "/proc/self/fd"])
        .stdin(Stdio::null())
        .output();
    let open = String::from_utf8(bounded(open).await.unwrap().stdout).unwrap();
    assert!(open.contains("/dev/null"), "{open}");
    assert!(!open.contains("socket:"), "{open}");
    let directory = home.path().display().to_string();
    assert!(!open.contains(&directory), "{open}");
    drop(lock);
    waiting.login.abort();
}
