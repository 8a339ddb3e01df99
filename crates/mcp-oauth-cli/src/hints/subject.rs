//! The subject of a hint: the command line and the stored options of the server. The proposed commands
//! repeat what was typed, so that each can be pasted.

use mcp_client_oauth::ServerUrl;

use super::{
    proposal::{Flag, NON_INTERACTIVE_FLAGS, Proposal},
    typed::{flags, global, options, verb},
};
use crate::{
    args::{Bundle, Cli, Command, Config, Install, Login},
    servers::{GrantKind, Server, Servers},
};

/// The placeholder of a command line without a name.
const NAME: &str = "NAME";

/// The login that a command is about: the server as it was typed, and the options that were typed
/// with it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Subject {
    /// The command, if a server and an account are all that it takes; or `login`.
    verb: Option<&'static str>,
    /// The name, or the URL alone.
    typed: Option<String>,
    /// The URL that was typed after the name.
    url: Option<String>,
    /// The account, for a command other than `login`.
    account: Option<String>,
    /// The options of `login` that were typed.
    options: Vec<Flag>,
    /// The global options that were typed.
    global: Vec<Flag>,
    /// The stored options of the server.
    known: Option<Server>,
}

impl Subject {
    /// Takes the command line. [`knowing`](Self::knowing) adds the stored options of the server.
    pub(crate) fn of(cli: &Cli) -> Self {
        let verb = verb(&cli.command);
        let named = |server: &String, account: &Option<String>| Self {
            typed: Some(server.clone()),
            account: account.clone(),
            ..Self::default()
        };
        let of_command = match &cli.command {
            Command::Login(login) => Self::of_login(login),
            Command::Proxy(proxy) => Self::of_login(&proxy.login()),
            Command::Show(target) | Command::Refresh(target) => {
                named(&target.server, &target.account)
            }
            Command::Token(token) | Command::Headers(token) => {
                named(&token.target.server, &token.target.account)
            }
            Command::Renew(renew) => named(&renew.target.server, &renew.target.account),
            Command::Test(connect) | Command::Tools(connect) => Self {
                url: connect.url.clone(),
                ..named(&connect.target.server, &connect.target.account)
            },
            Command::Request(request) => named(&request.server, &request.account),
            Command::Install(Install {
                server, allow_http, ..
            })
            | Command::Bundle(Bundle {
                server, allow_http, ..
            })
            | Command::Config(Config {
                server, allow_http, ..
            }) => Self {
                options: flags([("--allow-http", *allow_http)]),
                ..named(server, &None)
            },
            Command::Logout(logout) => Self {
                url: logout.url.clone(),
                ..named(&logout.target.server, &logout.target.account)
            },
            Command::Clear(clear) => Self {
                typed: clear.server.clone(),
                account: clear.account.clone(),
                ..Self::default()
            },
            Command::Demo(_)
            | Command::List
            | Command::Stores
            | Command::Migrate(_)
            | Command::Paste
            | Command::Prune
            | Command::ClientMetadata(_)
            | Command::Uninstall(_)
            | Command::OpenUrl { .. } => Self::default(),
        };
        Self {
            verb,
            global: global(&cli.global),
            ..of_command
        }
    }

    /// Takes the arguments of `login`.
    fn of_login(login: &Login) -> Self {
        Self {
            typed: login.name.clone(),
            url: login.url.clone(),
            options: options(login),
            ..Self::default()
        }
    }

    /// Returns a subject with only a name.
    #[cfg(test)]
    pub(crate) fn named(name: &str) -> Self {
        Self {
            typed: Some(name.to_owned()),
            ..Self::default()
        }
    }

