//! The requests that are under way: each is answered once, by whatever stream its answer comes
//! (H164).

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use serde_json::value::RawValue;
use tokio::{
    sync::{Notify, oneshot},
    task::AbortHandle,
};

use super::jsonrpc::Id;

/// The requests that have no answer yet.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    open: Mutex<HashMap<Id, Call>>,
    /// Tells that there is one less.
    ended: Notify,
}

#[derive(Debug)]
struct Call {
    raw_id: Box<RawValue>,
    work: Option<AbortHandle>,
    /// Who asked, if that is not the client.
    own: Option<oneshot::Sender<Bytes>>,
    /// Who wants to know what the client is told.
    aside: Option<oneshot::Sender<Bytes>>,
    /// The stream that its answer comes by, if that is one for many (2024-11-05).
    stream: Option<u64>,
}

/// Whom an answer is for.
#[derive(Debug)]
pub(crate) enum Requester {
    /// The client.
    Client,
    /// Ourselves: it has been told.
    Ourselves,
    /// Nobody, or nobody any more.
    Nobody,
}

impl Calls {
    /// Returns a request of the client begins; no if one with this id is under way.
    pub(crate) fn begin(&self, id: &Id, raw_id: &RawValue) -> bool {
        let call = Call {
            raw_id: raw_id.to_owned(),
            work: None,
            own: None,
            aside: None,
            stream: None,
        };
        let mut calls = self.lock();
        let is_new = !calls.contains_key(id);
        if is_new {
            calls.insert(id.clone(), call);
        }
        is_new
    }

    /// Returns a request of our own begins.
    pub(crate) fn begin_own(&self, id: &Id, raw_id: &RawValue) -> oneshot::Receiver<Bytes> {
        let (sender, receiver) = oneshot::channel();
        let call = Call {
            raw_id: raw_id.to_owned(),
            work: None,
            own: Some(sender),
            aside: None,
            stream: None,
        };
        self.lock().insert(id.clone(), call);
        receiver
    }

    /// Returns what the client will be told.
    pub(crate) fn listen_to(&self, id: &Id) -> oneshot::Receiver<Bytes> {
        let (sender, receiver) = oneshot::channel();
        if let Some(call) = self.lock().get_mut(id) {
            call.aside = Some(sender);
        }
        receiver
    }

    /// Who works on it, so that the work can be stopped.
    pub(crate) fn is_worked_on_by(&self, id: &Id, work: AbortHandle) {
        if let Some(call) = self.lock().get_mut(id) {
            call.work = Some(work);
        }
    }

    /// From now on its answer comes by this stream, or by none; no if nobody waits for one any more.
    pub(crate) fn goes_by(&self, id: &Id, stream: Option<u64>) -> bool {
        let mut calls = self.lock();
        let call = calls.get_mut(id);
        call.map(|call| call.stream = stream).is_some()
    }

    pub(crate) fn is_open(&self, id: &Id) -> bool {
        self.lock().contains_key(id)
    }

    /// Returns when each has its answer.
    pub(crate) async fn all_ended(&self) {
        loop {
            let one_less = self.ended.notified();
            if self.lock().is_empty() {
                return;
            }
            one_less.await;
        }
    }

    fn remove(&self, id: &Id) -> Option<Call> {
        let call = self.lock().remove(id);
        self.ended.notify_waiters();
        call
    }

    /// Returns the answer is here.
    pub(crate) fn end(&self, id: &Id, response: &Bytes) -> Requester {
        match self.remove(id) {
            None => Requester::Nobody,
            Some(Call {
                own: None, aside, ..
            }) => {
                // Whoever has given up need not know.
                let _given_up = aside.map(|aside| aside.send(response.clone()));
                Requester::Client
            }
            Some(Call { own: Some(own), .. }) => {
                // Whoever has given up needs no answer.
                let _given_up = own.send(response.clone());
                Requester::Ourselves
            }
        }
    }

    /// It is not to be answered any more; the work for it goes on until it is stopped.
    pub(crate) fn cancel(&self, id: &Id) -> Option<AbortHandle> {
        self.remove(id)?.work
    }

    /// Returns every request of the client whose answer was to come by this stream, and none of them is left.
    pub(crate) fn end_with(&self, stream: u64) -> Vec<Box<RawValue>> {
        let mut calls = self.lock();
        let lost = calls.extract_if(|_, call| call.stream == Some(stream));
        let of_client = lost.filter(|(_, call)| call.own.is_none());
        let ids = of_client.map(|(_, call)| call.raw_id).collect();
        self.ended.notify_waiters();
        ids
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Id, Call>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
