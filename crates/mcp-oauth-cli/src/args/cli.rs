//! The command line: the commands, and the arguments of most of them.

use std::{path::PathBuf, time::Duration};

use clap::{ArgAction, Args, Parser, Subcommand};
use url::Url;

use super::{
    duration::duration,
    help,
    install::{Bundle, Config, Install, Uninstall},
    login::Login,
    network::NetworkFlags,
    proxy::Proxy,
};

/// Log in to OAuth-protected MCP servers, keep the tokens, and use them from scripts.
#[derive(Debug, Parser)]
#[command(name = "mcp-oauth", version, after_help = help::MAIN, arg_required_else_help = true)]
#[command(propagate_version = true, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The options of every command.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Global {
    /// Write one JSON document to stdout, for errors too.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Log each step to stderr; give it twice for more.
    ///
    /// Secrets are never logged.
    #[arg(short, long, global = true, action = ArgAction::Count, alias = "debug")]
    pub(crate) verbose: u8,
    /// Print only results, errors and what the user must do.
    #[arg(
        short,
        long,
        global = true,
        conflicts_with = "verbose",
        alias = "silent"
    )]
    pub(crate) quiet: bool,
    /// Use this token store: `auto`, `keychain`, `file`, `vault` or `memory:`.
    ///
    /// `mcp-oauth --help` describes them.
    #[arg(long, hide_short_help = true, global = true, value_name = "SPEC")]
    pub(crate) store: Option<String>,
    /// Keep all data in this directory: tokens in `DIR/tokens`, names in `DIR/servers.json`.
    #[arg(long, hide_short_help = true, global = true, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Read the password of the encrypted token files from this file.
    #[arg(long, hide_short_help = true, global = true, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) network: NetworkFlags,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the whole flow against servers inside this command, and check each step.
    #[command(after_help = help::DEMO)]
    Demo(Demo),
    /// Log in to a server, and give it a name.
    #[command(visible_alias = "auth", after_help = help::LOGIN, override_usage = help::LOGIN_USAGE)]
    Login(Box<Login>),
    /// List the servers, with the status of their tokens.
    #[command(after_help = help::LIST)]
    List,
    /// Show the details of a login; secrets are redacted.
    #[command(visible_alias = "get", after_help = help::SHOW)]
    Show(TargetArgs),
    /// Print the access token for scripts; refresh it first if it has expired.
    #[command(after_help = help::TOKEN)]
    Token(Token),
    /// Print the request headers with the access token as JSON, for Claude Code and Codex.
    #[command(after_help = help::HEADERS)]
    Headers(Token),
    /// Connect as an MCP client, and report whether it works.
    #[command(after_help = help::TEST)]
    Test(Connect),
    /// Connect as an MCP client, and list the tools.
    #[command(after_help = help::TOOLS)]
    Tools(Connect),
    /// Send one request with the token, as curl would.
    #[command(after_help = help::REQUEST)]
    Request(Request),
    /// Get new tokens now, even if the current ones are valid.
    #[command(after_help = help::REFRESH)]
    Refresh(TargetArgs),
    /// Revoke the tokens at the server, and remove them from this machine.
    #[command(after_help = help::LOGOUT)]
    Logout(Logout),
    /// Remove the tokens from this machine: the same as `logout --local`, or `prune`.
    #[command(hide = true)]
    Clear(Clear),
    /// Remove the logins that have expired and cannot be refreshed.
    #[command(after_help = help::PRUNE)]
    Prune,
    /// List the kinds of token store, whether they are available, and which one is used.
    #[command(alias = "backends", after_help = help::STORES)]
    Stores,
    /// Move the tokens to another store, or encrypt them with another key.
    #[command(after_help = help::MIGRATE)]
    Migrate(Migrate),
    /// Complete a pending login: the same as `login --complete`.
    #[command(hide = true)]
    Paste,
    /// Connect an application over stdio to an MCP server, and log in for it.
    #[command(after_help = help::PROXY)]
    Proxy(Box<Proxy>),
    /// Add a server to an application: write the entry that runs `proxy` or `headers`.
    #[command(after_help = help::INSTALL)]
    Install(Install),
    /// Remove a server from an application.
    #[command(after_help = help::UNINSTALL)]
    Uninstall(Uninstall),
    /// Make a bundle for Claude Desktop (`.mcpb`), with this program in it and no token.
    #[command(after_help = help::BUNDLE)]
    Bundle(Bundle),
    /// Print an entry, or write it: the same as `install --print`, or `install`.
    #[command(hide = true)]
    Config(Config),
    /// Print the client metadata document to host at a URL, which is then the client ID.
    #[command(after_help = help::CLIENT_METADATA)]
    ClientMetadata(ClientMetadata),
    /// Refresh the token of a login in the background, or log in: `headers` runs it.
    #[command(hide = true)]
    Renew(Renew),
    /// Open a URL in the browser, without the secrets of mcp-oauth in its environment.
    #[command(hide = true)]
    OpenUrl {
        /// The URL.
        url: Url,
    },
}

