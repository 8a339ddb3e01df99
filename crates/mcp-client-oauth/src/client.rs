//! The front door: a client logs in to servers and opens their sessions.
//!
//! | file | contents |
//! |---|---|
//! | `state.rs` | [`Client`], its logins, and the sessions that are open |
//! | `builder.rs` | [`Client::new`] and [`Client::builder`] |
//! | `open_sessions.rs` | the sessions that are open, in bounded memory |
//! | `login.rs` | [`Client::login`] |
//! | `reuse.rs` | whether a stored login satisfies the options of a new one |
//! | `session.rs` | [`Client::session`], and the requests of a session |
//! | `two_requests.rs` | [`Login::begin`] and [`Client::finish`] |
//! | `interactive.rs` | a session that logs in when that is necessary |

#[cfg(all(feature = "reqwest", feature = "browser"))]
mod builder;
mod interactive;
mod login;
mod open_sessions;
mod reuse;
mod session;
mod state;
mod two_requests;

#[cfg(all(feature = "reqwest", feature = "browser"))]
pub use builder::ClientBuilder;
pub use login::Login;
pub use session::Session;
pub use state::Client;
