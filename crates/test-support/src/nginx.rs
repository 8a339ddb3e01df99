//! A real nginx, which distributes requests to the replicas of an application in turn. It stops when the value
//! is dropped.

use std::fs;
use std::net::SocketAddr;
use std::process::Stdio;

use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::tool::is_skipped;
use crate::wait::bounded;

/// A server and its files.
#[derive(Debug)]
#[non_exhaustive]
pub struct Nginx {
    home: TempDir,
    _process: Child,
}

/// Returns whether nginx is there. The check script installs it, or skips these tests: then this returns
/// `false`.
pub fn is_enabled() -> bool {
    !is_skipped("MCP_OAUTH_TEST_NGINX", "there is no nginx to test with")
}

impl Nginx {
    /// Starts nginx on this port of 127.0.0.1, before these replicas.
    pub async fn start(port: u16, replicas: &[SocketAddr]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let configuration = home.path().join("nginx.conf");
        #[expect(clippy::disallowed_methods, reason = "a file of a test")]
        fs::write(&configuration, text(port, replicas)).unwrap();
        let mut process = Command::new(program())
            .arg("-p")
            .arg(home.path())
            .arg("-e")
            .arg(home.path().join("error.log"))
            .arg("-c")
            .arg(configuration)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("cannot run nginx");
        bounded(async {
            while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                let ended = process.try_wait().unwrap();
                assert!(ended.is_none(), "nginx has ended: {ended:?}");
                tokio::task::yield_now().await;
            }
        })
        .await;
        Self {
            home,
            _process: process,
        }
    }

    /// Returns the access log: for each request the replicas that got it, the method and the path.
    pub fn requests(&self) -> String {
        fs::read_to_string(self.home.path().join("access.log")).unwrap()
    }

    /// Returns both logs.
    pub fn logs(&self) -> String {
        let errors = fs::read_to_string(self.home.path().join("error.log")).unwrap();
        self.requests() + &errors
    }
}

/// Returns the program. The directory of Debian's package is not on the `PATH` of every user.
fn program() -> &'static str {
    let on_path = std::process::Command::new("nginx").arg("-v").output();
    if on_path.is_ok() {
        return "nginx";
    }
    let installed = "/usr/sbin/nginx";
    assert!(
        fs::exists(installed).unwrap(),
        "no nginx: run `scripts/check test`, or set MCP_OAUTH_TEST_NGINX to `skip`"
    );
    installed
}

/// Returns a configuration for one process, which the test can end. Its log has no query: the callback of a
/// login has a code in it.
fn text(port: u16, replicas: &[SocketAddr]) -> String {
    let servers = replicas.iter().map(|replica| format!("server {replica};"));
    let servers = servers.collect::<Vec<_>>().concat();
    let directories: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|module| format!("{module}_temp_path {module};"))
        .concat();
    format!(
        "daemon off; master_process off; pid nginx.pid;
        error_log error.log info;
        events {{ worker_connections 256; }}
        http {{
            log_format path '$upstream_addr $request_method $uri';
            access_log access.log path;
            {directories}
            upstream application {{ {servers} }}
            server {{
                listen 127.0.0.1:{port};
                location / {{
                    proxy_pass http://application;
                    proxy_set_header Host $http_host;
                }}
            }}
        }}"
    )
}
