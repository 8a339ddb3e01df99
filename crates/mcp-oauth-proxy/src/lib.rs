//! A proxy for MCP hosts that speak stdio, or plain HTTP on loopback: it forwards the client's messages to
//! a server with an OAuth access token, and the server's messages to the client.
//!
//! A desktop application gives it the pipes of its MCP client:
//!
//! ```
//! use mcp_client_oauth::{Client, ServerUrl, TokenStore, platform::Platform};
//! use mcp_oauth_proxy::Proxy;
//! # use std::sync::Arc;
//! # use mcp_oauth_testbed::{Testbed, test_user};
//! # use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
//! # struct Approves;
//! # #[async_trait::async_trait]
//! # impl mcp_client_oauth::platform::Interaction for Approves {
//! #     async fn open(&self, url: &url::Url) {
//! #         test_user::approve(url).await.unwrap();
//! #     }
//! # }
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let testbed = Testbed::start().await?;
//! # let url = testbed.server_url();
//! # let mut platform = Platform::default();
//! # platform.interaction = Arc::new(Approves);
//! # let (mut app, pipes) = tokio::io::duplex(1 << 16);
//! # let (reader, writer) = tokio::io::split(pipes);
//! let client = Client::with_platform(platform, TokenStore::memory());
//! let server: ServerUrl = url.as_str().parse()?;           // https://mcp.example.com/mcp
//!
//! let proxy = Proxy::builder(&client, &server).build().await?;
//! let serving = tokio::spawn(proxy.serve(reader, writer));   // until the MCP client ends
//! # app.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}\n").await?;
//! # let mut line = String::new();
//! # BufReader::new(&mut app).read_line(&mut line).await?;
//! # assert!(line.contains("\"id\":1"), "{line}");
//! # drop(app);
//! # serving.await?;
//! # Ok(())
//! # }
//! ```
//!
//! [`Proxy::serve_stdio`] uses the stdin and stdout of the process, and [`Proxy::serve_http`] a listener on
//! loopback. [`ProxyBuilder`] has the options. A [`Host`] is what an application can change: how a user
//! logs in, and the messages.
//!
//! # What a client sees
//!
//! Messages are forwarded byte for byte, except that a token that the server echoes is redacted. The client
//! gets responses before the login: a list with the tool `log_in` alone, and a text as the result of a call.
//! When the login is done, the client is notified that the lists have changed. Of several proxies for one
//! server, one logs in, and the others use its login.
//!
//! The proxy opens another session when the server has restarted, resumes broken streams, and repeats a
//! request only if that has no side effect.
//!
//! # Login from the application
//!
//! A client that declares URL elicitation (`"elicitation": {"url": {}}`) shows the login to its user, when a
//! call needs it:
//!
//! - With MCP 2025-11-25 it gets the request `elicitation/create`, and `notifications/elicitation/complete`
//!   after the login. The error `-32042` is not used: the SDKs pass it on to the application, which may
//!   show it to its model.
//! - With MCP 2026-07-28 the call gets a result of the type `input_required`, and the client retries it. The
//!   capability is read from each request.
//!
//! Its URL is a link to a page of the proxy, `http://127.0.0.1:PORT/RANDOM`, which redirects to the
//! authorization server, or shows the code of a device. The link works once and only while the login is
//! pending. So the URL of the login, with its `state`, is in no message to the client, and the proxy opens
//! no browser itself.
//!
//! All calls that need the login share one elicitation, and wait for it, each at most
//! [`login_wait`](ProxyBuilder::login_wait). If the user declines, the login ends, and for five minutes calls
//! get a text with [`Host::login_command`] instead of another elicitation. A host says in
//! [`Host::user_browser`] whether the browser of its user can open the link.
//!
//! Other clients get the tool `log_in`, and the link in texts: the host opens the browser as soon as the
//! server requires a login.
//!
//! Over [`Proxy::serve_http`] a client that declares URL elicitation in `initialize` has a session of the
//! proxy, so that it can be sent an elicitation before the server accepts a request of it. The requests of
//! other clients are forwarded as they are, and get an error with the link while a login is required.

mod call_login;
mod connection;
mod elicitation;
mod error;
mod filter;
mod forward;
mod header_params;
mod host;
mod http_response;
mod http_session;
mod http_sessions;
mod jsonrpc;
mod legacy_sse;
mod lines;
mod listen;
mod log_in_tool;
mod login_files;
mod login_html;
mod login_page;
mod mcp_client;
mod offline_responses;
mod pending_requests;
mod pipes;
mod proxy;
mod random;
mod response;
mod serving;
mod settings;
mod stdio;
mod subscription;
mod upstream;

pub use error::ProxyError;
pub use host::{Host, LoginRequest, UserBrowser};
pub use login_files::{LoginFiles, LoginLock};
pub use proxy::{Proxy, ProxyBuilder};
pub use settings::Transport;
