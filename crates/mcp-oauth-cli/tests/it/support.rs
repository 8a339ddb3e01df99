//! A home for one test: directories, a testbed, and the command with its own environment.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    sync::Mutex,
};

use mcp_oauth_testbed::{Builder, Testbed, test_user};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, ChildStderr, Command},
};
use url::Url;

pub(crate) use test_support::{port::unused_port, wait::bounded};

/// The directories and servers of one test.
pub(crate) struct Home {
    pub(crate) testbed: Testbed,
    directory: TempDir,
    outputs: Mutex<Vec<Output>>,
}

/// The outcome of a run.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    pub(crate) line: String,
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The action of the test user on the consent page.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Does {
    Approve,
    Deny,
    Nothing,
}

impl Home {
    pub(crate) async fn new() -> Self {
        Self::with(Testbed::builder()).await
    }

    pub(crate) async fn with(testbed: Builder) -> Self {
        Self {
            testbed: testbed.start().await.unwrap(),
            directory: tempfile::tempdir().unwrap(),
            outputs: Mutex::default(),
        }
    }

    /// Returns a home with a login to `notes`.
    pub(crate) async fn logged_in() -> Self {
        let home = Self::new().await;
        home.login(&["notes", &home.url()]).await.succeeded();
        home
    }

    pub(crate) fn url(&self) -> String {
        self.testbed.server_url().to_string()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Returns the data directory of the command.
    pub(crate) fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// Writes a file, and returns its path.
    pub(crate) fn file(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) -> String {
        let path = self.directory.path().join(name);
        let mut file = std::fs::File::create(&path).unwrap();
        std::io::Write::write_all(&mut file, content.as_ref()).unwrap();
        path.display().to_string()
    }

    /// Returns the command, without the environment of the user who runs the tests.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.program(env!("CARGO_BIN_EXE_mcp-oauth"));
        command.args(arguments);
        command
    }

    /// Returns another program, in the same environment.
    pub(crate) fn program(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let home = self.directory.path();
        command.env_clear().kill_on_drop(true);
        command
            .env("HOME", home)
            .env("MCP_OAUTH_DATA_DIR", self.data());
        for variable in [
            "XDG_CONFIG_HOME",
            "XDG_DATA_HOME",
            "XDG_CACHE_HOME",
            "TMPDIR",
        ] {
            command.env(variable, home);
        }
        // The tests must not use the keychain of the user who runs them.
        if cfg!(target_os = "linux") {
            command.env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent/bus");
        } else {
            command.env("MCP_OAUTH_STORE", "file");
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Returns the variables that the command needs to reach the keychain of the test's session.
    #[cfg(target_os = "linux")]
    #[expect(
        clippy::disallowed_methods,
        reason = "where the session is, the environment alone says"
    )]
    pub(crate) fn keychain() -> [(&'static str, String); 2] {
        ["DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR"]
            .map(|name| (name, std::env::var(name).unwrap_or_default()))
    }

    /// Runs the command to its end.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Output {
        self.finish(arguments, self.command(arguments)).await
    }

    /// Runs the command with one more variable.
    pub(crate) async fn run_with(&self, name: &str, value: &str, arguments: &[&str]) -> Output {
        self.run_in(&[(name, value)], arguments).await
    }

