//! `mcp-oauth`: log in to OAuth-protected MCP servers, keep the tokens, and use them from scripts.
//!
//! The command line ([`args`]) and its configuration ([`config`]) make a [`Context`], with which one of
//! the [`commands`] runs. It ends with an exit code ([`error`]); all output goes through [`ui`].

mod apps;
mod args;
mod assertion;
mod commands;
mod config;
mod context;
mod core_dump;
mod error;
mod hints;
mod key_file;
mod login_flow;
mod login_options;
mod logins;
mod logs;
mod mcp_connection;
mod network;
mod non_interactive;
mod rendered_error;
mod servers;
mod shell;
mod signals;
mod status;
mod store;
mod store_spec;
mod terminal;
mod ui;

use std::{path::Path, process::ExitCode};

use crate::{
    args::{Cli, Command, Global},
    config::{Config, Environment},
    context::Context,
    error::{Exit, Failure, RenderedError},
    hints::Subject,
    servers::Servers,
    store::Opened,
    ui::Ui,
};

fn main() -> ExitCode {
    core_dump::forbid();
    let cli = match Cli::read() {
        Ok(cli) => cli,
        Err(refused) => return not_understood(&refused),
    };
    let ui = Ui::new(&cli.global);
    logs::start(&cli.global);
    let exit = match run(cli, &ui) {
        Ok(exit) => exit,
        Err(rendered) => {
            ui.failure(&rendered);
            rendered.exit
        }
    };
    let written = exit != Exit::Done || ui.is_intact();
    ExitCode::from(if written { exit } else { Exit::Failed } as u8)
}

fn run(cli: Cli, ui: &Ui) -> Result<Exit, RenderedError> {
    let subject = Subject::of(&cli);
    let context = context(&cli, ui, &subject);
    let (context, opened) = context.map_err(|failure| failure.render(Some(&subject)))?;
    let names = context.config.names_file().ok().map(Path::to_owned);
    let outcome = execute(context, cli.command, opened);
    outcome.map_err(|failure| {
        // Read again: a failed login has stored no name.
        let servers = names.and_then(|names| Servers::read(&names).ok());
        let subject = servers.iter().fold(subject, Subject::knowing);
        failure.render(Some(&subject))
    })
}

fn context(cli: &Cli, ui: &Ui, subject: &Subject) -> Result<(Context, Opened), Failure> {
    let config = Config::new(&cli.global, Environment::read())?;
    let network = network::network(&config.network)?;
    let opened = Opened::default();
    let (ui, subject) = (ui.clone(), subject.clone());
    let context = Context::new(ui, config, network, opened.clone(), subject);
    Ok((context, opened))
}

fn execute(context: Context, command: Command, opened: Opened) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| Failure::other("runtime", error.to_string(), None))?;
    let command = commands::run(context, command);
    let outcome = runtime.block_on(signals::run_until_signal(command, opened.flush()));
    // Nothing is pending here: a keychain or a file lock that hangs must not keep the process alive.
    runtime.shutdown_background();
    outcome
}

/// Prints the result of a command line that clap did not accept. Help and version are no error; anything
/// else is exit code 2, and JSON with `--json`.
fn not_understood(refused: &clap::Error) -> ExitCode {
    let wants_json = std::env::args_os().any(|argument| argument == "--json");
    if !refused.use_stderr() || !wants_json {
        // The exit code is all that is left if the text cannot be printed.
        let _ = refused.print();
        return ExitCode::from(u8::try_from(refused.exit_code()).unwrap_or(Exit::Usage as u8));
    }
    let ui = Ui::new(&Global {
        json: true,
        ..Global::default()
    });
    let text = refused.to_string();
    let message = text
        .lines()
        .next()
        .unwrap_or_default()
        .trim_start_matches("error: ");
    ui.failure(&Failure::usage(message, "mcp-oauth --help").render(None));
    ExitCode::from(Exit::Usage as u8)
}
