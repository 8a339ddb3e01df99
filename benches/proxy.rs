//! The proxy compared with others, on one server and in one run: time to the first response, calls per
//! second, added latency of a call, and memory. Targets, compared with npm `mcp-remote`: ten times the
//! calls, a quarter of the time, a fifteenth of the memory.
//!
//! `cargo bench -p mcp-oauth-cli --bench proxy`; with `MCP_REMOTE=…/mcp-remote/dist/proxy.js` that one
//! is measured too. The server requires no login, so that none is measured.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    missing_docs,
    reason = "a benchmark measures and prints times, and may panic"
)]

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use mcp_oauth_testbed::{ResponseForm, Testbed};
use serde_json::{Value, json};

const STARTS: usize = 10;
const CALLS: u64 = 5_000;
const AT_ONCE: u64 = 64;
const SERIAL: u64 = 5_000;
const LARGE: u64 = 50;

/// A running proxy.
struct Proxy {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Proxy {
    fn start(command: &mut Command) -> Self {
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = piped.stderr(Stdio::null()).spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let stdout = BufReader::with_capacity(1 << 20, stdout);
        Self {
            child,
            stdin,
            stdout,
        }
    }

    fn write(&mut self, message: &str) {
        self.stdin.write_all(message.as_bytes()).unwrap();
        self.stdin.write_all(b"\n").unwrap();
    }

    /// Reads lines until `missing` responses have arrived.
    fn read_responses(&mut self, mut missing: u64) {
        let mut line = String::new();
        while missing > 0 {
            line.clear();
            assert!(
                self.stdout.read_line(&mut line).unwrap() > 0,
                "the proxy has exited"
            );
            missing -= u64::from(line.contains("\"result\""));
        }
    }

