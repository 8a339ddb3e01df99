//! The short help of `-h`: the commands on one page; for one command its own options and examples.
//! `--help` has everything.

use clap::{Arg, Command, CommandFactory as _, FromArgMatches as _};

use super::cli::Cli;

/// The page, within 25 lines.
const SUMMARY: &str = "\
{about}

{usage-heading} mcp-oauth COMMAND [OPTIONS]

Log in
  login             log in to a server, and give it a name
  login --complete  complete a login with the URL that a remote browser ended on
  client-metadata   print the document that makes a URL a client ID
Use a login
  tools, test       connect as an MCP client: list the tools; report whether it works
  token, headers    print the access token, or the headers for Claude Code and Codex
  request, refresh  send one request with the token; get new tokens now
  list, show        list the logins; show the details of one
End a login
  logout            revoke the tokens; with --local, only remove them from this machine
  prune             remove the logins that have expired
Applications
  install, bundle   add a server to an application; make a bundle for Claude Desktop
  uninstall, proxy  remove it from an application; serve over stdio for an application
Token stores
  stores, migrate   list the kinds of store; move the tokens to another

Try it: mcp-oauth demo
`mcp-oauth COMMAND --help` explains a command, `mcp-oauth --help` all options, exit codes, stores
and variables.";

impl Cli {
    /// Parses the command line. The help of `-h`, or of no argument at all, fits on a screen.
    pub(crate) fn read() -> Result<Self, clap::Error> {
        let typed: Vec<_> = std::env::args_os().collect();
        let is_short = typed.get(1).is_none_or(|first| first == "-h");
        let command = with_short_help(Self::command());
        let command = if is_short {
            command.help_template(SUMMARY)
        } else {
            command
        };
        Self::from_arg_matches(&command.try_get_matches_from(typed)?)
    }
}

/// Shows the options that have their own heading, and the text after the examples, only in `--help`.
fn with_short_help(command: Command) -> Command {
    let shorten = |arg: Arg| {
        let has_heading = arg.get_help_heading().is_some();
        let is_rare = has_heading || arg.is_hide_short_help_set();
        arg.hide_short_help(is_rare)
    };
    command.mut_args(shorten).mut_subcommands(|command| {
        let command = command.mut_args(shorten);
        match command.get_after_help().map(ToString::to_string) {
            Some(whole) => {
                let examples = whole.split("\n\n").next().unwrap_or_default().to_owned();
                command.after_help(examples).after_long_help(whole)
            }
            None => command,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_help_of_a_command_has_only_its_own_options_and_examples() {
        let mut command = with_short_help(Cli::command());
        command.build();
        let login = command.find_subcommand_mut("login").unwrap();
        let (short, long) = (
            login.render_help().to_string(),
            login.render_long_help().to_string(),
        );
        for shown in ["--scope", "--force", "mcp-oauth login notes --device"] {
            assert!(short.contains(shown) && long.contains(shown), "{shown}");
        }
        for hidden in [
            "--idp-private-key",
            "--accept-issuer",
            "--json",
            "If no browser",
        ] {
            assert!(
                !short.contains(hidden) && long.contains(hidden),
                "{hidden}: {short}"
            );
        }
    }

    #[test]
    fn the_summary_lists_every_command_and_fits_on_a_screen() {
        assert!(SUMMARY.lines().count() <= 25);
        for command in Cli::command().get_subcommands() {
            let name = command.get_name();
            let is_listed = SUMMARY
                .split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
                .any(|listed| listed == name);
            assert!(is_listed || command.is_hide_set(), "{name}");
        }
    }
}
