//! The commands, one file each.

use mcp_client_oauth::platform::Browser;

use crate::{
    args::Command,
    context::Context,
    error::{Exit, Failure},
};

mod bundle;
mod client_metadata;
mod demo;
mod headers;
mod install;
mod list;
mod login;
mod logout;
mod migrate;
mod proxy;
mod prune;
mod refresh;
mod request;
mod show;
mod stores;
mod test;
mod token;
mod tools;
mod uninstall;

/// Runs a command.
pub(crate) async fn run(context: Context, command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Demo(demo) => demo::run(&context, &demo).await,
        // On the heap: a login is large, and no other command should grow by it.
        Command::Login(login) => Box::pin(login::run(&context, *login)).await,
        Command::List => list::run(&context).await,
        Command::Show(target) => show::run(&context, &target).await,
        Command::Token(token) => token::run(&context, &token).await,
        Command::Headers(token) => headers::run(&context, &token).await,
        Command::Test(connect) => test::run(&context, &connect).await,
        Command::Tools(connect) => tools::run(&context, &connect).await,
        Command::Request(request) => request::run(&context, &request).await,
        Command::Refresh(target) => refresh::run(&context, &target).await,
        Command::Logout(logout) => logout::run(&context, &logout).await,
        Command::Clear(clear) => match clear.into_local_logout() {
            Some(logout) => logout::run(&context, &logout).await,
            None => prune::run(&context).await,
        },
        Command::Prune => prune::run(&context).await,
        Command::Stores => Ok(stores::run(&context).await),
        Command::Migrate(migrate) => migrate::run(&context, &migrate).await,
        Command::Install(typed) => install::run(&context, &typed).await,
        Command::Config(typed) => install::run(&context, &typed.into()).await,
        Command::Uninstall(typed) => uninstall::run(&context, &typed),
        Command::Bundle(typed) => bundle::run(&context, &typed),
        Command::Paste => Box::pin(login::complete(&context, None)).await,
        Command::Proxy(proxy) => proxy::run(&context, *proxy).await,
        // On the heap: it has a login too.
        Command::Renew(typed) => Box::pin(headers::renew(&context, &typed)).await,
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
