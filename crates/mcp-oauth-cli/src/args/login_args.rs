//! Who logs in, and at what kind of server: for `login`, and for `proxy`, which logs in by the way.

use clap::Args;
use mcp_client_oauth::proto::scope::Scope;
use url::Url;

/// Who logs in.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct LoginFlags {
    /// What to ask for, separated by blanks, instead of what the server suggests.
    #[arg(long)]
    pub(crate) scope: Option<Scope>,
    /// Which of several accounts at that server.
    #[arg(long, value_name = "ACCOUNT")]
    pub(crate) account: Option<String>,
    /// The id of a client that you have registered with the authorization server. Its secret, if it
    /// has one, is `MCP_OAUTH_CLIENT_SECRET`.
    #[arg(long, value_name = "ID", conflicts_with = "client_metadata_url")]
    pub(crate) client_id: Option<String>,
    /// The https URL of a client metadata document, which is a client id where servers take one.
    #[arg(long, hide_short_help = true, value_name = "URL")]
    pub(crate) client_metadata_url: Option<Url>,
    /// Open no browser: show the URL only.
    #[arg(long)]
    pub(crate) no_browser: bool,
    /// Follow the rules of 2025-03-26 if the server does not say who issues its tokens.
    #[arg(long, hide_short_help = true)]
    pub(crate) legacy: bool,
    /// Plain http will do, for a server in a network where nobody listens in, and for what it names
    /// there. It goes to private addresses only; this machine needs no leave.
    #[arg(long, hide_short_help = true)]
    pub(crate) allow_http: bool,
}