    /// Runs the command with these variables.
    pub(crate) async fn run_in(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Output {
        let mut command = self.command(arguments);
        command.envs(variables.iter().copied());
        self.finish(arguments, command).await
    }

    /// Runs `login …` with these variables, and approves.
    pub(crate) async fn login_in(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Output {
        let arguments = [&["login"], arguments].concat();
        let mut command = self.command(&arguments);
        command.envs(variables.iter().copied());
        self.attended(&arguments, command, Does::Approve, "").await
    }

    /// Runs the command, and types this line.
    pub(crate) async fn run_typing(&self, arguments: &[&str], line: &str) -> Output {
        let running = Running::start(self.command(arguments), &format!("{line}\n")).await;
        self.keep(Output {
            line: arguments.join(" "),
            ..running.end().await
        })
    }

    /// Runs a prepared command to its end.
    pub(crate) async fn finish(&self, arguments: &[&str], mut command: Command) -> Output {
        let output = command.output().await.unwrap();
        self.keep(Output {
            line: arguments.join(" "),
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        })
    }

    fn keep(&self, output: Output) -> Output {
        self.outputs.lock().unwrap().push(output.clone());
        output
    }

    /// Returns the outputs of all runs so far.
    pub(crate) fn outputs(&self) -> Vec<Output> {
        self.outputs.lock().unwrap().clone()
    }

    /// Runs `login …`, and approves.
    pub(crate) async fn login(&self, arguments: &[&str]) -> Output {
        self.login_in(&[], arguments).await
    }

    /// Runs a command that prints the URL of a login on stderr, and acts as the user there.
    pub(crate) async fn attended(
        &self,
        arguments: &[&str],
        command: Command,
        does: Does,
        stdin: &str,
    ) -> Output {
        let mut running = Running::start(command, stdin).await;
        if let Some(url) = running.url().await {
            match does {
                Does::Approve => drop(test_user::approve(&url).await.unwrap()),
                Does::Deny => drop(test_user::deny(&url).await.unwrap()),
                Does::Nothing => {}
            }
        }
        self.keep(Output {
            line: arguments.join(" "),
            ..running.end().await
        })
    }
}

/// A running command.
pub(crate) struct Running {
    pub(crate) child: Child,
    stderr: BufReader<ChildStderr>,
    read: String,
}

impl Running {
    pub(crate) async fn start(mut command: Command, stdin: &str) -> Self {
        if !stdin.is_empty() {
            command.stdin(Stdio::piped());
        }
        let mut child = command.spawn().unwrap();
        if let Some(mut pipe) = child.stdin.take() {
            pipe.write_all(stdin.as_bytes()).await.unwrap();
        }
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Self {
            child,
            stderr,
            read: String::new(),
        }
    }

    /// Returns the next line of stderr; none if the command has ended.
    async fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.stderr.read_line(&mut line).await.unwrap();
        self.read.push_str(&line);
        (read > 0).then_some(line)
    }

    /// Reads stderr until a line contains `text`, and returns that line.
    pub(crate) async fn wait_for_stderr(&mut self, text: &str) -> String {
        if let Some(line) = self.read.lines().find(|line| line.contains(text)) {
            return line.to_owned();
        }
        loop {
            match self.line().await {
                Some(line) if line.contains(text) => return line,
                Some(_) => {}
                None => panic!("{text:?} is not in {}", self.read),
            }
        }
    }

    /// Returns the URL that the user has to open; none if the command ends without one.
    pub(crate) async fn url(&mut self) -> Option<Url> {
        loop {
            let line = self.line().await?;
            if let Some(url) = line.strip_prefix("  http") {
                return Some(format!("http{}", url.trim()).parse().unwrap());
            }
        }
    }

    /// Returns the code that the user has to enter; none if the command ends without one.
    pub(crate) async fn user_code(&mut self) -> Option<String> {
        loop {
            let line = self.line().await?;
            if let Some(code) = line.strip_prefix("and enter the code ") {
                return Some(code.trim().to_owned());
            }
        }
    }

    pub(crate) async fn end(mut self) -> Output {
        let mut stdout = String::new();
        let mut pipe = self.child.stdout.take().unwrap();
        let (out, err) = tokio::join!(
            pipe.read_to_string(&mut stdout),
            self.stderr.read_to_string(&mut self.read)
        );
        out.and(err).unwrap();
        let code = self.child.wait().await.unwrap().code().unwrap_or(-1);
        Output {
            line: String::new(),
            code,
            stdout,
            stderr: self.read,
        }
    }
}

impl Output {
    #[track_caller]
    pub(crate) fn succeeded(self) -> Self {
        self.ended(0)
    }

    #[track_caller]
    pub(crate) fn ended(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }

    /// Returns the JSON document on stdout.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }

    #[track_caller]
    pub(crate) fn says(&self, text: &str) -> &Self {
        let all = [self.stdout.as_str(), self.stderr.as_str()].concat();
        assert!(all.contains(text), "{text:?} is not in {self:#?}");
        self
    }
}

/// Borrows the values of variables, for [`Home::run_in`].
pub(crate) fn borrowed<'a, const N: usize>(
    own: &'a [(&'static str, String); N],
) -> [(&'static str, &'a str); N] {
    own.each_ref().map(|(name, value)| (*name, value.as_str()))
}

/// Returns every file below `directory`, with its content.
pub(crate) fn snapshot(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    let Ok(entries) = std::fs::read_dir(directory) else {
        return files;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(snapshot(&path));
        } else {
            let bytes = std::fs::read(&path).unwrap();
            files.push((path, bytes));
        }
    }
    files.sort();
    files
}
