//! The client and the kind of server of a login: for `login`, and for `proxy`, which logs in if needed.

use clap::Args;
use mcp_client_oauth::flow::Scope;
use url::Url;

/// The client, the account and the kind of server.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct LoginFlags {
    /// Request these scopes, separated by blanks, instead of what the server suggests.
    #[arg(long, value_name = "SCOPES")]
    pub(crate) scope: Option<Scope>,
    /// Log in to this account, a label of your choice, if you have several at that server.
    #[arg(long, value_name = "ACCOUNT")]
    pub(crate) account: Option<String>,
    /// Use this client ID, which is registered with the authorization server. Its secret, if it has
    /// one, is `MCP_OAUTH_CLIENT_SECRET`.
    #[arg(long, value_name = "ID", conflicts_with = "client_metadata_url")]
    pub(crate) client_id: Option<String>,
    /// Use the https URL of a client metadata document as the client ID, where servers support it.
    #[arg(long, hide_short_help = true, value_name = "URL")]
    pub(crate) client_metadata_url: Option<Url>,
    /// Open no browser: only show the URL.
    #[arg(long)]
    pub(crate) no_browser: bool,
    /// Follow MCP 2025-03-26 if the server has no protected resource metadata.
    #[arg(long, hide_short_help = true)]
    pub(crate) legacy: bool,
    /// Allow plain http, for a server in a trusted private network and for the URLs that it names
    /// there. Only private addresses are allowed; this machine needs no flag.
    #[arg(long, hide_short_help = true)]
    pub(crate) allow_http: bool,
}
