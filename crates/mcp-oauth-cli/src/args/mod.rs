//! What was typed. What it means is decided in [`config`](crate::config).

mod app;
mod cli;
mod duration;
mod grant_args;
mod idp;
mod login;
mod login_args;
mod network;
mod proxy;
mod quirks;
mod summary;

pub(crate) use app::App;
pub(crate) use cli::{
    Clear, Cli, ClientMetadata, Command, Connect, Demo, Global, Logout, Migrate, Request,
    TargetArgs, Token,
};
pub(crate) use login::Login;
pub(crate) use network::NetworkFlags;
pub(crate) use proxy::{AppConfig, Proxy, Transport};
