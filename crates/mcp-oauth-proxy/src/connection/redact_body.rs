//! Redacts the tokens of this client in the server's responses: a debugging page may echo them, and a
//! client in a sandbox must not get them. A malicious server can encode a token so that it is not found;
//! it has the token anyway.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderMap, Response};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use mcp_client_oauth::{error::HttpErrorKind, flow::AccessToken, platform::Body};
use mcp_oauth_support::redact::{RedactedStream, Redactor};

/// A shorter token may occur inside other text, and redacting it would damage the message.
const MIN_TOKEN_LENGTH: usize = 16;
/// The number of tokens that are remembered: older ones have expired.
const MAX_TOKENS: usize = 8;

/// The tokens that were sent to the server, the latest last. A stream that was opened with an old token
/// may echo a newer one. Clones share their state.
#[derive(Clone, Default)]
pub(super) struct SentTokens(Arc<ArcSwap<Sent>>);

#[derive(Default)]
struct Sent {
    tokens: Vec<AccessToken>,
    redactor: Redactor,
}

impl SentTokens {
    /// Adds a token that is about to be sent.
    pub(super) fn record(&self, token: &AccessToken) {
        let is_last = self.0.load().tokens.last() == Some(token);
        if is_last || token.expose().len() < MIN_TOKEN_LENGTH {
            return;
        }
        self.0.rcu(|sent| {
            let others = sent.tokens.iter().filter(|other| *other != token);
            let mut tokens: Vec<_> = others.chain([token]).cloned().collect();
            let excess = tokens.len().saturating_sub(MAX_TOKENS);
            tokens.drain(..excess);
            let redactor = Redactor::new(tokens.iter().map(AccessToken::expose));
            Sent { tokens, redactor }
        });
    }
}

/// Returns the response without the tokens that were sent before or are sent while it is read. A header
/// with a token is removed.
pub(super) fn redacted(response: Response<Body>, sent: &SentTokens) -> Response<Body> {
    let (mut head, inner) = response.into_parts();
    let redactor = sent.0.load().redactor.clone();
    let headers = head.headers.iter();
    let kept = headers.filter(|(_, value)| !redactor.finds(value.as_bytes()));
    head.headers = kept
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect::<HeaderMap>();
    let body = Redacted {
        inner,
        sent: sent.clone(),
        stream: redactor.stream(),
    };
    Response::from_parts(head, Body::new(body))
}

/// A body that redacts tokens while it is read. Its length does not change.
struct Redacted {
    inner: Body,
    sent: SentTokens,
    stream: RedactedStream,
}

impl Redacted {
    fn push(&mut self, piece: Bytes) -> Bytes {
        self.stream.replace(&self.sent.0.load().redactor);
        self.stream.push(piece)
    }
}

impl HttpBody for Redacted {
    type Data = Bytes;
    type Error = HttpErrorKind;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpErrorKind>>> {
        loop {
            let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
            let ready = match frame {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(piece) => self.push(piece),
                    // MCP clients do not read trailers.
                    Err(_) => Bytes::new(),
                },
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None if self.stream.held() == 0 => return Poll::Ready(None),
                None => self.stream.finish(),
            };
            if !ready.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(ready))));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.stream.held() == 0 && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let held = u64::try_from(self.stream.held()).unwrap_or_default();
        let mut hint = self.inner.size_hint();
        if let Some(exact) = hint.exact() {
            return SizeHint::with_exact(exact.saturating_add(held));
        }
        hint.set_lower(hint.lower().saturating_add(held));
        hint
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "a-token-that-repeats-aa-a-token-t";

    fn body() -> Redacted {
        Redacted {
            inner: Body::from(Bytes::new()),
            sent: SentTokens::default(),
            stream: Redactor::default().stream(),
        }
    }

    fn token(text: &str) -> AccessToken {
        serde_json::from_value(text.into()).unwrap()
    }

    #[test]
    fn a_token_sent_while_a_response_is_read_is_redacted_in_it() {
        let mut body = body();
        assert_eq!(body.push("before ".into()), "before ");
        for number in 0..20 {
            let next = format!("{TOKEN}-{number:02}");
            body.sent.record(&token(&next));
            let echo = body.push(format!("{next} ").into());
            assert_eq!(echo, format!("{} ", "*".repeat(next.len())));
        }
        assert_eq!(body.sent.0.load().tokens.len(), MAX_TOKENS);
        // A token that is sent again becomes the latest, and is stored once.
        body.sent.record(&token(&format!("{TOKEN}-15")));
        assert_eq!(body.sent.0.load().tokens.len(), MAX_TOKENS);
    }

    #[test]
    fn a_token_with_escaped_slashes_is_redacted() {
        let mut body = body();
        body.sent.record(&token("a/token/with/slashes+and=="));
        let echo = br#"{"sent":"a\/token\/with\/slashes+and=="}"#;
        let echo = body.push(Bytes::from_static(echo));
        assert!(!echo.windows(5).any(|five| five == b"token"));
        serde_json::from_slice::<serde_json::Value>(&echo).unwrap();
    }

    #[test]
    fn a_short_token_is_not_redacted() {
        let mut body = body();
        body.sent.record(&token("the-fifteenth-b"));
        assert_eq!(body.push("the-fifteenth-b".into()), "the-fifteenth-b");
    }
}
