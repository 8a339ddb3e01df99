//! The command line: the commands, and the arguments of most of them.

use std::{path::PathBuf, time::Duration};

use clap::{ArgAction, Args, Parser, Subcommand};
use url::Url;

use super::{
    duration::duration,
    login::{LOGIN_EXAMPLES, Login},
    network::NetworkFlags,
    proxy::{self, AppConfig, Proxy},
};

const EXAMPLES: &str = "\
Examples:
  mcp-oauth demo                                     the whole way, on this machine alone
  mcp-oauth login notes https://mcp.example.com/mcp  log in, and call the server `notes`
  mcp-oauth tools notes                              connect, and list its tools
  curl -H \"Authorization: Bearer $(mcp-oauth token notes)\" https://mcp.example.com/mcp/export
  mcp-oauth logout notes                             give the tokens back

Exit codes:
  0 done   1 failed   2 wrong usage   3 a login is needed   4 try again later
  129 ended by SIGHUP   130 interrupted by Ctrl-C   143 ended by SIGTERM

Where tokens are kept (--store SPEC, else MCP_OAUTH_STORE, else `auto`):
  auto[:DIR]                sealed files; a new store has its key in the keychain of the system, or,
                            if none answers, in a file, which is said when it is made
  keychain[:DIR]            sealed files whose key is in the keychain, or an error
  file[:DIR]                sealed files with a password, if one is given, else with a key file
  vault[:https://HOST:8200/MOUNT/PREFIX]
                            HashiCorp Vault or OpenBao, at VAULT_ADDR if no address is given
  memory:                   nothing is kept
Without DIR that is the `tokens` of --data-dir or MCP_OAUTH_DATA_DIR, else the usual directory of
this system. --store goes before --data-dir, and that before a place (not a kind) in MCP_OAUTH_STORE.

Environment:
  MCP_OAUTH_STORE           as --store
  MCP_OAUTH_DATA_DIR        as --data-dir
  MCP_OAUTH_PASSWORD        the password that the files are sealed with (a file is safer)
  MCP_OAUTH_PASSWORD_FILE   as --password-file
  MCP_OAUTH_CLIENT_SECRET   the secret of the client that --client-id names
  MCP_OAUTH_IDP_CLIENT_SECRET   ... of the one that --idp-client-id names
  VAULT_ADDR, VAULT_NAMESPACE, VAULT_CACERT     which Vault, for `vault`
  VAULT_TOKEN; else VAULT_ROLE_ID and VAULT_SECRET_ID (AppRole); else MCP_OAUTH_VAULT_TOKEN_FILE;
  else the file ~/.vault-token                  who we are there
  MCP_OAUTH_CA_CERT, MCP_OAUTH_CLIENT_CERT, MCP_OAUTH_CLIENT_KEY     as the flags
  HTTPS_PROXY, ALL_PROXY, NO_PROXY   by which proxy connections go, and which do without
  SSL_CERT_FILE             on Linux: what is trusted in the place of the system's authorities
  MCP_OAUTH_PROXY_TOKEN     what clients of `proxy --listen` have to bring
  NO_COLOR, CLICOLOR        no colours; BROWSER: how to open a URL

Passwords, secrets and tokens are never taken from an argument: other users can see those.
With --json, stdout has exactly one JSON document, for an error too: {\"error\": {\"code\", \"message\",
\"hint\"}}. Progress, prompts and logs are on stderr.";

/// Log in to OAuth-protected MCP servers, keep the tokens, and use them from scripts.
#[derive(Debug, Parser)]
#[command(name = "mcp-oauth", version, after_help = EXAMPLES, arg_required_else_help = true)]
#[command(propagate_version = true, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What goes with every command.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Global {
    /// Write one JSON document to stdout, for errors too.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Log what happens to stderr; twice for everything. Secrets are never logged.
    #[arg(short, long, global = true, action = ArgAction::Count, alias = "debug")]
    pub(crate) verbose: u8,
    /// Say nothing but results, errors, and what a person must do.
    #[arg(
        short,
        long,
        global = true,
        conflicts_with = "verbose",
        alias = "silent"
    )]
    pub(crate) quiet: bool,
    /// Where tokens are kept: `auto`, `keychain`, `file`, `vault` or `memory:`; see `mcp-oauth --help`.
    #[arg(long, hide_short_help = true, global = true, value_name = "SPEC")]
    pub(crate) store: Option<String>,
    /// A directory for everything: the tokens in `DIR/tokens`, the names in `DIR/servers.json`.
    #[arg(long, hide_short_help = true, global = true, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// A file with the password that the tokens are sealed with.
    #[arg(long, hide_short_help = true, global = true, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) network: NetworkFlags,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the whole way on servers that run inside this command, and prove each step.
    Demo(Demo),
    /// Log in to a server, and remember it by a name.
    #[command(visible_alias = "auth", after_help = LOGIN_EXAMPLES)]
    Login(Box<Login>),
    /// List the servers and how their tokens are.
    List,
    /// Show all that is known of a login; secrets are redacted.
    Get(TargetArgs),
    /// Print the access token, refreshed if need be, for scripts.
    Token(Token),
    /// Connect as an MCP client, and say whether it works.
    Test(Connect),
    /// Connect as an MCP client, and list the tools.
    Tools(Connect),
    /// Send one request with the token, as curl would.
    #[command(after_help = REQUEST_EXAMPLES)]
    Request(Request),
    /// Get new tokens now, however good the old ones look.
    Refresh(TargetArgs),
    /// Forget the tokens, and give them back to the server.
    #[command(after_help = LOGOUT_CODES)]
    Logout(Logout),
    /// Forget the tokens on this machine, and tell nobody.
    #[command(after_help = CLEAR_EXAMPLES)]
    Clear(Clear),
    /// List the kinds of token store, whether they are available, and which one is used.
    Backends,
    /// Move the tokens to another place, or give them another key.
    #[command(after_help = MIGRATE_EXAMPLES)]
    Migrate(Migrate),
    /// Hand the URL that a browser on another machine ended on to the login that waits on this one.
    #[command(after_help = PASTE_HELP)]
    Paste,
    /// Be a server on stdio for applications that speak no HTTP, or cannot log in.
    #[command(after_help = proxy::EXAMPLES)]
    Proxy(Box<Proxy>),
    /// Print what an application needs to run `proxy` as its server, or write it to its file.
    #[command(after_help = proxy::CONFIG_EXAMPLES)]
    Config(AppConfig),
    /// Print the client metadata document to host at a URL, which then is a client id.
    ClientMetadata(ClientMetadata),
    /// Open a URL in the browser: what `login` runs, without our secrets in its environment.
    #[command(hide = true)]
    OpenUrl {
        /// The URL.
        url: Url,
    },
}

