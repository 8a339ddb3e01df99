//! What is seen from outside of a process: its memory, its connections, what its children inherit.

use std::{
    fs,
    io::{Seek as _, Write as _},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use mcp_client_oauth::{
    LoginOptions, ServerUrl, TokenStore, login,
    platform::{AddressSpace, Platform, Request, ReqwestClient},
    testing::{ManualClock, RecordedInteraction},
};
use mcp_oauth_testbed::{Fault, Testbed};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    process::Command,
};

use super::{listeners::Listener, tls::TlsServer};
use crate::{
    herd::process::{Process, again, orders, say, variable},
    sealed::Home,
    support::{Fixture, Impatient, Person, bounded, platform, the_time},
};

const ROLE: &str = "MCP_OAUTH_TEST_HOSTILE_ROLE";
const CHILD: &str = "hostile::child::the_child_plays_its_role";
/// What a login may take beyond an idle process, in KiB.
const ROOM: u64 = 64 * 1024;
/// What two hundred logins may leave behind, in KiB.
const CRUMBS: u64 = 8 * 1024;

fn child(role: &str) -> Command {
    let mut command = again(CHILD);
    command.env(ROLE, role);
    command
}

/// A figure of `/proc/self/status`, in KiB.
fn memory(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    let figure = line.split_whitespace().nth(1).unwrap();
    figure.parse().unwrap()
}

fn network() -> Platform {
    let clock = Arc::new(ManualClock::new(the_time()));
    let person = Arc::new(RecordedInteraction::default());
    Platform::new(Arc::new(ReqwestClient::default()), clock, person)
}

/// Does nothing unless another test started this process.
#[tokio::test]
async fn the_child_plays_its_role() {
    match variable(ROLE).as_deref() {
        Some("eater") => eat().await,
        Some("proxied") => go_by_proxy().await,
        Some("starter") => start_and_leave().await,
        _ => {}
    }
}

/// Logs in at each URL that it is told, of which a file of authorities may come after, and says by how
/// much its memory has grown at most.
async fn eat() {
    let idle = memory("VmHWM");
    let clock = ManualClock::new(the_time());
    for order in orders() {
        let mut platform = platform(&clock, &Person::who_approves());
        let (url, roots) = order.split_once(' ').unwrap_or((&order, ""));
        if !roots.is_empty() {
            let roots = fs::read(roots).unwrap();
            let network = ReqwestClient::default().with_roots(&roots).unwrap();
            platform.http = Arc::new(Impatient(Duration::from_secs(2), Arc::new(network)));
        }
        let server: ServerUrl = url.parse().unwrap();
        let store = TokenStore::memory();
        let outcome = login(&platform, &store, &server, &LoginOptions::default()).await;
        assert!(outcome.is_err());
        say(&(memory("VmHWM") - idle).to_string());
    }
}

/// Bodies of sixty megabytes, some that never end, and frames of HTTP/2 without end.
#[tokio::test]
async fn no_answer_takes_more_memory_than_it_may() {
    let mut child = Process::start(child("eater"));
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
        child.tell(testbed.server_url().as_str()).await;
        let grown: u64 = child.hear().await.unwrap().parse().unwrap();
        assert!(grown < ROOM, "{path}: {grown} KiB more");
    }
    for head in [
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{\"x\": \"",
        "HTTP/1.1 200 OK\r\nx: ",
        "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n",
        "HTTP/1.1 100 ",
    ] {
        let (url, endless) = endless(head).await;
        child.tell(&url).await;
        let grown: u64 = child.hear().await.unwrap().parse().unwrap();
        assert!(grown < ROOM, "{head:?}: {grown} KiB more");
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
        child.tell(&order).await;
        let grown: u64 = child.hear().await.unwrap().parse().unwrap();
        assert!(grown < ROOM, "{manner}: {grown} KiB more");
        assert!(server.requests() > 0, "{manner}");
    }
    assert!(child.end().await.success());
}

/// A server whose answers begin with `head` and never end.
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

/// Asks a server on loopback, and one that is not.
async fn go_by_proxy() {
    let platform = network();
    for url in orders() {
        let reach = if url.starts_with("https") {
            AddressSpace::Public
        } else {
            AddressSpace::Loopback
        };
        let request = Request::metadata(url.parse().unwrap(), reach);
        let outcome = platform.http.send(request).await;
        say(if outcome.is_ok() {
            "answered"
        } else {
            "failed"
        });
    }
}

#[tokio::test]
async fn a_proxy_of_the_environment_hears_nothing_of_loopback() {
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
    child.tell(testbed.server_url().as_str()).await;
    assert_eq!(child.hear().await.as_deref(), Some("answered"));
    assert_eq!(proxy.heard(), [""; 0]);
    // What goes there is a tunnel: TLS ends at the server, and this proxy is none.
    child.tell("https://mcp.example/mcp").await;
    assert_eq!(child.hear().await.as_deref(), Some("failed"));
    let heard = proxy.heard();
    assert!(!heard.is_empty());
    for head in heard {
        assert!(head.starts_with("CONNECT mcp.example:443 "), "{head}");
    }
    assert!(child.end().await.success());
}

/// Begins as many logins as it is told, leaves each, and says how large it is then.
async fn start_and_leave() {
    let clock = ManualClock::new(the_time());
    let http = Arc::new(ReqwestClient::default());
    let store = TokenStore::memory();
    for order in orders() {
        let (count, url) = order.split_once(' ').unwrap();
        let server: ServerUrl = url.parse().unwrap();
        for _ in 0..count.parse().unwrap() {
            let person = Person::who_waits();
            let mut platform = platform(&clock, &person);
            platform.http = http.clone();
            let (store, server) = (store.clone(), server.clone());
            let login = tokio::spawn(async move {
                login(&platform, &store, &server, &LoginOptions::default()).await
            });
            bounded(person.shown()).await;
            login.abort();
            assert!(login.await.unwrap_err().is_cancelled());
        }
        say(&memory("VmRSS").to_string());
    }
}

#[tokio::test]
async fn logins_that_are_never_finished_leave_nothing() {
    let testbed = Testbed::start().await.unwrap();
    let url = testbed.server_url();
    let mut child = Process::start(child("starter"));
    let mut sizes = Vec::new();
    for count in [50, 200] {
        child.tell(&format!("{count} {url}")).await;
        sizes.push(child.hear().await.unwrap().parse::<u64>().unwrap());
    }
    let grown = sizes[1].saturating_sub(sizes[0]);
    assert!(grown < CRUMBS, "{grown} KiB more after 200 logins");
    assert!(child.end().await.success());
}

/// H167: neither the listener of a login nor the lock of a record is open in a child process.
#[tokio::test]
async fn a_child_inherits_neither_listener_nor_lock() {
    let fixture = Fixture::start().await.for_person(Person::who_waits());
    let waiting = fixture.begin(LoginOptions::default()).await;
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
