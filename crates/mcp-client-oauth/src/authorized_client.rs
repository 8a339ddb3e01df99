//! Step 7: requests with a token, and a proof if it is bound to a key. A refused token is replaced once;
//! step-up authorization and DPoP nonces are repeated a bounded number of times.

mod credentials;
mod request;
mod response_head;
pub(crate) mod retry;
mod send;

pub use credentials::Credentials;
pub use request::RequestBuilder;
pub use response_head::ResponseHead;
pub use send::send;
pub(crate) use send::{AuthorizedClient, credentials};