    fn initialize(&mut self) {
        self.write(&message(
            0,
            "initialize",
            &json!({
                "protocolVersion": "2025-11-25",
                "capabilities": {},
                "clientInfo": { "name": "bench", "version": "1" }
            }),
        ));
        self.read_responses(1);
        self.write(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    }

    /// Returns the peak memory, in KiB.
    fn peak(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
        line.split_whitespace().nth(1)?.parse().ok()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // It may have exited already.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn message(id: u64, method: &str, params: &Value) -> String {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string()
}

fn call(id: u64) -> String {
    message(
        id,
        "tools/call",
        &json!({ "name": "add", "arguments": { "a": id, "b": 1 } }),
    )
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let testbed = Testbed::builder()
        .unprotected(true)
        .response_form(ResponseForm::Json);
    let testbed = runtime.block_on(testbed.start()).unwrap();
    let url = testbed.server_url().to_string();
    let home = tempfile::tempdir().unwrap();
    let direct = direct(&runtime, &url);
    println!("without a proxy");
    println!("  one call                    p50 {:?}", direct.call.0);
    println!("                              p99 {:?}", direct.call.1);
    println!("  calls/s of 1 MiB            {:.0}", direct.large);

    let mut own = Command::new(env!("CARGO_BIN_EXE_mcp-oauth"));
    own.args(["proxy", &url, "--data-dir"]).arg(home.path());
    let mut all = vec![("mcp-oauth proxy", own)];
    if let Some(script) = std::env::var_os("MCP_REMOTE") {
        let mut other = Command::new("node");
        other
            .arg(script)
            .args([&url, "--allow-http"])
            .env("HOME", home.path());
        all.push(("mcp-remote", other));
    }
    for (name, command) in all {
        testbed.clear_requests();
        measure(name, command, direct.call);
    }
}

fn measure(name: &str, mut command: Command, direct: (Duration, Duration)) {
    // The first run may create files that later ones use.
    drop(started(&mut command));
    let starts = (0..STARTS).map(|_| started(&mut command).1);
    let (start, slowest) = percentiles(starts.collect());
    let (mut proxy, _) = started(&mut command);
    let rate = burst(&mut proxy);
    let (p50, p99) = serial(&mut proxy);
    let large = large(&mut proxy);
    let peak = proxy.peak().unwrap_or_default();
    let more = |one: Duration, other: Duration| one.saturating_sub(other);
    println!("{name}");
    println!("  start to first response     p50 {start:?}  slowest {slowest:?}");
    println!("  calls/s, {AT_ONCE} concurrent      {rate:.0}");
    println!("  one call                    p50 {p50:?}  p99 {p99:?}");
    println!(
        "  added latency               p50 {:?}  p99 {:?}",
        more(p50, direct.0),
        more(p99, direct.1)
    );
    println!("  calls/s of 1 MiB            {large:.0}");
    println!("  peak memory                 {:.1} MiB", to_mib(peak));
}

/// Starts a proxy. Returns it after its first response, and the time that it took.
fn started(command: &mut Command) -> (Proxy, Duration) {
    let begun = Instant::now();
    let mut proxy = Proxy::start(command);
    proxy.initialize();
    (proxy, begun.elapsed())
}

#[expect(clippy::cast_precision_loss, reason = "it is printed with one digit")]
fn to_mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

fn per_second(calls: u64, took: Duration) -> f64 {
    f64::from(u32::try_from(calls).unwrap()) / took.as_secs_f64()
}

/// Sends many concurrent calls, and another one for each response.
fn burst(proxy: &mut Proxy) -> f64 {
    let begun = Instant::now();
    for id in 1..=AT_ONCE {
        proxy.write(&call(id));
    }
    for id in AT_ONCE + 1..=CALLS {
        proxy.read_responses(1);
        proxy.write(&call(id));
    }
    proxy.read_responses(AT_ONCE);
    per_second(CALLS, begun.elapsed())
}

fn serial(proxy: &mut Proxy) -> (Duration, Duration) {
    let mut took = Vec::new();
    for id in 1..=SERIAL {
        let text = call(100_000 + id);
        let begun = Instant::now();
        proxy.write(&text);
        proxy.read_responses(1);
        took.push(begun.elapsed());
    }
    percentiles(took)
}

fn large(proxy: &mut Proxy) -> f64 {
    let calls = large_calls();
    let begun = Instant::now();
    for call in calls {
        proxy.write(&call);
        proxy.read_responses(1);
    }
    per_second(LARGE, begun.elapsed())
}

/// Returns calls of one MiB each.
fn large_calls() -> Vec<String> {
    let text = "x".repeat(1 << 20);
    let arguments = json!({ "name": "write_note", "arguments": { "text": text } });
    let call = |id| message(200_000 + id, "tools/call", &arguments);
    (1..=LARGE).map(call).collect()
}

fn percentiles(mut took: Vec<Duration>) -> (Duration, Duration) {
    took.sort_unstable();
    (took[took.len() / 2], took[took.len() * 99 / 100])
}

/// The results without a proxy.
struct Direct {
    call: (Duration, Duration),
    large: f64,
}

/// Sends the same calls with an HTTP client, one after the other.
fn direct(runtime: &tokio::runtime::Runtime, url: &str) -> Direct {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let initialize = message(0, "initialize", &json!({ "protocolVersion": "2025-11-25" }));
    let post = |text: String, session: Option<String>| {
        let mut request = client
            .post(url)
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .body(text);
        if let Some(session) = session {
            request = request.header("mcp-session-id", session);
        }
        async move {
            let response = request.send().await.unwrap();
            let session = response.headers().get("mcp-session-id").cloned();
            response.bytes().await.unwrap();
            session.map(|session| session.to_str().unwrap().to_owned())
        }
    };
    runtime.block_on(async {
        let session = post(initialize, None).await;
        let mut took = Vec::new();
        for id in 1..=SERIAL {
            let begun = Instant::now();
            post(call(id), session.clone()).await;
            took.push(begun.elapsed());
        }
        let large = large_calls();
        let begun = Instant::now();
        for call in large {
            post(call, session.clone()).await;
        }
        Direct {
            call: percentiles(took),
            large: per_second(LARGE, begun.elapsed()),
        }
    })
}
