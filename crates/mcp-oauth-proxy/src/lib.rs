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
//! # let platform = Platform::system().with_interaction(Arc::new(Approves));
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
//! gets responses before the login: an empty list of tools, and the URL of the login as the result of a
//! call. The login runs at the same time; when it is done, the client is notified that the lists have
//! changed. Of several proxies for one server, one logs in, and the others use its login.
//!
//! The proxy opens another session when the server has restarted, resumes broken streams, and repeats a
//! request only if that has no side effect.

mod call_login;
mod connection;
mod elicitation;
mod error;
mod filter;
mod forward;
mod header_params;
mod host;
mod jsonrpc;
mod legacy_sse;
mod lines;
mod listen;
mod log_in_tool;
mod login_html;
mod login_page;
mod mcp_client;
mod mutex;
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
pub use proxy::{Proxy, ProxyBuilder};
pub use settings::Transport;