/// TargetArgs tokens.
#[derive(Args, Clone, Debug)]
pub(crate) struct TargetArgs {
    /// The name of a server (see `list`), or its URL.
    #[arg(value_name = "NAME|URL")]
    pub(crate) server: String,
    /// Which of several accounts at that server.
    #[arg(long, value_name = "ACCOUNT")]
    pub(crate) account: Option<String>,
}

/// `demo`.
#[derive(Args, Debug)]
pub(crate) struct Demo {
    /// Let the demo press the buttons of the consent page itself.
    #[arg(long)]
    pub(crate) no_browser: bool,
}

/// `client-metadata`.
#[derive(Args, Debug)]
pub(crate) struct ClientMetadata {
    /// The https URL where the document will be.
    #[arg(long, value_name = "URL")]
    pub(crate) client_id: Url,
    /// The name on the consent page.
    #[arg(long, value_name = "NAME", default_value = "mcp-oauth")]
    pub(crate) name: String,
    /// The PEM file with the key by which the client is to prove who it is: its public half goes into
    /// the document. `login --client-metadata-url URL --private-key FILE` uses it.
    #[arg(long, value_name = "FILE")]
    pub(crate) private_key: Option<PathBuf>,
    /// Where the browser may come back to, instead of any port of this machine; may be given several
    /// times.
    #[arg(long, value_name = "URI")]
    pub(crate) redirect_uri: Vec<Url>,
}

/// `token`.
#[derive(Args, Debug)]
pub(crate) struct Token {
    #[command(flatten)]
    pub(crate) whose: TargetArgs,
    /// Print it even if stdout is a terminal.
    #[arg(long)]
    pub(crate) show: bool,
}

/// `test` and `tools`.
#[derive(Args, Debug)]
pub(crate) struct Connect {
    #[command(flatten)]
    pub(crate) whose: TargetArgs,
    /// The URL of the server, as the Python command `chuk-mcp-client-oauth` wants it: for a name that
    /// is not known.
    #[arg(value_name = "URL", hide = true)]
    pub(crate) url: Option<String>,
    /// How long the server may take.
    #[arg(long, value_parser = duration, default_value = "30s")]
    pub(crate) timeout: Duration,
}

const REQUEST_EXAMPLES: &str = "\
Examples:
  mcp-oauth request notes https://mcp.example.com/mcp/notes
  mcp-oauth request notes notes                below the URL of the server: the same
  mcp-oauth request notes /mcp/notes           from the root of its host: the same
  mcp-oauth request notes PUT notes/7 -H 'If-Match: \"x\"' -d @note.json

