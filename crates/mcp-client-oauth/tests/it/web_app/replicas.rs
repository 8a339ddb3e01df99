//! Two replicas of the application, each a process of its own, behind a real nginx that sends the requests to
//! them in turn. They share a store: encrypted files on one host, and OpenBao as two hosts.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::Write as _,
    net::SocketAddr,
    path::Path,
};

use aho_corasick::AhoCorasick;
use mcp_oauth_testbed::test_user::Decision;
use tempfile::TempDir;
use test_support::{
    bao::Bao,
    nginx::{self, Nginx},
};
use tracing_subscriber::filter::LevelFilter;

use super::{
    browser::{User, two_users_at_once},
    visitor::Visitor,
    *,
};
use crate::{
    chromium,
    concurrent_refresh::process::{Process, env_var, report, rerun},
    encrypted::contents,
    leaks::sent_secrets,
    support::{bounded, parameter, unused_port},
};

const ARGUMENTS: &str = "MCP_OAUTH_TEST_WEB_APP";

/// The store that the replicas share.
enum Shared {
    Files(Home),
    Vault(Box<Bao>),
}

impl Shared {
    fn files() -> Self {
        Self::Files(Home::new())
    }

    /// Its data is on the disk, where a test can search it.
    async fn vault() -> Option<Self> {
        Some(Self::Vault(Box::new(Bao::on_disk().await?)))
    }

    /// Returns the value of `--store`.
    fn spec(&self) -> String {
        match self {
            Self::Files(home) => format!("file:{}", home.path().display()),
            Self::Vault(bao) => format!("vault:{}", bao.address),
        }
    }

    /// Returns the content of every file of the store.
    fn contents(&self) -> Vec<u8> {
        let directory = match self {
            Self::Files(home) => home.path(),
            Self::Vault(bao) => bao.home().join("data"),
        };
        let files = contents(&directory).into_iter();
        let named = files.map(|(path, bytes)| [path.to_string_lossy().as_bytes(), &bytes].concat());
        named.collect::<Vec<_>>().concat()
    }
}

struct Deployment {
    url: Url,
    notes: Testbed,
    store: Shared,
    nginx: Nginx,
    replicas: Vec<(SocketAddr, Process)>,
    home: TempDir,
}

impl Deployment {
    async fn start(store: Shared) -> Self {
        let notes = Testbed::start().await.unwrap();
        let port = unused_port();
        let url = url_at(port);
        let home = tempfile::tempdir().unwrap();
        write(&home.path().join("cookie-key"), &[7; 64]);
        if let Shared::Vault(bao) = &store {
            // Where `vault login` stores it.
            write(&home.path().join(".vault-token"), bao.root.as_bytes());
        }
        let mut replicas = Vec::new();
        for number in 0..2 {
            let log = home.path().join(format!("{number}.log"));
            let mut arguments = arguments(&url, &store.spec(), &notes).to_vec();
            arguments.push("--cookie-key".to_owned());
            arguments.push(home.path().join("cookie-key").display().to_string());
            let mut command = rerun("web_app::replicas::a_replica_serves");
            command
                .env(ARGUMENTS, arguments.join("\n"))
                .env("HOME", home.path())
                .stderr(File::create(log).unwrap());
            let mut process = Process::start(command);
            let address = process.receive().await.expect("a replica starts");
            replicas.push((address.parse().unwrap(), process));
        }
        let addresses: Vec<_> = replicas.iter().map(|(address, _)| *address).collect();
        Self {
            nginx: Nginx::start(port, &addresses).await,
            url,
            notes,
            store,
            replicas,
            home,
        }
    }

    /// Waits until so many requests like this are in the log. Returns the replicas that nginx has sent the last
    /// of them to.
    async fn served_by(&self, request: &str, number: usize) -> String {
        bounded(async {
            loop {
                let log = self.nginx.requests();
                let mut lines = log.lines().filter_map(|line| line.strip_suffix(request));
                if let Some(replicas) = lines.nth(number - 1) {
                    return replicas.trim().to_owned();
                }
                tokio::task::yield_now().await;
            }
        })
        .await
    }

    /// Kills the replica at this address, without a shutdown. Returns the address of the other one.
    async fn kill(&mut self, address: &str) -> String {
        let at = |(replica, _): &(SocketAddr, Process)| replica.to_string() == address;
        let number = self.replicas.iter().position(at).unwrap();
        let (_, mut killed) = self.replicas.remove(number);
        killed.kill().await;
        self.replicas[0].0.to_string()
    }

    /// Returns everything that the replicas and nginx have logged.
    fn logs(&self) -> String {
        let logs = ["0.log", "1.log"].map(|log| fs::read_to_string(self.home.path().join(log)));
        logs.map(Result::unwrap).concat() + &self.nginx.logs()
    }
}

fn write(path: &Path, content: &[u8]) {
    File::create(path).unwrap().write_all(content).unwrap();
}

