//! The client and the kind of server of a login: for `login`, and for `proxy`, which logs in if needed.

use clap::Args;
use mcp_client_oauth::flow::Scope;
use url::Url;

/// The client, the account and the kind of server.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct LoginFlags {
    /// Request these scopes, separated by blanks.
    ///
    /// Without this option, the scopes that the server suggests are requested.
    #[arg(long, value_name = "SCOPES")]
    pub(crate) scope: Option<Scope>,
    /// Log in to this account: a label of your choice.
    ///
    /// Each account at a server has its own login.
    #[arg(long, value_name = "ACCOUNT")]
    pub(crate) account: Option<String>,
    /// Use this pre-registered client ID.
    ///
    /// Its secret, if it has one, is in the environment variable `MCP_OAUTH_CLIENT_SECRET`.
    #[arg(long, value_name = "ID", conflicts_with = "client_metadata_url")]
    pub(crate) client_id: Option<String>,
    /// Use the https URL of a client metadata document as the client ID.
    ///
    /// At a server that does not support it, a client is registered.
    #[arg(long, hide_short_help = true, value_name = "URL")]
    pub(crate) client_metadata_url: Option<Url>,
    /// Open no browser: only show the URL.
    #[arg(long)]
    pub(crate) no_browser: bool,
    /// Follow MCP 2025-03-26 if the server has no protected resource metadata.
    #[arg(long, hide_short_help = true)]
    pub(crate) legacy: bool,
    /// Allow plain http to private addresses.
    ///
    /// This is for a server in a trusted private network, and for the URLs that it names there. This
    /// machine needs no option.
    #[arg(long, hide_short_help = true)]
    pub(crate) allow_http: bool,
}
