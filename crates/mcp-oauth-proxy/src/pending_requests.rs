//! The pending requests: each gets exactly one response, on whichever stream it arrives
//! (`docs/hostile.md` H164).

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard},
};

use bytes::Bytes;
use mcp_oauth_support::mutex::lock;
use serde_json::value::RawValue;
use tokio::{
    sync::{Notify, oneshot},
    task::AbortHandle,
};

use crate::jsonrpc::Id;

/// The requests without a response.
#[derive(Debug, Default)]
pub(crate) struct PendingRequests {
    open: Mutex<HashMap<Id, PendingRequest>>,
    /// Notifies that a request has ended.
    ended: Notify,
}

#[derive(Debug)]
struct PendingRequest {
    raw_id: Box<RawValue>,
    task: Option<AbortHandle>,
    /// Receives the response, if the proxy itself sent the request.
    proxy_waiter: Option<oneshot::Sender<Bytes>>,
    /// Receives a copy of the response to the client.
    observer: Option<oneshot::Sender<Bytes>>,
    /// The stream that its response arrives on, if it is shared by many requests (MCP 2024-11-05).
    stream: Option<u64>,
}

/// The receiver of a response.
#[derive(Debug)]
pub(crate) enum Requester {
    /// The client.
    Client,
    /// The proxy, which has received it.
    Proxy,
    /// None: no request with this id is pending.
    Unknown,
}

impl PendingRequests {
    /// Adds a request of the client. Returns false if a request with this id is pending.
    pub(crate) fn start(&self, id: &Id, raw_id: &RawValue) -> bool {
        let request = PendingRequest {
            raw_id: raw_id.to_owned(),
            task: None,
            proxy_waiter: None,
            observer: None,
            stream: None,
        };
        let mut pending = self.lock();
        let is_new = !pending.contains_key(id);
        if is_new {
            pending.insert(id.clone(), request);
        }
        is_new
    }

    /// Adds a request of the proxy, and returns the receiver of its response.
    pub(crate) fn start_for_proxy(&self, id: &Id, raw_id: &RawValue) -> oneshot::Receiver<Bytes> {
        let (sender, receiver) = oneshot::channel();
        let request = PendingRequest {
            raw_id: raw_id.to_owned(),
            task: None,
            proxy_waiter: Some(sender),
            observer: None,
            stream: None,
        };
        self.lock().insert(id.clone(), request);
        receiver
    }

    /// Returns a receiver for a copy of the response to the client.
    pub(crate) fn observe(&self, id: &Id) -> oneshot::Receiver<Bytes> {
        let (sender, receiver) = oneshot::channel();
        if let Some(request) = self.lock().get_mut(id) {
            request.observer = Some(sender);
        }
        receiver
    }

    /// Sets the task that handles the request, so that it can be aborted.
    pub(crate) fn set_task(&self, id: &Id, work: AbortHandle) {
        if let Some(request) = self.lock().get_mut(id) {
            request.task = Some(work);
        }
    }

    /// Sets the stream that the response arrives on. Returns false if the request is not pending any more.
    pub(crate) fn set_stream(&self, id: &Id, stream: Option<u64>) -> bool {
        let mut pending = self.lock();
        let request = pending.get_mut(id);
        request.map(|request| request.stream = stream).is_some()
    }

    pub(crate) fn is_pending(&self, id: &Id) -> bool {
        self.lock().contains_key(id)
    }

    /// Returns when no request is pending.
    pub(crate) async fn wait_until_empty(&self) {
        loop {
            let one_less = self.ended.notified();
            if self.lock().is_empty() {
                return;
            }
            one_less.await;
        }
    }

    fn remove(&self, id: &Id) -> Option<PendingRequest> {
        let request = self.lock().remove(id);
        self.ended.notify_waiters();
        request
    }

    /// Ends a request with its response, and returns the receiver of the response.
    pub(crate) fn complete(&self, id: &Id, response: &Bytes) -> Requester {
        match self.remove(id) {
            None => Requester::Unknown,
            Some(PendingRequest {
                proxy_waiter: None,
                observer: aside,
                ..
            }) => {
                // The receiver may have been dropped.
                let _dropped = aside.map(|aside| aside.send(response.clone()));
                Requester::Client
            }
            Some(PendingRequest {
                proxy_waiter: Some(waiter),
                ..
            }) => {
                // The receiver may have been dropped.
                let _dropped = waiter.send(response.clone());
                Requester::Proxy
            }
        }
    }

    /// Removes a request without a response. Its task, if any, is returned and continues until it is
    /// aborted.
    pub(crate) fn cancel(&self, id: &Id) -> Option<AbortHandle> {
        self.remove(id)?.task
    }

    /// Removes the requests that wait for a response on this stream, and returns the ids of the client's.
    pub(crate) fn fail_stream(&self, stream: u64) -> Vec<Box<RawValue>> {
        let mut pending = self.lock();
        let lost = pending.extract_if(|_, request| request.stream == Some(stream));
        let of_client = lost.filter(|(_, request)| request.proxy_waiter.is_none());
        let ids = of_client.map(|(_, request)| request.raw_id).collect();
        self.ended.notify_waiters();
        ids
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Id, PendingRequest>> {
        lock(&self.open)
    }
}
