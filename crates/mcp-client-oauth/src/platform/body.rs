//! A streamed body of a response or a request.

#[cfg(feature = "reqwest")]
use std::sync::{Mutex, PoisonError};
use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::{BodyExt as _, Full, combinators::UnsyncBoxBody};
#[cfg(feature = "reqwest")]
use mcp_oauth_support::mutex::lock;

use super::http_error::HttpErrorKind;

/// A streamed body of a response or a request. Dropping it closes the stream.
pub struct Body(UnsyncBoxBody<Bytes, HttpErrorKind>);

impl Body {
    /// Wraps `body`.
    pub fn new(body: impl HttpBody<Data = Bytes, Error = HttpErrorKind> + Send + 'static) -> Self {
        Self(body.boxed_unsync())
    }

    /// Returns the next bytes, never empty, or none at the end. Dropping the future loses no bytes.
    pub(crate) async fn chunk(&mut self) -> Option<Result<Bytes, HttpErrorKind>> {
        loop {
            match self.0.frame().await?.map(Frame::into_data) {
                Ok(Ok(data)) if !data.is_empty() => return Some(Ok(data)),
                // Trailers are not used.
                Ok(_) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// Reads the whole body and counts its bytes: `Content-Length` may be wrong.
    ///
    /// # Errors
    /// [`HttpErrorKind::TooLarge`] if it has more than `limit` bytes; the error of the network.
    pub(crate) async fn read(mut self, limit: usize) -> Result<Bytes, HttpErrorKind> {
        let Some(first) = self.chunk().await.transpose()? else {
            return Ok(Bytes::new());
        };
        if first.len() > limit {
            return Err(HttpErrorKind::TooLarge(limit));
        }
        if self.0.is_end_stream() {
            return Ok(first);
        }
        let mut all = BytesMut::from(first);
        while let Some(chunk) = self.chunk().await.transpose()? {
            if all.len() + chunk.len() > limit {
                return Err(HttpErrorKind::TooLarge(limit));
            }
            all.extend_from_slice(&chunk);
        }
        Ok(all.freeze())
    }

    /// Reads the whole body within `deadline`, however slowly it arrives.
    ///
    /// # Errors
    /// [`HttpErrorKind::TooLarge`] if it has more than `limit` bytes; [`HttpErrorKind::TimedOut`]; the error of
    /// the network.
    pub async fn read_within(
        self,
        deadline: Duration,
        limit: usize,
    ) -> Result<Bytes, HttpErrorKind> {
        let read = tokio::time::timeout(deadline, self.read(limit)).await;
        read.unwrap_or(Err(HttpErrorKind::TimedOut(deadline)))
    }
}

/// A body that is sent at once.
impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::new(Full::new(bytes).map_err(|never| match never {}))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = HttpErrorKind;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpErrorKind>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

/// A body that is `Sync`, as reqwest requires it, though it shares no references.
#[cfg(feature = "reqwest")]
pub(super) struct SyncBody(Mutex<Body>);

#[cfg(feature = "reqwest")]
impl SyncBody {
    pub(super) fn new(body: Body) -> Self {
        Self(Mutex::new(body))
    }
}

#[cfg(feature = "reqwest")]
impl HttpBody for SyncBody {
    type Data = Bytes;
    type Error = HttpErrorKind;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpErrorKind>>> {
        let body = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        Pin::new(body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        let body = lock(&self.0);
        body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let body = lock(&self.0);
        body.size_hint()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Body").finish_non_exhaustive()
    }
}
