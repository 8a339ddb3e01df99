//! The requests that are under way: each is answered once, by whatever stream its answer comes
//! (H164).

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use serde_json::value::RawValue;
use tokio::{sync::oneshot, task::AbortHandle};

use super::frame::Id;

/// The requests that have no answer yet.
#[derive(Debug, Default)]
pub(crate) struct Calls(Mutex<HashMap<Id, Call>>);

#[derive(Debug)]
struct Call {
    raw_id: Box<RawValue>,
    work: Option<AbortHandle>,
    /// Who asked, if that is not the client.
    own: Option<oneshot::Sender<Bytes>>,
}

/// Whom an answer is for.
#[derive(Debug)]
pub(crate) enum Asker {
    /// The client.
    Client,
    /// Ourselves: it has been told.
    Ourselves,
    /// Nobody, or nobody any more.
    Nobody,
}

impl Calls {
    /// A request of the client begins; no if one with this id is under way.
    pub(crate) fn begin(&self, id: &Id, raw_id: &RawValue) -> bool {
        let call = Call {
            raw_id: raw_id.to_owned(),
            work: None,
            own: None,
        };
        let mut calls = self.lock();
        let is_new = !calls.contains_key(id);
        if is_new {
            calls.insert(id.clone(), call);
        }
        is_new
    }

    /// A request of our own begins.
    pub(crate) fn begin_own(&self, id: &Id, raw_id: &RawValue) -> oneshot::Receiver<Bytes> {
        let (sender, receiver) = oneshot::channel();
        let call = Call {
            raw_id: raw_id.to_owned(),
            work: None,
            own: Some(sender),
        };
        self.lock().insert(id.clone(), call);
        receiver
    }

    /// Who works on it, so that the work can be stopped.
    pub(crate) fn is_worked_on_by(&self, id: &Id, work: AbortHandle) {
        if let Some(call) = self.lock().get_mut(id) {
            call.work = Some(work);
        }
    }

    pub(crate) fn is_open(&self, id: &Id) -> bool {
        self.lock().contains_key(id)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// The answer is here.
    pub(crate) fn end(&self, id: &Id, answer: &Bytes) -> Asker {
        match self.lock().remove(id) {
            None => Asker::Nobody,
            Some(Call { own: None, .. }) => Asker::Client,
            Some(Call { own: Some(own), .. }) => {
                // Whoever has given up needs no answer.
                let _given_up = own.send(answer.clone());
                Asker::Ourselves
            }
        }
    }

    /// It is not to be answered any more; the work for it goes on until it is stopped.
    pub(crate) fn cancel(&self, id: &Id) -> Option<AbortHandle> {
        self.lock().remove(id)?.work
    }

    /// Every request that the client waits for, and none is left.
    pub(crate) fn end_all(&self) -> Vec<Box<RawValue>> {
        let calls = self
            .lock()
            .drain()
            .map(|(_, call)| call)
            .collect::<Vec<_>>();
        let of_client = calls.into_iter().filter(|call| call.own.is_none());
        of_client.map(|call| call.raw_id).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Id, Call>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
