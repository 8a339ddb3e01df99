//! What `-h` shows: the commands on one page. `--help` has everything.

use clap::{CommandFactory as _, FromArgMatches as _};

use super::Cli;

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
    /// Reads the command line. Help that is asked for by `-h`, or by nothing at all, fits on a screen.
    pub(crate) fn read() -> Result<Self, clap::Error> {
        let typed: Vec<_> = std::env::args_os().collect();
        let is_short = typed.get(1).is_none_or(|first| first == "-h");
        let command = Self::command();
        let command = if is_short {
            command.help_template(SUMMARY)
        } else {
            command
        };
        Self::from_arg_matches(&command.try_get_matches_from(typed)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
