//! The example of a web application: its pages over HTTP and in a real browser, and as two replicas behind a
//! proxy.

use clap::Parser as _;
use mcp_client_oauth::{LoginKey, TokenStore};
use mcp_oauth_testbed::{Builder, Testbed};
use tokio::net::TcpListener;
use url::Url;

use self::application::{Options, serve};
use crate::encrypted::Home;

#[path = "../../examples/web_app.rs"]
mod application;
mod browser;
mod pages;
#[cfg(unix)]
mod replicas;
mod visitor;

/// The application in this process, with one server and its store in encrypted files.
struct Running {
    url: Url,
    notes: Testbed,
    home: Home,
}

impl Running {
    async fn start() -> Self {
        Self::with(Testbed::builder()).await
    }

    async fn with(builder: Builder) -> Self {
        let notes = builder.start().await.unwrap();
        let home = Home::new();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = url_at(listener.local_addr().unwrap().port());
        let store = format!("file:{}", home.path().display());
        let options = Options::parse_from(arguments(&url, &store, &notes));
        tokio::spawn(async move { serve(options, listener).await.unwrap() });
        Self { url, notes, home }
    }

    fn path(&self, path: &str) -> Url {
        self.url.join(path).unwrap()
    }

    /// Opens the store again, as another process does.
    fn store(&self) -> TokenStore {
        TokenStore::open(&format!("file:{}", self.home.path().display())).unwrap()
    }

    /// Returns whether a user is connected.
    async fn is_connected(&self, user: &str) -> bool {
        let key = LoginKey::try_from(self.notes.server_url().as_str()).unwrap();
        let found = self.store().load(&key.with_account(user)).await;
        found.unwrap().is_some()
    }
}

/// Returns the URL of the application: another site than the servers, which are at 127.0.0.1, so that the
/// browser applies `SameSite`.
fn url_at(port: u16) -> Url {
    format!("http://localhost:{port}").parse().unwrap()
}

/// Returns the command line of an application.
fn arguments(url: &Url, store: &str, notes: &Testbed) -> [String; 9] {
    let server = format!("notes={}", notes.server_url());
    let listen = "127.0.0.1:0";
    let words = [
        "web_app",
        "--listen",
        listen,
        "--url",
        url.as_str(),
        "--store",
        store,
        "--server",
        &server,
    ];
    words.map(ToOwned::to_owned)
}
