//! The command line as it was typed. [`config`](crate::config) resolves it with the environment.

mod app;
mod cli;
mod duration;
mod grant_args;
mod help;
mod idp;
mod install;
mod login;
mod login_args;
mod network;
mod proxy;
mod quirks;
mod summary;

pub(crate) use app::{App, Via};
pub(crate) use cli::{
    Cli, ClientMetadata, Command, Connect, Demo, Global, Logout, Migrate, Renew, Request,
    TargetArgs, Token,
};
pub(crate) use install::{Bundle, Config, Install, Uninstall};
pub(crate) use login::Login;
pub(crate) use network::NetworkFlags;
pub(crate) use proxy::{Proxy, Transport};
