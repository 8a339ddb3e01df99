//! What the steps of the demo share: the servers, a store that is gone afterwards, and the list of
//! what has been proved.

use std::{path::Path, sync::Arc};

use mcp_client_oauth::{
    ServerUrl, TokenStore,
    platform::{Platform, ReqwestClient},
    proto::token::TokenSet,
    store::{EncryptedFileStore, KeySource, LoginKey},
};
use mcp_oauth_testbed::Testbed;
use tempfile::TempDir;

use super::consent::TestUser;
use crate::{
    context::{Context, parse_url, with_person},
    error::Failure,
    ui::{GOOD, HEAD, SOFT, Ui},
};

/// The demo's world.
pub(super) struct DemoContext {
    pub(super) ui: Ui,
    pub(super) testbed: Testbed,
    pub(super) platform: Platform,
    pub(super) network: Arc<ReqwestClient>,
    pub(super) person: Arc<TestUser>,
    pub(super) store: TokenStore,
    pub(super) server: ServerUrl,
    directory: TempDir,
    steps: usize,
    proved: Vec<String>,
}

impl DemoContext {
    pub(super) fn new(
        context: &Context,
        testbed: Testbed,
        person: Arc<TestUser>,
    ) -> Result<Self, Failure> {
        let directory = tempfile::Builder::new().prefix("mcp-oauth-demo-").tempdir();
        let directory = directory.map_err(|error| {
            Failure::file("create a directory in", &std::env::temp_dir(), &error)
        })?;
        let files = EncryptedFileStore::open(directory.path().join("tokens"), KeySource::KeyFile)?;
        Ok(Self {
            ui: context.ui.clone(),
            server: parse_url(testbed.server_url().as_str())?,
            platform: with_person(&context.platform, person.clone()),
            network: Arc::clone(&context.network),
            store: TokenStore::new(Arc::new(files)),
            testbed,
            person,
            directory,
            steps: 0,
            proved: Vec::new(),
        })
    }

    pub(super) fn key(&self) -> LoginKey {
        LoginKey::from(&self.server)
    }

    /// Returns where the demo's files are.
    pub(super) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Returns whether these are the tokens that the store has. (It keeps times to the second.)
    pub(super) async fn has_stored(&self, tokens: &TokenSet) -> Result<bool, Failure> {
        let stored = self.store.load(&self.key()).await?;
        Ok(stored.is_some_and(|(record, _)| {
            record.tokens.access_token == tokens.access_token
                && record.tokens.refresh_token == tokens.refresh_token
        }))
    }

    pub(super) fn introduce(&self) {
        self.tell(&format!("{HEAD}mcp-oauth demo{HEAD:#}"));
        self.tell(
            "An authorization server and an MCP server run inside this command, on loopback.",
        );
        self.tell("What happens between them and us is real; the notes behind them are not.");
        self.tell(&format!("  MCP server            {}", self.server));
        self.tell(&format!(
            "  authorization server  {}",
            self.testbed.issuer()
        ));
        self.tell(&format!(
            "  store                 {}",
            self.directory().display()
        ));
        self.tell(self.person.introduction());
    }

    /// A step begins.
    pub(super) fn step(&mut self, title: &str) {
        self.steps += 1;
        self.tell(&format!("\n{HEAD}{}. {title}{HEAD:#}", self.steps));
    }

    /// Something that came.
    pub(super) fn show(&self, name: &str, value: impl std::fmt::Display) {
        self.tell(&format!("   {SOFT}{name:16}{SOFT:#} {value}"));
    }

    /// A claim, which holds or ends the demo.
    pub(super) fn prove(&mut self, claim: &str, holds: bool) -> Result<(), Failure> {
        if !holds {
            let message = format!("the demo failed: it is not true that {claim}");
            let hint = "see each step: mcp-oauth demo -v";
            return Err(Failure::other("demo", message, Some(hint.to_owned())));
        }
        self.tell(&format!("   {GOOD}✓{GOOD:#} {claim}"));
        self.proved.push(claim.to_owned());
        Ok(())
    }

    /// Returns what has been proved.
    pub(super) fn proved(&self) -> &[String] {
        &self.proved
    }

    pub(super) fn summarize(&self) {
        self.tell(&format!("\n{HEAD}Proved{HEAD:#}"));
        for claim in &self.proved {
            self.tell(&format!("   {GOOD}✓{GOOD:#} {claim}"));
        }
        self.tell("\nNothing is left of it: the servers stop now, and the store is removed.");
        self.tell(&format!(
            "{HEAD}next:{HEAD:#} mcp-oauth login NAME https://your.server/mcp"
        ));
    }

    /// The story is the result for a person; for a program it is progress.
    pub(super) fn tell(&self, line: &str) {
        if self.ui.is_json() {
            self.ui.progress(line);
        } else {
            self.ui.line(line);
        }
    }
}
