//! The shared state of the demo's steps: the servers, a temporary store, and the list of checks.

use std::{path::Path, sync::Arc};

use mcp_client_oauth::{
    Client, ServerUrl, TokenStore,
    flow::TokenSet,
    platform::{Platform, ReqwestClient},
    store::Record,
};
use mcp_oauth_store::{EncryptedFileStore, KeySource};
use mcp_oauth_testbed::Testbed;
use tempfile::TempDir;

use super::consent::TestUser;
use crate::{
    context::{Context, parse_url},
    error::Failure,
    ui::{GOOD, HEAD, SOFT, Ui},
};

/// The shared state of the demo.
pub(super) struct DemoContext {
    pub(super) ui: Ui,
    pub(super) testbed: Testbed,
    /// The client, with the test user and a temporary store.
    pub(super) client: Client,
    pub(super) network: Arc<ReqwestClient>,
    pub(super) user: Arc<TestUser>,
    pub(super) server: ServerUrl,
    directory: TempDir,
    steps: usize,
    checks: Vec<String>,
}

impl DemoContext {
    pub(super) fn new(
        context: &Context,
        testbed: Testbed,
        user: Arc<TestUser>,
    ) -> Result<Self, Failure> {
        let directory = tempfile::Builder::new().prefix("mcp-oauth-demo-").tempdir();
        let directory = directory.map_err(|error| {
            Failure::file("create a directory in", &std::env::temp_dir(), &error)
        })?;
        let files = EncryptedFileStore::open(directory.path().join("tokens"), KeySource::KeyFile)?;
        let client = context.client(TokenStore::new(Arc::new(files)));
        Ok(Self {
            ui: context.ui.clone(),
            server: parse_url(testbed.server_url().as_str())?,
            client: client.with_interaction(user.clone()),
            network: Arc::clone(&context.network),
            testbed,
            user,
            directory,
            steps: 0,
            checks: Vec::new(),
        })
    }

    pub(super) fn platform(&self) -> &Platform {
        self.client.platform()
    }

    /// Returns the directory of the demo's files.
    pub(super) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Returns whether these tokens are stored. Times are not compared: the store keeps them to the second.
    pub(super) async fn has_stored(&self, tokens: &TokenSet) -> Result<bool, Failure> {
        Ok(self.stored().await?.is_some_and(|record| {
            record.tokens.access_token == tokens.access_token
                && record.tokens.refresh_token == tokens.refresh_token
        }))
    }

    /// Returns the record in the store.
    pub(super) async fn stored(&self) -> Result<Option<Record>, Failure> {
        let stored = self.client.store().load(&(&self.server).into()).await?;
        Ok(stored.map(|(record, _)| record))
    }

    pub(super) fn introduce(&self) {
        self.tell(&format!("{HEAD}mcp-oauth demo{HEAD:#}"));
        self.tell(
            "An authorization server and an MCP server run inside this command, on loopback.",
        );
        self.tell("The requests between them and mcp-oauth are real; the notes are not.");
        self.tell(&format!("  MCP server            {}", self.server));
        self.tell(&format!(
            "  authorization server  {}",
            self.testbed.issuer()
        ));
        self.tell(&format!(
            "  store                 {}",
            self.directory().display()
        ));
        self.tell(self.user.introduction());
    }

    /// Prints the title of the next step.
    pub(super) fn step(&mut self, title: &str) {
        self.steps += 1;
        self.tell(&format!("\n{HEAD}{}. {title}{HEAD:#}", self.steps));
    }

    /// Prints a received value.
    pub(super) fn show(&self, name: &str, value: impl std::fmt::Display) {
        self.tell(&format!("   {SOFT}{name:16}{SOFT:#} {value}"));
    }

    /// Checks a claim. A claim that is false ends the demo.
    pub(super) fn check(&mut self, claim: &str, holds: bool) -> Result<(), Failure> {
        if !holds {
            let message = format!("the demo failed: check failed: {claim}");
            let hint = "see each step: mcp-oauth demo -v";
            return Err(Failure::other("demo", message, Some(hint.to_owned())));
        }
        self.tell(&format!("   {GOOD}✓{GOOD:#} {claim}"));
        self.checks.push(claim.to_owned());
        Ok(())
    }

    /// Returns the claims that were checked.
    pub(super) fn checks(&self) -> &[String] {
        &self.checks
    }

    pub(super) fn summarize(&self) {
        self.tell(&format!("\n{HEAD}Checked{HEAD:#}"));
        for claim in &self.checks {
            self.tell(&format!("   {GOOD}✓{GOOD:#} {claim}"));
        }
        self.tell("\nThe servers stop now, and the store is removed.");
        self.tell(&format!(
            "{HEAD}next:{HEAD:#} mcp-oauth login NAME https://your.server/mcp"
        ));
    }

    /// Prints a line: on stdout for a user, and as progress on stderr with `--json`.
    pub(super) fn tell(&self, line: &str) {
        if self.ui.is_json() {
            self.ui.progress(line);
        } else {
            self.ui.line(line);
        }
    }
}