The token is sent to the server that it is for and to nobody else; redirects are not followed.
Exit code: 0 below status 400, 3 for 401, 4 for 429 and 503, else 1. The body is printed whatever the
status; our own tokens are blotted out of it, and a terminal gets text only.";

/// `request`.
#[derive(Args, Debug)]
pub(crate) struct Request {
    /// The name of a server (see `list`), or its URL.
    #[arg(value_name = "NAME|URL")]
    pub(crate) server: String,
    /// The method (GET, or POST with a body), then the URL or a path at the server.
    #[arg(value_name = "[METHOD] URL", num_args = 1..=2, required = true)]
    pub(crate) what: Vec<String>,
    /// Which of several accounts at that server.
    #[arg(long, value_name = "ACCOUNT")]
    pub(crate) account: Option<String>,
    /// A header, as in `Name: value`; may be given several times.
    #[arg(short = 'H', long = "header", value_name = "HEADER")]
    pub(crate) headers: Vec<String>,
    /// A body: the text itself, `@FILE`, or `-` for stdin. It is JSON unless a header says else.
    #[arg(short, long, value_name = "DATA|@FILE|-")]
    pub(crate) data: Option<String>,
    /// Print status and headers before the body.
    #[arg(short, long)]
    pub(crate) include: bool,
    /// Do not refresh the token and try again when the server refuses it.
    #[arg(long)]
    pub(crate) no_retry: bool,
    /// How long each try may take.
    #[arg(long, value_parser = duration, default_value = "30s")]
    pub(crate) timeout: Duration,
}

const LOGOUT_CODES: &str = "\
Exit code: 0 if the tokens are forgotten here and the server has taken back those that it takes back.
4 if they are forgotten here and the server could not be told: they live until they expire.";

/// `logout`.
#[derive(Args, Debug)]
pub(crate) struct Logout {
    #[command(flatten)]
    pub(crate) whose: TargetArgs,
    /// The URL of the server, as the Python command `chuk-mcp-client-oauth` wants it: for a name that
    /// is not known.
    #[arg(long, value_name = "URL", hide = true)]
    pub(crate) url: Option<String>,
    /// Forget the name too.
    #[arg(long)]
    pub(crate) forget_name: bool,
}

const CLEAR_EXAMPLES: &str = "\
Examples:
  mcp-oauth clear notes      forget this login; to give the tokens back as well, use `logout`
  mcp-oauth clear --expired  forget what is good for nothing any more: the logins that `list` shows
                             as expired with a login needed, and no other";

/// `clear`.
#[derive(Args, Debug)]
pub(crate) struct Clear {
    /// The name of a server (see `list`), or its URL.
    #[arg(value_name = "NAME|URL", required_unless_present = "expired")]
    pub(crate) server: Option<String>,
    /// Every login whose token has ended and cannot be refreshed.
    #[arg(long, conflicts_with_all = ["server", "account", "forget_name"])]
    pub(crate) expired: bool,
    /// Which of several accounts at that server.
    #[arg(long, value_name = "ACCOUNT")]
    pub(crate) account: Option<String>,
    /// Forget the name too.
    #[arg(long)]
    pub(crate) forget_name: bool,
}

const MIGRATE_EXAMPLES: &str = "\
Examples:
  mcp-oauth migrate --to keychain                       the key of the files goes into the keychain
  mcp-oauth migrate --to file                           ... into a file beside them
  mcp-oauth migrate --to file --password-file FILE      ... or is made of a password
  mcp-oauth migrate --to vault:https://HOST:8200/MOUNT  the tokens go into a Vault
  mcp-oauth migrate --store vault --to keychain         ... and back
  mcp-oauth migrate --to file:/other/dir                ... or into another directory

Another key for the same files touches no token. What goes elsewhere is copied, read back, and then
deleted here; if it is interrupted, nothing is lost, and the same command finishes it.
With `--to file`, --password-file is the new password; an old one is asked for, or is taken from
MCP_OAUTH_PASSWORD_FILE or MCP_OAUTH_PASSWORD, which else are the new one.
Exit code: 1 if a damaged login was left behind.";

const PASTE_HELP: &str = "\
A login opens a page of 127.0.0.1 at its end. In a browser on another machine that page fails to
load: copy its URL, and hand it over here, on the machine where the login (or the proxy) waits. It
is read from the terminal or from stdin.";

/// `migrate`.
#[derive(Args, Debug)]
pub(crate) struct Migrate {
    /// Where to: `keychain[:DIR]`, `file[:DIR]` or `vault[:...]`, as for --store.
    #[arg(long, value_name = "SPEC")]
    pub(crate) to: String,
    /// Replace the tokens of logins that are there already.
    #[arg(long)]
    pub(crate) force: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_of_the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_argument_has_a_help_sentence() {
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
    fn no_secret_is_taken_from_an_argument() {
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
