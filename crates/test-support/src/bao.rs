//! A real OpenBao server, which has the API of HashiCorp Vault. It stops when the value is dropped.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use reqwest::{Certificate, Client, Method};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use url::Url;

use crate::port::unused_port;
use crate::tool::{is_skipped, variable};
use crate::wait::bounded;

/// The root token of a server in dev mode.
pub const ROOT: &str = "root-token-planted";

/// A server and its files.
#[derive(Debug)]
#[non_exhaustive]
pub struct Bao {
    /// Its URL.
    pub address: Url,
    /// Its root token.
    pub root: String,
    /// Base64 in dev mode, hexadecimal after an initialization: the server accepts both.
    unseal_key: String,
    home: TempDir,
    http: Client,
    process: Option<Child>,
}

/// Returns the path of the program, which the check script installs, or `None` if it skips these tests.
fn program() -> Option<PathBuf> {
    const VARIABLE: &str = "MCP_OAUTH_TEST_VAULT";
    if is_skipped(VARIABLE, "there is no OpenBao to test with") {
        return None;
    }
    let installed = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tools/vault/bin/bao");
    let program = variable(VARIABLE).map_or_else(installed, PathBuf::from);
    assert!(
        program.exists(),
        "no OpenBao: run `scripts/check test`, or set {VARIABLE} to `skip`"
    );
    Some(program)
}

impl Bao {
    /// Starts a server in dev mode: in memory, unsealed, with KV version 2 at `secret/`.
    pub async fn start() -> Option<Self> {
        Self::dev(&[]).await
    }

    /// Starts a server in dev mode, over TLS with its own certificate authority.
    pub async fn with_tls() -> Option<Self> {
        Self::dev(&["-dev-tls"]).await
    }

    async fn dev(options: &[&str]) -> Option<Self> {
        let program = program()?;
        // Another process may bind the port after it was chosen and before the server binds it.
        for _ in 0..3 {
            let home = tempfile::tempdir().unwrap();
            let port = unused_port();
            let mut command = Command::new(&program);
            command
                .args(["server", "-dev", "-dev-no-store-token"])
                .args(options)
                .arg(format!("-dev-root-token-id={ROOT}"))
                .arg(format!("-dev-listen-address=127.0.0.1:{port}"));
            let tls = options.contains(&"-dev-tls");
            if tls {
                command.arg(format!("-dev-tls-cert-dir={}", home.path().display()));
            }
            let Some((process, unseal_key)) = launch(command, &home, "Unseal Key: ").await else {
                continue;
            };
            let scheme = if tls { "https" } else { "http" };
            let bao = Self {
                address: format!("{scheme}://127.0.0.1:{port}").parse().unwrap(),
                root: ROOT.to_owned(),
                unseal_key,
                http: client(home.path(), tls),
                home,
                process: Some(process),
            };
            bao.wait_until_ready().await;
            return Some(bao);
        }
        panic!("cannot start OpenBao");
    }

    /// Starts a server with its data on disk, initialized and unsealed, with KV version 2 at `secret/`.
    pub async fn on_disk() -> Option<Self> {
        let mut bao = Self::empty().await?;
        let shares = json!({"secret_shares": 1, "secret_threshold": 1});
        let made = bao.post("sys/init", shares).await;
        bao.root = text(&made["root_token"]);
        bao.unseal_key = text(&made["keys"][0]);
        bao.unseal().await;
        bao.mount("secret", "2", "").await;
        Some(bao)
    }