    /// Adds the stored options of the server, by its name or its URL.
    #[must_use]
    pub(crate) fn knowing(mut self, servers: &Servers) -> Self {
        let url = self.server_url();
        let named = self.typed.as_deref().and_then(|name| servers.find(name));
        let found = match (named, &url) {
            // A name that is typed with another URL is about to be changed to that one.
            (Some(server), Some(url)) => Some(server).filter(|server| server.url == *url),
            (Some(server), None) => Some(server),
            (None, Some(url)) if self.url.is_none() => servers
                .iter()
                .map(|(_, server)| server)
                .find(|server| server.url == *url),
            (None, _) => None,
        };
        self.known = found.cloned();
        self
    }

    /// Returns the URL of the server: the one that was typed, or that of the name.
    pub(super) fn server_url(&self) -> Option<ServerUrl> {
        if let Some(known) = &self.known {
            return Some(known.url.clone());
        }
        let typed = self.url.as_deref().or(self.typed.as_deref())?;
        ServerUrl::parse_allow_http(typed).ok()
    }

    /// Returns the grant of the login, if it is not a browser on this machine.
    pub(super) fn grant(&self) -> Option<GrantKind> {
        let has = |name: &str| self.options.iter().any(|flag| flag.name == name);
        if has("--client-credentials") {
            Some(GrantKind::ClientCredentials)
        } else if has("--workload-token") {
            Some(GrantKind::Workload)
        } else if has("--idp") {
            Some(GrantKind::Enterprise)
        } else if has("--device") {
            Some(GrantKind::Device)
        } else {
            self.known.as_ref()?.grant
        }
    }

    /// Returns whether the login uses a pre-registered client.
    pub(super) fn has_own_client(&self) -> bool {
        let is_typed = self.options.iter().any(|flag| flag.name == "--client-id");
        is_typed
            || self
                .known
                .as_ref()
                .is_some_and(|known| known.client_id.is_some())
    }

    /// Returns whether the server has a name.
    pub(super) fn is_known(&self) -> bool {
        self.known.is_some()
    }

    /// Returns whether the command is a login.
    pub(super) fn is_login(&self) -> bool {
        self.verb == Some("login")
    }

    /// Returns the same command with another name, for a command that takes only a name and an account. The
    /// arguments of `request` may hold a secret, so they are not repeated.
    pub(super) fn renamed(&self, name: &str) -> Option<Proposal> {
        let other = Self {
            typed: Some(name.to_owned()),
            ..self.clone()
        };
        match self.verb? {
            "login" => Some(other.login()),
            verb => Some(other.command(verb)),
        }
    }

    /// Returns a login with everything that was typed. A name that is not known yet is given with its URL.
    pub(super) fn login(&self) -> Proposal {
        let is_known = self.known.is_some();
        let url = self.url.clone().filter(|_| !is_known);
        let account = self
            .account
            .clone()
            .map(|account| Flag::valued("--account", account));
        Proposal {
            verb: "login",
            server: vec![self.server()],
            url,
            flags: account.into_iter().chain(self.options.clone()).collect(),
            global: self.global.clone(),
        }
    }

    /// Returns the command line of a login with everything that was typed.
    pub(crate) fn login_command(&self) -> String {
        self.login().to_string()
    }

    /// Returns a login that opens a browser. It has the URL and `--force`, which reset the stored options of
    /// the name.
    pub(super) fn browser_login(&self) -> Proposal {
        let proposal = match self
            .server_url()
            .filter(|_| self.is_known() && self.is_name())
        {
            Some(url) => self.login_at(&url).with("--force"),
            // A name of the URL may be stored with `--device`.
            None if self.is_known() => self.login().with("--no-browser"),
            None => self.login(),
        };
        proposal
            .without(&NON_INTERACTIVE_FLAGS)
            .without(&["--device"])
    }

    /// Returns a login at another URL, under the same name.
    pub(super) fn login_at(&self, url: &ServerUrl) -> Proposal {
        let mut proposal = self.login();
        if self.is_name() {
            proposal.url = Some(url.to_string());
        } else {
            proposal.server = vec![url.to_string()];
        }
        proposal
    }