/// The login that a command is about.
#[derive(Args, Clone, Debug)]
pub(crate) struct TargetArgs {
    /// The name of a server (see `list`), or its URL.
    #[arg(value_name = "NAME|URL")]
    pub(crate) server: String,
    /// Select the account, if there are several at that server.
    #[arg(long, value_name = "ACCOUNT")]
    pub(crate) account: Option<String>,
}

/// `demo`.
#[derive(Args, Debug)]
pub(crate) struct Demo {
    /// Open no browser: the demo submits the consent page itself.
    #[arg(long)]
    pub(crate) no_browser: bool,
}

/// `client-metadata`.
#[derive(Args, Debug)]
pub(crate) struct ClientMetadata {
    /// Host the document at this https URL, which is then the client ID.
    #[arg(long, value_name = "URL")]
    pub(crate) client_id: Url,
    /// Set the name on the consent page.
    #[arg(long, value_name = "NAME", default_value = "mcp-oauth")]
    pub(crate) name: String,
    /// Add the public key of this PEM file with a private key.
    ///
    /// The client authenticates with it: `login --client-metadata-url URL --private-key FILE`.
    #[arg(long, value_name = "FILE")]
    pub(crate) private_key: Option<PathBuf>,
    /// Add a redirect URI, instead of any port of this machine.
    ///
    /// May be given several times.
    #[arg(long, value_name = "URI")]
    pub(crate) redirect_uri: Vec<Url>,
}

/// `token` and `headers`.
#[derive(Args, Debug)]
pub(crate) struct Token {
    #[command(flatten)]
    pub(crate) target: TargetArgs,
    /// Print the token even if stdout is a terminal.
    #[arg(long)]
    pub(crate) show: bool,
}

/// `renew`.
#[derive(Args, Debug)]
pub(crate) struct Renew {
    #[command(flatten)]
    pub(crate) target: TargetArgs,
    /// Refresh the token of this revision, although it has not expired.
    #[arg(long, value_name = "REVISION")]
    pub(crate) rejected: Option<u64>,
}

/// `test` and `tools`.
#[derive(Args, Debug)]
pub(crate) struct Connect {
    #[command(flatten)]
    pub(crate) target: TargetArgs,
    /// The URL of the server, for a name that is not known, as in the Python command
    /// `chuk-mcp-client-oauth`.
    #[arg(value_name = "URL", hide = true)]
    pub(crate) url: Option<String>,
    /// Wait at most this long for the server.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "30s")]
    pub(crate) timeout: Duration,
}

/// `request`.
#[derive(Args, Debug)]
pub(crate) struct Request {
    /// The name of a server (see `list`), or its URL.
    #[arg(value_name = "NAME|URL")]
    pub(crate) server: String,
    /// The method (GET, or POST with a body), then the URL or a path at the server.
    #[arg(value_name = "[METHOD] URL", num_args = 1..=2, required = true)]
    pub(crate) what: Vec<String>,
    /// Select the account, if there are several at that server.
    #[arg(long, value_name = "ACCOUNT")]
    pub(crate) account: Option<String>,
    /// Add a header, as in `Name: value`.
    ///
    /// May be given several times.
    #[arg(short = 'H', long = "header", value_name = "HEADER")]
    pub(crate) headers: Vec<String>,
    /// Send a body: the text itself, `@FILE`, or `-` for stdin.
    ///
    /// It is JSON unless a header sets its type.
    #[arg(short, long, value_name = "DATA|@FILE|-")]
    pub(crate) data: Option<String>,
    /// Print status and headers before the body.
    #[arg(short, long)]
    pub(crate) include: bool,
    /// Do not refresh the token and send the request again after a 401.
    #[arg(long)]
    pub(crate) no_retry: bool,
    /// Wait at most this long for each attempt.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "30s")]
    pub(crate) timeout: Duration,
}