/// Serves as the application if a test started this process, and logs everything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_serves() {
    let Some(arguments) = env_var(ARGUMENTS) else {
        return;
    };
    tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .init();
    let options = Options::parse_from(arguments.split('\n'));
    let listener = TcpListener::bind(options.listen).await.unwrap();
    report(&listener.local_addr().unwrap().to_string());
    serve(options, listener).await.unwrap();
}

async fn two_users_and_a_killed_replica(store: Shared) {
    let mut app = Deployment::start(store).await;
    two_users_at_once(&app.url).await;
    let requests = app.nginx.requests();
    for (replica, _) in &app.replicas {
        assert!(requests.contains(&replica.to_string()), "{requests}");
    }

    let carol = User::signed_in(&app.url, "carol").await;
    carol.connects().await;
    let began = app.served_by("POST /servers/notes/connect", 3).await;
    let other = app.kill(&began).await;
    carol.approves().await;
    carol.sees_the_tools().await;
    // nginx may have tried the replica that was killed before the other one.
    let finished = app.served_by("GET /callback/notes", 3).await;
    assert!(
        finished.ends_with(&other),
        "begun by {began}, finished by {finished}"
    );
    assert_eq!(app.notes.token_requests("authorization_code"), 3);
}

#[tokio::test]
async fn a_login_outlives_the_replica_that_began_it_with_encrypted_files() {
    if nginx::is_enabled() && chromium::is_enabled() {
        two_users_and_a_killed_replica(Shared::files()).await;
    }
}

#[tokio::test]
async fn a_login_outlives_the_replica_that_began_it_with_openbao() {
    if !(nginx::is_enabled() && chromium::is_enabled()) {
        return;
    }
    if let Some(store) = Shared::vault().await {
        two_users_and_a_killed_replica(store).await;
    }
}

/// Runs logins that end in every way, and searches what the deployment has written.
async fn search_for_secrets(store: Shared) {
    let app = Deployment::start(store).await;
    let mut secrets = BTreeSet::new();
    let mut visitors = Vec::new();
    for (number, decision) in [Decision::Approve, Decision::Approve, Decision::Deny]
        .into_iter()
        .enumerate()
    {
        let mut visitor = Visitor::signed_in(&app.url, &format!("user-{number}")).await;
        let callback = visitor.callback(decision).await;
        secrets.insert(parameter(&callback, "state"));
        let secret = visitor.secret();
        secrets.extend(secret.expose().split('.').next().map(ToOwned::to_owned));
        secrets.insert(visitor.cookies["session"].value().to_owned());
        visitors.push((visitor, callback));
    }
    let pending = app.store.contents();
    for (visitor, callback) in &mut visitors {
        let target = visitor.redirect(callback).await;
        assert!(["/servers/notes", "/failed/connect"].contains(&target.as_str()));
        assert_eq!(visitor.redirect(callback).await, "/failed/connect");
        visitor.get(&app.url.join("/servers/notes").unwrap()).await;
    }
    // This one stays pending.
    let abandoned = visitors[0].0.connect().await;
    secrets.insert(parameter(&abandoned, "state"));
    // The revocation has the refresh token in it.
    visitors[1].0.post("/servers/notes/log-out", &[]).await;
    assert_eq!(app.notes.token_requests("authorization_code"), 2);
    secrets.extend(sent_secrets(&app.notes));
    // States, sessions, browser secrets, codes, verifiers, access tokens, and one refresh token.
    let least = 4 + 3 + 3 + 2 + 2 + 2 + 1;
    assert!(secrets.len() >= least, "{}", secrets.len());

    let (stored, logs) = (app.store.contents(), app.logs());
    for replica in ["0.log", "1.log"] {
        let log = fs::read_to_string(app.home.path().join(replica)).unwrap();
        assert!(log.contains("TRACE"), "{replica} has no traces");
    }
    assert!(logs.contains(" GET /callback/notes\n"), "{logs}");
    // A part of a secret would help to guess the rest.
    let halves: Vec<_> = secrets
        .iter()
        .map(|secret| &secret[..secret.len() / 2])
        .collect();
    let search = AhoCorasick::new(&halves).unwrap();
    for (name, text) in [("the pending logins", &pending), ("the store", &stored)] {
        assert!(text.len() > 1000);
        assert_no_match(&search, name, text);
    }
    assert_no_match(&search, "a log", logs.as_bytes());
}

fn assert_no_match(search: &AhoCorasick, name: &str, text: &[u8]) {
    if let Some(found) = search.find(text) {
        let start = found.start().saturating_sub(200);
        let around = String::from_utf8_lossy(&text[start..found.end()]);
        panic!("a secret is in {name}: {around}");
    }
}

#[tokio::test]
async fn no_secret_of_a_login_is_in_a_log_or_in_encrypted_files() {
    if nginx::is_enabled() {
        search_for_secrets(Shared::files()).await;
    }
}

#[tokio::test]
async fn no_secret_of_a_login_is_in_a_log_or_on_the_disk_of_openbao() {
    if !nginx::is_enabled() {
        return;
    }
    if let Some(store) = Shared::vault().await {
        search_for_secrets(store).await;
    }
}
