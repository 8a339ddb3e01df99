//! What `-h` shows: the commands on one page, and of one command its own options and examples. `--help`
//! has everything.

use clap::{Arg, Command, CommandFactory as _, FromArgMatches as _};

use super::cli::Cli;

/// The page, within 25 lines.
const SUMMARY: &str = "\
{about}

{usage-heading} mcp-oauth COMMAND [OPTIONS]

Log in
  login             log in to a server, and remember it by a name
  paste             hand over the URL that a browser on another machine ended on
  client-metadata   print the document that makes a URL a client ID
Use a login
  tools, test       connect as an MCP client: list the tools; say whether it works
  token, request    print the access token; send one request with it
  refresh           get new tokens now
  list, get         list the logins; show all about one
End a login
  logout, clear     revoke the tokens; remove them on this machine alone
Applications
  proxy, config     serve over stdio for an application; write its configuration
Token stores
  backends, migrate list the kinds of store; move the tokens to another

Try it: mcp-oauth demo
`mcp-oauth COMMAND --help` explains a command, `mcp-oauth --help` all options, exit codes, stores
and variables.";

impl Cli {
    /// Reads the command line. The help of `-h`, or of no argument at all, fits on a screen.
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

/// Leaves the options under a heading of their own, and what follows the examples, to `--help`.
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
    fn the_short_help_of_a_command_has_its_own_options_and_its_examples() {
        let mut command = with_short_help(Cli::command());
        command.build();
        let login = command.find_subcommand_mut("login").unwrap();
        let (short, long) = (
            login.render_help().to_string(),
            login.render_long_help().to_string(),
        );
        for shown in ["--scope", "--force", "mcp-oauth login notes URL --device"] {
            assert!(short.contains(shown) && long.contains(shown), "{shown}");
        }
        for hidden in [
            "--idp-private-key",
            "--accept-issuer",
            "--json",
            "Where no browser",
        ] {
            assert!(
                !short.contains(hidden) && long.contains(hidden),
                "{hidden}: {short}"
            );
        }
    }

    #[test]
    fn every_command_is_on_the_page_which_fits_on_a_screen() {
        assert!(SUMMARY.lines().count() <= 25);
        for command in Cli::command().get_subcommands() {
            let name = command.get_name();
            let is_listed = SUMMARY
                .split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
                .any(|word| word == name);
            assert!(is_listed || command.is_hide_set(), "{name}");
        }
    }
}
