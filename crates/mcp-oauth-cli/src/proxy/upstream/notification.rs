//! A message that gets no response, sent to the server.

use std::sync::Arc;

use super::{
    super::{error::Trouble, jsonrpc::Message},
    retry::Tries,
    state::{McpSession, Upstream},
};

impl Upstream {
    /// A notification, or an answer of the client.
    pub(crate) async fn tell(&self, message: &Message) -> Result<(), Trouble> {
        self.tell_patiently(None, message).await
    }

    /// It is sent again while it surely was not taken, or may be taken twice: at this session, or at
    /// the one of the moment. A connection that was kept from before may break as it is used.
    pub(super) async fn tell_patiently(
        &self,
        at: Option<&Arc<McpSession>>,
        message: &Message,
    ) -> Result<(), Trouble> {
        let mut tries = Tries::default();
        loop {
            let seat = match at {
                Some(seat) => Some(Arc::clone(seat)),
                None => self.seat(message).await?,
            };
            match self.tell_at(seat.as_deref(), message).await {
                Err(trouble)
                    if (trouble.never_sent() || message.is_safe() && trouble.is_interrupted())
                        && self.waited(&mut tries).await => {}
                outcome => return outcome,
            }
        }
    }

    pub(super) async fn tell_at(
        &self,
        seat: Option<&McpSession>,
        message: &Message,
    ) -> Result<(), Trouble> {
        let response = self.post(seat, message).await?;
        self.take(seat, message, response).await.map(drop)
    }
}