    /// Returns another command for the same login, which must be stored already.
    pub(super) fn command(&self, verb: &'static str) -> Proposal {
        let by_url = self.known.is_none() && self.url.is_some();
        let server = match self.server_url().filter(|_| by_url) {
            Some(url) => url.to_string(),
            None => self.server(),
        };
        let typed = self.options.iter().find(|flag| flag.name == "--account");
        let account = self
            .account
            .clone()
            .map(|account| Flag::valued("--account", account));
        Proposal {
            verb,
            server: vec![server],
            url: None,
            flags: account.or(typed.cloned()).into_iter().collect(),
            global: self.global.clone(),
        }
    }

    /// Returns the arguments of another command of this program for the same login, with the global options
    /// that were typed.
    pub(crate) fn arguments(&self, verb: &'static str) -> Vec<String> {
        self.command(verb).arguments()
    }

    /// Returns the command to continue with after a login with the name `name`.
    pub(crate) fn next(&self, verb: &'static str, name: &str) -> String {
        let server = vec![name.to_owned()];
        Proposal {
            server,
            ..self.plain(verb)
        }
        .to_string()
    }

    /// Returns a command without a server.
    pub(super) fn plain(&self, verb: &'static str) -> Proposal {
        Proposal {
            verb,
            server: Vec::new(),
            url: None,
            flags: Vec::new(),
            global: self.global.clone(),
        }
    }

    fn server(&self) -> String {
        self.typed.clone().unwrap_or_else(|| NAME.to_owned())
    }

