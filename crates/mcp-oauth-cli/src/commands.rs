//! The commands, one file each.

use mcp_client_oauth::platform::Browser;

use crate::{
    args::Command,
    context::Context,
    error::{Exit, Failure},
};

mod backends;
mod client_metadata;
mod config;
mod demo;
mod get;
mod list;
mod login;
mod logout;
mod migrate;
mod paste;
mod proxy;
mod refresh;
mod request;
mod test;
mod token;
mod tools;

/// Runs a command.
pub(crate) async fn run(context: Context, command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Demo(demo) => demo::run(&context, &demo).await,
        // On the heap: a login is large, and no other command should grow by it.
        Command::Login(login) => Box::pin(login::run(&context, *login)).await,
        Command::List => list::run(&context).await,
        Command::Get(whose) => get::run(&context, &whose).await,
        Command::Token(token) => token::run(&context, &token).await,
        Command::Test(connect) => test::run(&context, &connect).await,
        Command::Tools(connect) => tools::run(&context, &connect).await,
        Command::Request(request) => request::run(&context, &request).await,
        Command::Refresh(whose) => refresh::run(&context, &whose).await,
        Command::Logout(logout) => logout::logout(&context, &logout).await,
        Command::Clear(clear) => logout::clear(&context, clear).await,
        Command::Backends => Ok(backends::run(&context).await),
        Command::Migrate(migrate) => migrate::run(&context, &migrate).await,
        Command::Config(typed) => config::run(&context, &typed),
        Command::Paste => paste::run(&context).await,
        Command::Proxy(proxy) => proxy::run(&context, *proxy).await,
        Command::ClientMetadata(typed) => client_metadata::run(&context, &typed),
        Command::OpenUrl { url } => Ok(open(&url).await),
    }
}

async fn open(url: &url::Url) -> Exit {
    if Browser::launch(url).await {
        Exit::Done
    } else {
        Exit::Failed
    }
}
