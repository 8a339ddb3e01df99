//! Step 7: requests that carry a token, and a proof if it is bound to a key; a refused token is
//! replaced once, a wider scope is asked for and a nonce is taken a bounded number of times.

mod credentials;
mod request;
pub(crate) mod retry;
mod send;

pub use credentials::Credentials;
pub use request::AuthorizedRequest;
pub use send::Authorized;