    fn is_name(&self) -> bool {
        self.typed
            .as_deref()
            .is_some_and(|typed| !typed.contains("://"))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::hints::typed::LOCAL_LOGOUT;

    fn subject(line: &[&str]) -> Subject {
        let line = ["mcp-oauth"].iter().chain(line);
        Subject::of(&Cli::parse_from(line))
    }

    fn known(name: &str, server: Server) -> (tempfile::TempDir, Servers) {
        let directory = tempfile::tempdir().unwrap();
        let mut servers = Servers::read(&directory.path().join("servers.json")).unwrap();
        servers.remember(name, server).unwrap();
        (directory, servers)
    }

    fn server() -> Server {
        Server::new("https://a.example/mcp".parse().unwrap())
    }

    #[test]
    fn a_name_is_repeated_with_its_url_until_it_is_known() {
        let url = "https://a.example/mcp";
        let new = subject(&["login", "a", url, "--account", "work"]);
        let expected = format!("mcp-oauth login a {url} --account work");
        assert_eq!(new.login().to_string(), expected);
        let (_directory, servers) = known("a", server());
        let again = new.knowing(&servers).login().to_string();
        assert_eq!(again, "mcp-oauth login a --account work");
        let moved = subject(&["login", "a", "https://b.example/"]).knowing(&servers);
        let moved = moved.login().to_string();
        assert_eq!(moved, "mcp-oauth login a https://b.example/");
        assert_eq!(
            subject(&["login", url]).login().to_string(),
            format!("mcp-oauth login {url}")
        );
    }

    /// Command lines; a `_` stands for a blank within an argument.
    const LINES: [&str; 6] = [
        "login a https://a.example/mcp --scope x_y --client-id it's_me --client-secret-stdin \
         --port 80 --timeout 90s --legacy --allow-http --force --no-wait --dpop --reuse-login --no-browser \
         --no-resource --scope-on-refresh --form-encoded-responses --assume-pkce --assume-bearer \
         --authorize-param a=b_c --login-hint me --accept-issuer _ --data-dir /a_b --store file",
        "login a --client-metadata-url https://x.example/c --redirect-uri http://127.0.0.1/x \
         --resource urn:x",
        "login a --device --password-file /p --ca-cert /c --client-cert /d --client-key /e",
        "login a --client-credentials --private-key /k",
        "login a --workload-token env:JWT",
        "login a --idp https://i.example --idp-token-endpoint https://i.example/t \
         --idp-client-id x --id-token /t --idp-private-key /k",
    ];

    /// Every option that is repeated is an option of `login`.
    #[test]
    fn a_repeated_command_line_parses_to_the_same_options() {
        for line in LINES {
            let line: Vec<String> = line.split(' ').map(|text| text.replace('_', " ")).collect();
            let line: Vec<&str> = line.iter().map(String::as_str).collect();
            let once = subject(&line).login().to_string();
            let words = words(&once);
            let words: Vec<&str> = words[1..].iter().map(String::as_str).collect();
            assert_eq!(subject(&words).login().to_string(), once);
            for option in line.iter().filter(|text| text.starts_with("--")) {
                assert!(words.contains(option), "{option} is lost in {once}");
            }
        }
    }

    /// Returns the arguments of a command, as a POSIX shell splits them.
    fn words(line: &str) -> Vec<String> {
        let script = format!("for text in {line}; do printf '%s\\0' \"$text\"; done");
        let output = std::process::Command::new("sh")
            .args(["-c", &script])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.split_terminator('\0').map(str::to_owned).collect()
    }

    #[test]
    fn the_arguments_of_a_program_are_not_repeated() {
        let line = ["login", "a", "--workload-token", "cmd:vault read planted"];
        let shown = subject(&line).login().to_string();
        assert_eq!(shown, "mcp-oauth login a --workload-token cmd:PROGRAM");
    }

    #[test]
    fn an_option_replaces_conflicting_options() {
        let robot = [
            "login",
            "a",
            "--client-credentials",
            "--client-id",
            "me",
            "--port",
            "1",
        ];
        let robot = subject(&robot).login();
        let device = robot.clone().with("--device").to_string();
        assert_eq!(device, "mcp-oauth login a --client-id me --device");
        let free = robot.with_value("--port", "0").to_string();
        assert_eq!(
            free,
            "mcp-oauth login a --client-id me --port 0 --client-credentials"
        );
    }

    #[test]
    fn a_browser_login_has_the_url_and_force_to_reset_the_grant() {
        let robot = Server {
            grant: Some(GrantKind::ClientCredentials),
            ..server()
        };
        let (_directory, servers) = known("robot", robot);
        let named = subject(&["login", "robot"]).knowing(&servers);
        assert_eq!(named.grant(), Some(GrantKind::ClientCredentials));
        let expected = "mcp-oauth login robot https://a.example/mcp --force";
        assert_eq!(named.browser_login().to_string(), expected);
        let new = subject(&[
            "login",
            "job",
            "https://b.example/",
            "--workload-token",
            "/x",
        ]);
        let expected = "mcp-oauth login job https://b.example/";
        assert_eq!(new.browser_login().to_string(), expected);
    }

    #[test]
    fn a_record_without_a_name_is_removed_by_its_url() {
        let new = subject(&["login", "a", "https://a.example/mcp", "--account", "work"]);
        let expected = "mcp-oauth logout --local https://a.example/mcp --account work";
        assert_eq!(new.command(LOCAL_LOGOUT).to_string(), expected);
        let (_directory, servers) = known("a", server());
        let expected = "mcp-oauth logout --local a --account work";
        let named = new.knowing(&servers);
        assert_eq!(named.command(LOCAL_LOGOUT).to_string(), expected);
    }

    #[test]
    fn a_local_logout_stays_local_with_another_name() {
        for line in [&["logout", "nots", "--local"][..], &["clear", "nots"]] {
            let renamed = subject(line).renamed("notes").unwrap();
            assert_eq!(renamed.to_string(), "mcp-oauth logout --local notes");
        }
        let renamed = subject(&["logout", "nots"]).renamed("notes").unwrap();
        assert_eq!(renamed.to_string(), "mcp-oauth logout notes");
    }
}
