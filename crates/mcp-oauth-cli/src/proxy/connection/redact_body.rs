//! Redacts our tokens in what the server sends to the client: a debugging page may echo them, and a
//! client in a sandbox must not have them. A server that wants to give one away finds a spelling for
//! it, and has it anyway.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderMap, Response};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use mcp_client_oauth::{
    error::HttpErrorKind,
    platform::Body,
    proto::token::AccessToken,
    redact::{RedactedStream, Redactor},
};

/// A shorter token occurs in other words: a message that lost them could not be read any more.
const SHORTEST: usize = 16;
/// The number of tokens that are remembered: those before them have expired.
const REMEMBERED: usize = 8;

/// The tokens that were sent to the server, the latest last. A stream that was opened with an old one
/// may echo what came by a new one. Cloning shares it.
#[derive(Clone, Default)]
pub(super) struct SentTokens(Arc<ArcSwap<Sent>>);

#[derive(Default)]
struct Sent {
    tokens: Vec<AccessToken>,
    redactor: Redactor,
}

impl SentTokens {
    /// Adds a token that is about to be sent.
    pub(super) fn note(&self, token: &AccessToken) {
        let is_last = self.0.load().tokens.last() == Some(token);
        if is_last || token.expose().len() < SHORTEST {
            return;
        }
        self.0.rcu(|sent| {
            let others = sent.tokens.iter().filter(|other| *other != token);
            let mut tokens: Vec<_> = others.chain([token]).cloned().collect();
            let forgotten = tokens.len().saturating_sub(REMEMBERED);
            tokens.drain(..forgotten);
            let redactor = Redactor::new(tokens.iter().map(AccessToken::expose));
            Sent { tokens, redactor }
        });
    }
}

/// Returns the response without the tokens that were sent, by now or until it ends. A header that has
/// one is left out.
pub(super) fn redacted(response: Response<Body>, shown: &SentTokens) -> Response<Body> {
    let (mut head, inner) = response.into_parts();
    let redactor = shown.0.load().redactor.clone();
    let headers = head.headers.iter();
    let kept = headers.filter(|(_, value)| !redactor.finds(value.as_bytes()));
    head.headers = kept
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect::<HeaderMap>();
    let body = Redacted {
        inner,
        shown: shown.clone(),
        stream: redactor.stream(),
    };
    Response::from_parts(head, Body::new(body))
}

/// A body whose tokens are redacted as it arrives. Its length does not change.
struct Redacted {
    inner: Body,
    shown: SentTokens,
    stream: RedactedStream,
}

impl Redacted {
    fn push(&mut self, piece: Bytes) -> Bytes {
        self.stream.replace(&self.shown.0.load().redactor);
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
                    // Trailers say nothing that a client of MCP reads.
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

    const TOKEN: &str = "a-token-of-ours-that-is-aa-token";

    fn body() -> Redacted {
        Redacted {
            inner: Body::full(Bytes::new()),
            shown: SentTokens::default(),
            stream: Redactor::default().stream(),
        }
    }

    fn token(text: &str) -> AccessToken {
        serde_json::from_value(text.into()).unwrap()
    }

    #[test]
    fn what_is_sent_while_a_response_arrives_is_redacted_in_it_too() {
        let mut body = body();
        assert_eq!(body.push("before ".into()), "before ");
        for number in 0..20 {
            let next = format!("{TOKEN}-{number:02}");
            body.shown.note(&token(&next));
            let echo = body.push(format!("{next} ").into());
            assert_eq!(echo, format!("{} ", "*".repeat(next.len())));
        }
        assert_eq!(body.shown.0.load().tokens.len(), REMEMBERED);
        // It is the latest again, and there once.
        body.shown.note(&token(&format!("{TOKEN}-15")));
        assert_eq!(body.shown.0.load().tokens.len(), REMEMBERED);
    }

    #[test]
    fn escaped_slashes_hide_nothing() {
        let mut body = body();
        body.shown.note(&token("a/token/of/ours+that/is=="));
        let echo = br#"{"sent":"a\/token\/of\/ours+that\/is=="}"#;
        let echo = body.push(Bytes::from_static(echo));
        assert!(!echo.windows(5).any(|five| five == b"token"));
        serde_json::from_slice::<serde_json::Value>(&echo).unwrap();
    }

    #[test]
    fn a_short_one_protects_nothing() {
        let mut body = body();
        body.shown.note(&token("the-fifteenth-b"));
        assert_eq!(body.push("the-fifteenth-b".into()), "the-fifteenth-b");
    }
}