    /// Starts a server with an empty data directory.
    pub async fn empty() -> Option<Self> {
        program()?;
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join("data")).unwrap();
        let (port, cluster) = (unused_port(), unused_port());
        let data = home.path().join("data");
        let configuration = format!(
            r#"storage "raft" {{ path = "{}" node_id = "one" performance_multiplier = "1" }}
               listener "tcp" {{ address = "127.0.0.1:{port}" cluster_address = "127.0.0.1:{cluster}" tls_disable = true }}
               api_addr = "http://127.0.0.1:{port}"
               cluster_addr = "http://127.0.0.1:{cluster}""#,
            data.display()
        );
        #[expect(clippy::disallowed_methods, reason = "a file of a test")]
        std::fs::write(home.path().join("bao.hcl"), configuration).unwrap();
        let mut bao = Self {
            address: format!("http://127.0.0.1:{port}").parse().unwrap(),
            root: String::new(),
            unseal_key: String::new(),
            http: client(home.path(), false),
            home,
            process: None,
        };
        bao.launch_server().await;
        Some(bao)
    }

    async fn launch_server(&mut self) {
        let mut command = Command::new(program().unwrap());
        let configuration = self.home.path().join("bao.hcl");
        command.args(["server", "-config"]).arg(configuration);
        let started = launch(command, &self.home, "==> OpenBao server started!").await;
        self.process = Some(started.expect("cannot restart OpenBao").0);
    }

    /// Kills the server, without a shutdown and without a flush.
    pub async fn kill(&mut self) {
        self.process.take().unwrap().kill().await.unwrap();
    }

    /// Starts the server again with the same data, and unseals it.
    pub async fn restart(&mut self) {
        self.launch_server().await;
        self.unseal().await;
    }

    /// Puts the server into the sealed state.
    pub async fn seal(&self) {
        self.post("sys/seal", json!({})).await;
    }

    /// Unseals the server, and waits until it is ready: a node becomes active after a moment.
    pub async fn unseal(&self) {
        let key = json!({"key": self.unseal_key});
        self.post("sys/unseal", key).await;
        self.wait_until_ready().await;
    }

    /// Waits until the server is ready: shortly after its start, a node is not active yet, and an engine
    /// upgrades its data.
    async fn wait_until_ready(&self) {
        bounded(async {
            while self.get("sys/health").await.0 != 200 {}
            while self.get("secret/data/nothing").await.0 != 404 {}
        })
        .await;
    }

    /// Returns the path of the certificate authority of [`with_tls`](Self::with_tls).
    pub fn ca_bundle(&self) -> PathBuf {
        self.home.path().join("vault-ca.pem")
    }

    /// Returns a directory that is removed with the server.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Mounts a KV engine, in a namespace (`name/`) or in none.
    pub async fn mount(&self, at: &str, version: &str, namespace: &str) {
        let kv = json!({"type": "kv", "options": {"version": version}});
        self.post(&format!("{namespace}sys/mounts/{at}"), kv).await;
        let path = format!("{namespace}{at}/data/nothing");
        bounded(async { while self.get(&path).await.0 != 404 {} }).await;
    }

    /// Writes a policy with exactly the capabilities that the documentation of the store requires.
    pub async fn policy(&self, name: &str) {
        let rules = r#"
            path "secret/data/mcp-oauth/*" { capabilities = ["create", "read", "update"] }
            path "secret/metadata/mcp-oauth/*" { capabilities = ["create", "update", "list", "delete"] }"#;
        self.post(
            &format!("sys/policies/acl/{name}"),
            json!({"policy": rules}),
        )
        .await;
    }

    /// Creates a token with a policy.
    pub async fn token(&self, policy: &str, ttl: &str) -> String {
        let asked = json!({"policies": [policy], "ttl": ttl});
        text(&self.post("auth/token/create", asked).await["auth"]["client_token"])
    }

    /// Posts as root; panics on an error status.
    pub async fn post(&self, path: &str, body: Value) -> Value {
        let (status, response) = self.call(Method::POST, path, Some(body)).await;
        assert!((200..300).contains(&status), "{path}: {status} {response}");
        response
    }

    /// Gets as root; returns the status, and the body or null.
    pub async fn get(&self, path: &str) -> (u16, Value) {
        self.call(Method::GET, path, None).await
    }

    /// Sends a request as root.
    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let url = self.address.join(&format!("/v1/{path}")).unwrap();
        let request = self.http.request(method, url);
        let request = request.header("x-vault-token", &self.root);
        let request = request.header("content-type", "application/json");
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let response = bounded(request.body(body).send()).await.unwrap();
        let status = response.status().as_u16();
        let body = bounded(response.bytes()).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }
}

fn client(home: &Path, tls: bool) -> Client {
    let mut client = Client::builder().no_proxy();
    if tls {
        let bundle = std::fs::read(home.join("vault-ca.pem")).unwrap();
        let roots = Certificate::from_pem_bundle(&bundle).unwrap();
        client = client.tls_certs_only(roots);
    }
    client.build().unwrap()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// Starts the program and waits for a line with `mark`. Returns the text after the mark, or `None`
/// if the program ends first.
async fn launch(mut command: Command, home: &TempDir, mark: &str) -> Option<(Child, String)> {
    let mut process = command
        .env("HOME", home.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("cannot run OpenBao");
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let found = bounded(find(&mut lines, mark)).await?;
    // Reads the rest of the output: otherwise a full pipe would block the server.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    Some((process, found))
}

async fn find<R: AsyncRead + Unpin>(
    lines: &mut tokio::io::Lines<BufReader<R>>,
    mark: &str,
) -> Option<String> {
    while let Some(line) = lines.next_line().await.unwrap() {
        if let Some((_, rest)) = line.split_once(mark) {
            return Some(rest.trim().to_owned());
        }
    }
    None
}