/// `logout`.
#[derive(Args, Debug)]
pub(crate) struct Logout {
    #[command(flatten)]
    pub(crate) target: TargetArgs,
    /// The URL of the server, for a name that is not known, as in the Python command
    /// `chuk-mcp-client-oauth`.
    #[arg(long, value_name = "URL", hide = true)]
    pub(crate) url: Option<String>,
    /// Remove the tokens from this machine only, and do not revoke them.
    #[arg(long)]
    pub(crate) local: bool,
    /// Remove the name too.
    #[arg(long, alias = "forget-name")]
    pub(crate) remove_name: bool,
}

/// `clear`, an older name of `logout --local` and, with `--expired`, of `prune`.
#[derive(Args, Debug)]
pub(crate) struct Clear {
    /// The name of a server (see `list`), or its URL.
    #[arg(value_name = "NAME|URL", required_unless_present = "expired")]
    pub(crate) server: Option<String>,
    /// Remove every login that has expired and cannot be refreshed.
    #[arg(long, conflicts_with_all = ["server", "account", "remove_name"])]
    pub(crate) expired: bool,
    /// Select the account, if there are several at that server.
    #[arg(long, value_name = "ACCOUNT")]
    pub(crate) account: Option<String>,
    /// Remove the name too.
    #[arg(long, alias = "forget-name")]
    pub(crate) remove_name: bool,
}

impl Clear {
    /// Returns the arguments of `logout --local`; none for `--expired`, where the argument definition
    /// allows no server.
    pub(crate) fn into_local_logout(self) -> Option<Logout> {
        let account = self.account;
        let target = self.server.map(|server| TargetArgs { server, account })?;
        Some(Logout {
            target,
            url: None,
            local: true,
            remove_name: self.remove_name,
        })
    }
}

/// `migrate`.
#[derive(Args, Debug)]
pub(crate) struct Migrate {
    /// Move the tokens to this store: `keychain[:DIR]`, `file[:DIR]` or `vault[:...]`, as for --store.
    #[arg(long, value_name = "SPEC")]
    pub(crate) to: String,
    /// Replace logins that the new store already has.
    #[arg(long, alias = "force")]
    pub(crate) overwrite: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_definition_is_valid() {
        Cli::command().debug_assert();
    }

    #[test]
    fn earlier_names_of_commands_and_flags_still_work() {
        let parse = |line: &str| {
            let typed = ["mcp-oauth"].into_iter().chain(line.split(' '));
            format!("{:?}", Cli::try_parse_from(typed).unwrap().command)
        };
        for (earlier, name) in [
            ("auth a", "login a"),
            ("get a", "show a"),
            ("backends", "stores"),
            ("login a --share", "login a --reuse-login"),
            ("login a --form-answers", "login a --form-encoded-responses"),
            ("login a --pkce-unlisted", "login a --assume-pkce"),
            ("logout a --forget-name", "logout a --remove-name"),
            ("migrate --to file --force", "migrate --to file --overwrite"),
        ] {
            assert_eq!(parse(earlier), parse(name));
        }
        assert!(matches!(
            Cli::parse_from(["mcp-oauth", "paste"]).command,
            Command::Paste
        ));
    }

    #[test]
    fn a_login_is_completed_with_its_name_and_no_other_arguments() {
        let parse = |line: &str| {
            let typed = ["mcp-oauth", "login"].into_iter().chain(line.split(' '));
            Cli::try_parse_from(typed)
        };
        assert!(parse("--complete --json --data-dir /data").is_ok());
        assert!(parse("--complete notes").is_ok());
        for refused in [
            "notes https://mcp.example.com/mcp",
            "notes --no-wait",
            "--scope a",
            "--device",
            "--force",
            "--no-resource",
            "--idp a",
        ] {
            assert!(
                parse(&format!("{refused} --complete")).is_err(),
                "{refused}"
            );
        }
    }

    #[test]
    fn only_a_login_in_a_browser_is_begun_without_waiting() {
        for refused in ["--device", "--client-credentials", "--workload-token f"] {
            let line = format!("mcp-oauth login notes --no-wait {refused}");
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{refused}");
        }
    }

    #[test]
    fn every_argument_has_help() {
        for command in Cli::command().get_subcommands() {
            for argument in command.get_arguments() {
                assert!(
                    argument.get_help().is_some(),
                    "{} of {}",
                    argument,
                    command.get_name()
                );
            }
        }
    }

    #[test]
    fn a_secret_as_an_argument_is_refused() {
        for secret in ["--password", "--client-secret", "--token"] {
            let typed = [
                "mcp-oauth",
                "login",
                "x",
                "https://x.example",
                secret,
                "planted",
            ];
            assert!(Cli::try_parse_from(typed).is_err(), "{secret}");
        }
    }
}
