//! The examples and notes of `--help`. The short help `-h` shows them up to the first blank line.

pub(super) const MAIN: &str = "\
Examples:
  mcp-oauth demo                                     run the whole flow on this machine
  mcp-oauth login notes https://mcp.example.com/mcp  log in, and name the server `notes`
  mcp-oauth tools notes                              connect, and list its tools
  curl -H \"Authorization: Bearer $(mcp-oauth token notes)\" https://mcp.example.com/mcp/export
  mcp-oauth logout notes                             revoke the tokens, and remove them

Exit codes:
  0 done   1 failed   2 wrong usage   3 a login is needed   4 try again later
  129 ended by SIGHUP   130 interrupted by Ctrl-C   143 ended by SIGTERM

Token stores (--store SPEC, else MCP_OAUTH_STORE, else `auto`):
  auto[:DIR]                encrypted files; a new store has its key in the keychain of the system,
                            or, with a warning, in a key file if no keychain is available
  keychain[:DIR]            encrypted files with their key in the keychain; fails without a keychain
  file[:DIR]                encrypted files with a password, if one is given, else with a key file
  vault[:https://HOST:8200/MOUNT/PREFIX]
                            HashiCorp Vault or OpenBao, at VAULT_ADDR if no address is given
  memory:                   nothing is stored
Without DIR the directory is `tokens` in --data-dir or MCP_OAUTH_DATA_DIR, else in the data
directory of the user (`mcp-oauth stores` shows it). --store overrides --data-dir, which overrides
a location (not a kind of key) in MCP_OAUTH_STORE.

Environment:
  MCP_OAUTH_STORE           as --store
  MCP_OAUTH_DATA_DIR        as --data-dir
  MCP_OAUTH_PASSWORD        the password of encrypted files (a password file is safer)
  MCP_OAUTH_PASSWORD_FILE   as --password-file
  MCP_OAUTH_CLIENT_SECRET   the secret of the client of --client-id
  MCP_OAUTH_IDP_CLIENT_SECRET   the secret of the client of --idp-client-id
  VAULT_ADDR, VAULT_NAMESPACE, VAULT_CACERT     the Vault of `vault`
  VAULT_TOKEN; else VAULT_ROLE_ID and VAULT_SECRET_ID (AppRole); else MCP_OAUTH_VAULT_TOKEN_FILE;
  else the file ~/.vault-token                  the credentials for Vault
  MCP_OAUTH_CA_CERT, MCP_OAUTH_CLIENT_CERT, MCP_OAUTH_CLIENT_KEY     as the flags
  HTTPS_PROXY, ALL_PROXY, NO_PROXY   the HTTP proxy, and the hosts that are connected without it
  SSL_CERT_FILE             on Linux: the certificate authorities, instead of those of the system
  MCP_OAUTH_PROXY_TOKEN     the token that clients of `proxy --listen` must send
  NO_COLOR, CLICOLOR        turn colours off; BROWSER: the command that opens a URL

Passwords, secrets and tokens are never arguments: other users of the machine can see arguments.
With --json, stdout has exactly one JSON document, for an error too: {\"error\": {\"code\", \"message\",
\"hint\"}}. Progress, prompts and logs are on stderr.";

pub(super) const DEMO: &str = "\
Examples:
  mcp-oauth demo               approve twice in your browser
  mcp-oauth demo --no-browser  approve nothing: the demo does it

Exit code: 0 if every check holds, else 1.";

pub(super) const LOGIN_USAGE: &str = "mcp-oauth login [OPTIONS] <NAME> [URL]
       mcp-oauth login --complete [NAME]";

pub(super) const LOGIN: &str = "\
Examples:
  mcp-oauth login notes https://mcp.example.com/mcp
  mcp-oauth login notes                        log in again, with the URL of the name
  mcp-oauth login https://mcp.example.com/mcp  derive the name from the host
  mcp-oauth login notes --scope 'notes:read notes:write'
  mcp-oauth login notes --device               show a code to enter on another device
  mcp-oauth login notes --no-wait              print the URL, and end without waiting
  mcp-oauth login --complete                   enter the URL that the browser ended on

Other kinds of login:
  mcp-oauth login robot https://mcp.example.com/mcp --client-credentials --client-id robot \\
    --private-key robot.pem
  mcp-oauth login job https://mcp.example.com/mcp --workload-token /var/run/secrets/tokens/mcp
  mcp-oauth login work https://mcp.example.com/mcp --client-id app --idp https://idp.example \\
    --idp-client-id app-at-idp --idp-token-endpoint https://idp.example/token \\
    --id-token 'cmd:sso print id-token'
  pass show notes | mcp-oauth login notes --client-id me --client-secret-stdin

If no browser can be opened, a code for another device is shown where the server supports it; with
--no-browser, --port or --redirect-uri a URL is shown, and a browser has to be redirected here.
Scope, client, port, grant, --dpop, --reuse-login, --legacy and the overrides for the server are
stored with the name. `login NAME URL --force` resets them, except the account and the client ID
with its port; `--port 0` resets only the port.
A valid login that has the scope is reused without opening a browser, unless --force, --client-id,
--client-metadata-url or --legacy is given. Names with the same URL and account share one login: use
--account for another login.
At the end of a login the browser loads a page of 127.0.0.1. In a browser on another machine that
page fails to load: copy its URL, run `login --complete` on the machine where the login (or the
proxy) waits, and enter the URL there. It is read from the terminal or from stdin.
With --no-wait nothing waits: stdout has the URL to open, and the page of 127.0.0.1 fails to load in
every browser. `login --complete` completes the login with its URL, in any process with the same
token store. The login is kept there, encrypted, for ten minutes or --timeout. A further one of the
same name replaces it.";

pub(super) const LIST: &str = "\
Examples:
  mcp-oauth list
  mcp-oauth list --json  as one JSON document

The server is not contacted: the status is what is stored here.";

pub(super) const SHOW: &str = "\
Examples:
  mcp-oauth show notes
  mcp-oauth show https://mcp.example.com/mcp --account home";

pub(super) const TOKEN: &str = "\
Examples:
  curl -H \"Authorization: Bearer $(mcp-oauth token notes)\" https://mcp.example.com/mcp/notes
  mcp-oauth token notes --show  print it on a terminal

Exit code: 3 if a login is needed.";

pub(super) const HEADERS: &str = "\
Examples:
  mcp-oauth headers notes                        print {\"Authorization\":\"Bearer ...\"}
  mcp-oauth headers notes --data-dir /home/me/m  without a variable of the environment
  mcp-oauth headers notes --show                 print it on a terminal

Claude Code runs it as `headersHelper`, Codex as `http_headers_helper`; docs/guide.md has the entries.
It ends within eight seconds. A login that is needed begins in the browser, and goes on when this
command has ended; where no browser can be opened, none begins. A token that is requested again
within a minute is tested with one request, and replaced only if the server responds with 401.
Exit code: 3 if a login is needed or open in the browser, 4 if there is no new token yet, 1 for a
token that is bound to a key (DPoP): use `mcp-oauth proxy`.";

pub(super) const TEST: &str = "\
Examples:
  mcp-oauth test notes
  mcp-oauth test notes -v  log each step

A login is needed first. Exit code: 0 if the server responds as an MCP server, 3 if a login is needed.";

pub(super) const TOOLS: &str = "\
Examples:
  mcp-oauth tools notes
  mcp-oauth tools notes --json  with the input schemas";

pub(super) const REQUEST: &str = "\
Examples:
  mcp-oauth request notes https://mcp.example.com/mcp/notes
  mcp-oauth request notes notes                the same: a path below the URL of the server
  mcp-oauth request notes /mcp/notes           the same: a path from the root of its host
  mcp-oauth request notes PUT notes/7 -H 'If-Match: \"x\"' -d @note.json

The token is sent only to the server that it is for; redirects are not followed.
Exit code: 0 below status 400, 3 for 401, 4 for 429 and 503, else 1. The body is printed for every
status; the tokens of the login are redacted in it, and a terminal gets only text.";

pub(super) const REFRESH: &str = "\
Examples:
  mcp-oauth refresh notes

Every command refreshes an expired token itself, so this is for tests and after a change of roles.";

pub(super) const LOGOUT: &str = "\
Examples:
  mcp-oauth logout notes          revoke the tokens at the server, and remove them here
  mcp-oauth logout --local notes  only remove them here: they are valid until they expire

Exit code: 0 if the tokens are removed and the server has revoked those that it can revoke; 4 if
they are removed but the revocation failed: they are valid until they expire.";

pub(super) const PRUNE: &str = "\
Examples:
  mcp-oauth prune

Only the logins that `list` shows as expired with a login needed are removed. A login that cannot
be read is reported and kept.";

pub(super) const STORES: &str = "\
Examples:
  mcp-oauth stores                   the default store
  mcp-oauth stores --store keychain  whether this one can be used

Nothing is created, and no password is prompted for.";

pub(super) const MIGRATE: &str = "\
Examples:
  mcp-oauth migrate --to keychain                       put the key of the files into the keychain
  mcp-oauth migrate --to file                           put the key into a file beside them
  mcp-oauth migrate --to file --password-file FILE      derive the key from a password
  mcp-oauth migrate --to vault:https://HOST:8200/MOUNT  move the tokens to a Vault
  mcp-oauth migrate --store vault --to keychain         move them back
  mcp-oauth migrate --to file:/other/dir                move them to another directory

Another key for the same files changes no token. A move copies the tokens, reads them back, and
then deletes the originals; if it is interrupted, nothing is lost, and the same command finishes it.
With `--to file`, --password-file is the new password. The old one is then MCP_OAUTH_PASSWORD_FILE
or MCP_OAUTH_PASSWORD, or is prompted for; without --password-file these variables are the new one.
Exit code: 1 if a corrupt login was not moved.";

pub(super) const PROXY: &str = "\
Examples:
  mcp-oauth proxy https://mcp.example.com/mcp       serve this server to an application
  mcp-oauth proxy notes                             serve `notes`, with the options of its login
  mcp-oauth proxy notes --header 'X-Team: ${TEAM}'  replace `${TEAM}` by the variable TEAM
  mcp-oauth proxy notes --ignore-tool 'delete*'     hide tools from the application

Messages are on stdin and stdout, one per line; everything else is on stderr. The application gets
responses before the login is complete; the login runs at the same time, and a call shows its URL.
Proxies for the same server share one login.";

pub(super) const INSTALL: &str = "\
Examples:
  mcp-oauth install --app claude-desktop notes           write the entry that runs `proxy notes`
  mcp-oauth install --app cursor notes --dry-run         show the change, and write nothing
  mcp-oauth install --app codex notes --via headers      let Codex connect, with a token from here
  mcp-oauth install --app vscode notes --file .vscode/mcp.json
  mcp-oauth install --app generic notes                  print an `mcpServers` entry

The entry has the absolute path of this program and the settings of this command (--store,
MCP_OAUTH_DATA_DIR and so on), but no secret. Comments, order and layout of the file are kept, a
copy of the old file is kept beside it, and a file that cannot be parsed is left unchanged. A second
run changes nothing. An entry of the same name that does not run mcp-oauth is replaced only with
--overwrite.
`--via headers` is for Claude Code and Codex: they speak to the server themselves, and run
`mcp-oauth headers` when they connect and after a 401.";

pub(super) const UNINSTALL: &str = "\
Examples:
  mcp-oauth uninstall --app cursor notes
  mcp-oauth uninstall --app vscode notes --file .vscode/mcp.json --dry-run

Only an entry that runs mcp-oauth is removed. The login stays: `mcp-oauth logout NAME` ends it.";

pub(super) const BUNDLE: &str = "\
Examples:
  mcp-oauth bundle notes                 write notes.mcpb; open it with Claude Desktop
  mcp-oauth bundle notes -o Notes.mcpb
  mcp-oauth bundle https://mcp.example.com/mcp

The bundle has this program and the URL of the server, and runs on the same kind of system. It has
no token: each user logs in on the first use. The same input makes the same bytes.";

pub(super) const CLIENT_METADATA: &str = "\
Examples:
  mcp-oauth client-metadata --client-id https://app.example/client.json
  mcp-oauth client-metadata --client-id https://app.example/client.json --private-key app.pem

Host the document at that URL, then: mcp-oauth login NAME URL --client-metadata-url URL";

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use crate::args::Cli;

    /// Returns the commands of the examples in a help text. An explanation follows after two blanks.
    fn examples(help: &str) -> Vec<String> {
        let help = help.replace(" \\\n    ", " ");
        let lines = help.lines().filter(|line| line.starts_with("  "));
        let lines = lines.filter_map(|line| {
            let command = &line[line.find("mcp-oauth ")?..];
            // The end of a substitution, in an example with another program.
            let command = command.split(")\"").next()?;
            command.split("  ").next()
        });
        lines.map(str::to_owned).collect()
    }

    /// Splits a line at blanks outside of quotes.
    fn words(line: &str) -> Vec<String> {
        let parts = line.split('\'').enumerate().flat_map(|(number, part)| {
            let is_quoted = number % 2 == 1;
            let words: Vec<String> = if is_quoted {
                vec![part.to_owned()]
            } else {
                part.split_whitespace().map(str::to_owned).collect()
            };
            words
        });
        parts.collect()
    }

    #[test]
    fn every_command_has_examples_that_parse() {
        let mut command = Cli::command();
        command.build();
        let shown = command.get_subcommands();
        let shown = shown.filter(|command| !command.is_hide_set() && command.get_name() != "help");
        for shown in shown.chain([&command]) {
            let help = shown.get_after_help().map(ToString::to_string);
            let examples = examples(&help.unwrap_or_default());
            assert!(!examples.is_empty(), "{} has no example", shown.get_name());
            for example in examples {
                let parsed = Cli::command().try_get_matches_from(words(&example));
                assert!(parsed.is_ok(), "{example}: {}", parsed.unwrap_err());
            }
        }
    }
}
