//! One session of an HTTP client that is served like a client on stdio: its requests are lines, and each line
//! to it is an event on one of its streams (MCP 2025-11-25, transports, streamable HTTP).

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::stream;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::StreamBody;
use hyper::body::Frame;
use mcp_client_oauth::platform::Body;
use mcp_oauth_support::mutex::lock;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
};

use crate::{
    http_response::{json_response, text_response},
    jsonrpc::{INVALID_REQUEST, Id, Kind, Message, error_response},
    lines::{Line, Lines, Output, QUEUE_LENGTH},
};

/// The number of messages that are kept for a client without a stream. More than these, the oldest are lost,
/// as they are with a server that resumes no stream.
const MAX_QUEUED: usize = 64;

/// The side of a session that takes the client's HTTP requests.
pub(crate) struct HttpSession {
    input: mpsc::Sender<Line>,
    streams: Arc<Mutex<Streams>>,
}

/// The open streams of a session.
#[derive(Default)]
struct Streams {
    /// One for each request of the client that has no response yet, the oldest first.
    requests: Vec<(Id, mpsc::Sender<Bytes>)>,
    /// The stream of the client's GET request.
    listening: Option<mpsc::Sender<Bytes>>,
    /// The messages that no stream could take.
    queued: VecDeque<Bytes>,
}

impl HttpSession {
    /// Returns a session, and its lines for the handler of the client's messages.
    pub(crate) fn new() -> (Self, Lines) {
        let (sender, input) = mpsc::channel(QUEUE_LENGTH);
        let (out, lines) = Output::new();
        let (done, written) = oneshot::channel();
        let streams = Arc::<Mutex<Streams>>::default();
        let mut tasks = JoinSet::new();
        let all = Arc::clone(&streams);
        tasks.spawn(async move {
            write_events(lines, &all).await;
            let _receiver_gone = done.send(());
        });
        let lines = Lines {
            input,
            out,
            written,
            tasks,
        };
        let session = Self {
            input: sender,
            streams,
        };
        (session, lines)
    }

    /// Returns whether a stream of the session is open.
    pub(crate) fn has_streams(&self) -> bool {
        let mut streams = lock(&self.streams);
        streams.remove_closed();
        streams.listening.is_some() || !streams.requests.is_empty()
    }

    /// Handles a message of the client. The response to a request is a stream, which ends with the response
    /// to the message.
    pub(crate) async fn post(&self, message: Message) -> Response<Body> {
        let receiver = match &message.kind {
            Kind::Request(id) => match lock(&self.streams).add_request(id) {
                Some(receiver) => Some(receiver),
                None => return refusal(&message, "a request with this id is pending"),
            },
            // No revision with URL elicitation has batches.
            Kind::Batch(_) => return refusal(&message, "batches are not supported"),
            Kind::Notification | Kind::Response(_) => None,
        };
        let cancelled = message.cancelled_id();
        if self.input.send(Line::Whole(message.line)).await.is_err() {
            return text_response(StatusCode::NOT_FOUND, "the session has ended");
        }
        // A cancelled request gets no response.
        if let Some(id) = cancelled {
            lock(&self.streams).requests.retain(|(of, _)| *of != id);
        }
        match receiver {
            Some(receiver) => event_stream(receiver),
            None => text_response(StatusCode::ACCEPTED, ""),
        }
    }

    /// Opens the stream for the messages that belong to no request. An earlier stream of the client ends.
    pub(crate) fn listen(&self) -> Response<Body> {
        let mut streams = lock(&self.streams);
        let (sender, receiver) = mpsc::channel(MAX_QUEUED);
        // There is room for all of them.
        for event in streams.queued.drain(..) {
            drop(sender.try_send(event));
        }
        streams.listening = Some(sender);
        event_stream(receiver)
    }
}

impl Streams {
    /// Adds the stream of a request; none if its id is in use.
    fn add_request(&mut self, id: &Id) -> Option<mpsc::Receiver<Bytes>> {
        self.remove_closed();
        if self.requests.iter().any(|(pending, _)| pending == id) {
            return None;
        }
        let (sender, receiver) = mpsc::channel(QUEUE_LENGTH);
        self.requests.push((id.clone(), sender));
        Some(receiver)
    }

    /// Removes the streams that the client has closed.
    fn remove_closed(&mut self) {
        self.requests.retain(|(_, sender)| !sender.is_closed());
        self.listening.take_if(|sender| sender.is_closed());
    }

    /// Returns the stream for a line: the one of its request, which then ends, or the one for other messages.
    /// Without that one it is the stream of the newest request, because a call may wait for this message.
    fn stream_for(&mut self, line: &Bytes) -> Option<mpsc::Sender<Bytes>> {
        self.remove_closed();
        if let Ok(Message {
            kind: Kind::Response(id),
            ..
        }) = Message::parse(line)
        {
            let index = self.requests.iter().position(|(of, _)| *of == id)?;
            return Some(self.requests.remove(index).1);
        }
        let newest = self.requests.last().map(|(_, sender)| sender);
        let stream = self.listening.as_ref().or(newest).cloned();
        if stream.is_none() {
            if self.queued.len() == MAX_QUEUED {
                self.queued.pop_front();
            }
            self.queued.push_back(event(line));
        }
        stream
    }
}

/// Writes each line to a stream of the client, until the handler of its messages ends. Then all streams end.
async fn write_events(mut lines: mpsc::Receiver<Bytes>, streams: &Mutex<Streams>) {
    while let Some(line) = lines.recv().await {
        let stream = lock(streams).stream_for(&line);
        if let Some(stream) = stream {
            // The client may close the stream meanwhile; a broken stream is not resumed.
            let _closed = stream.send(event(&line)).await;
        }
    }
    *lock(streams) = Streams::default();
}

/// Formats a line as an event of a stream.
fn event(line: &Bytes) -> Bytes {
    let mut event = BytesMut::with_capacity(line.len() + 24);
    for part in [b"event: message\ndata: ", &line[..], b"\n\n"] {
        event.put_slice(part);
    }
    event.freeze()
}

fn event_stream(mut events: mpsc::Receiver<Bytes>) -> Response<Body> {
    let frames = stream::poll_fn(move |cx| {
        let event = events.poll_recv(cx);
        event.map(|event| event.map(|event| Ok(Frame::data(event))))
    });
    let mut response = Response::new(Body::new(StreamBody::new(frames)));
    let headers = response.headers_mut();
    let stream = HeaderValue::from_static("text/event-stream");
    headers.insert(header::CONTENT_TYPE, stream);
    let uncached = HeaderValue::from_static("no-cache");
    headers.insert(header::CACHE_CONTROL, uncached);
    response
}

/// Builds the response to a message that is not handled.
fn refusal(message: &Message, why: &str) -> Response<Body> {
    let error = error_response(message.raw_id.as_deref(), INVALID_REQUEST, why, None);
    json_response(StatusCode::BAD_REQUEST, error)
}
