//! Our tokens, blotted out of what the server says on its way to the client: a debugging page may echo
//! them, and a client in a sandbox is not to have them. A server that wants to give one away finds a
//! spelling for it, and has it anyway.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use arc_swap::ArcSwap;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Response};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use mcp_client_oauth::{Secret, error::HttpErrorCause, platform::Body, proto::token::AccessToken};
use memchr::memmem;

/// What stands for each byte of a token: the length of a body does not change.
const BLOT: u8 = b'*';
/// A shorter one stands in other words, and protects nothing.
const SHORTEST: usize = 16;
/// How many are remembered: the ones before are expired.
const REMEMBERED: usize = 8;

/// The tokens that the server has seen of us, the latest last. A stream that was opened with an old
/// one may echo what came by a new one. Cloning shares it.
#[derive(Clone, Default)]
pub(super) struct Shown(Arc<ArcSwap<Vec<Spellings>>>);

/// A token as it is sent, and as a JSON text may have it.
#[derive(Clone)]
struct Spellings {
    plain: AccessToken,
    /// With its slashes escaped, if it has any (RFC 8259 §7).
    escaped: Option<Secret<String>>,
}

impl Shown {
    /// This one is on its way to the server.
    pub(super) fn note(&self, token: &AccessToken) {
        let shown = self.0.load();
        if shown.last().is_some_and(|last| last.plain == *token) || token.expose().len() < SHORTEST
        {
            return;
        }
        self.0.rcu(|shown| {
            let others = shown.iter().filter(|other| other.plain != *token);
            let mut all: Vec<_> = others.cloned().collect();
            all.push(Spellings::of(token));
            let forgotten = all.len().saturating_sub(REMEMBERED);
            all.drain(..forgotten);
            all
        });
    }
}

impl Spellings {
    fn of(token: &AccessToken) -> Self {
        let text = token.expose();
        let escaped = || Secret::new(text.replace('/', "\\/"));
        Self {
            plain: token.clone(),
            escaped: text.contains('/').then(escaped),
        }
    }

    fn all(&self) -> impl Iterator<Item = &[u8]> {
        let escaped = self.escaped.as_ref().map(|text| text.expose().as_bytes());
        std::iter::once(self.plain.expose().as_bytes()).chain(escaped)
    }
}

/// The answer without the tokens that were shown, now or until it ends.
pub(super) fn blotted(answer: Response<Body>, shown: &Shown) -> Response<Body> {
    let (mut head, inner) = answer.into_parts();
    head.headers = without(&head.headers, &shown.0.load());
    let body = Blotted {
        inner,
        shown: shown.clone(),
        held: Bytes::new(),
    };
    Response::from_parts(head, Body::new(body))
}

/// Of the headers, those that have none of the tokens in them.
fn without(headers: &HeaderMap, shown: &[Spellings]) -> HeaderMap {
    let has_token = |value: &[u8]| {
        let mut tokens = shown.iter().flat_map(Spellings::all);
        tokens.any(|token| memmem::find(value, token).is_some())
    };
    let kept = headers
        .iter()
        .filter(|(_, value)| !has_token(value.as_bytes()));
    kept.map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// A body in which tokens are blotted out as it comes.
struct Blotted {
    inner: Body,
    shown: Shown,
    /// The end of what has come, if a token may begin there.
    held: Bytes,
}

impl Blotted {
    /// What may go on of what has come by now.
    fn take(&mut self, more: Bytes) -> Bytes {
        let mut whole = if self.held.is_empty() {
            more
        } else {
            let mut both = BytesMut::from(std::mem::take(&mut self.held));
            both.extend_from_slice(&more);
            both.freeze()
        };
        let shown = self.shown.0.load();
        let tokens = || shown.iter().flat_map(Spellings::all);
        for token in tokens() {
            whole = over(whole, token);
        }
        let held = tokens().map(|token| begun(&whole, token));
        let held = held.max().unwrap_or_default();
        self.held = whole.split_off(whole.len() - held);
        whole
    }
}

/// The same bytes, with blots for each `token`.
fn over(bytes: Bytes, token: &[u8]) -> Bytes {
    let places: Vec<usize> = memmem::find_iter(&bytes, token).collect();
    if places.is_empty() {
        return bytes;
    }
    let mut blotted = BytesMut::from(bytes);
    for place in places {
        blotted[place..place + token.len()].fill(BLOT);
    }
    blotted.freeze()
}

/// How many bytes at the end may be the beginning of `token`.
fn begun(bytes: &[u8], token: &[u8]) -> usize {
    let longest = bytes.len().min(token.len() - 1);
    let lengths = (1..=longest).rev();
    let mut begun = lengths.filter(|&length| bytes.ends_with(&token[..length]));
    begun.next().unwrap_or_default()
}

impl HttpBody for Blotted {
    type Data = Bytes;
    type Error = HttpErrorCause;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpErrorCause>>> {
        loop {
            let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
            let ready = match frame {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(more) => self.take(more),
                    // Trailers say nothing that anybody asks for.
                    Err(_) => Bytes::new(),
                },
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None if self.held.is_empty() => return Poll::Ready(None),
                None => std::mem::take(&mut self.held),
            };
            if !ready.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(ready))));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let held = u64::try_from(self.held.len()).unwrap_or_default();
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

    fn body() -> Blotted {
        Blotted {
            inner: Body::full(Bytes::new()),
            shown: Shown::default(),
            held: Bytes::new(),
        }
    }

    fn token(text: &str) -> AccessToken {
        serde_json::from_value(text.into()).unwrap()
    }

    /// What becomes of these pieces.
    fn passed(pieces: &[&str]) -> (String, Vec<usize>) {
        let mut body = body();
        body.shown.note(&token(TOKEN));
        let mut out = String::new();
        let mut held = Vec::new();
        for piece in pieces {
            let piece = Bytes::copy_from_slice(piece.as_bytes());
            out.push_str(str::from_utf8(&body.take(piece)).unwrap());
            held.push(body.held.len());
        }
        out.push_str(str::from_utf8(&body.held).unwrap());
        (out, held)
    }

    #[test]
    fn a_token_is_blotted_out_wherever_the_pieces_end() {
        let text = format!("x{TOKEN}{TOKEN} a-token-of-others {TOKEN}");
        let clean = text.replace(TOKEN, &"*".repeat(TOKEN.len()));
        for cut in 0..=text.len() {
            for second in [cut, text.len().min(cut + 1), text.len().min(cut + 40)] {
                let pieces = [&text[..cut], &text[cut..second], &text[second..]];
                assert_eq!(passed(&pieces).0, clean, "{pieces:?}");
            }
        }
        let bytes: Vec<&str> = text.split("").collect();
        assert_eq!(passed(&bytes).0, clean);
    }

    #[test]
    fn nothing_else_is_changed_or_held() {
        let text = "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\n";
        assert_eq!(passed(&[text]), (text.to_owned(), vec![0]));
        // What may be the beginning waits, and comes.
        assert_eq!(
            passed(&["say a-to", "ast"]),
            ("say a-toast".to_owned(), vec![4, 0])
        );
    }

    #[test]
    fn what_is_shown_while_an_answer_comes_is_blotted_out_of_it_too() {
        let mut body = body();
        let mut take = |text: &str| {
            let taken = body.take(Bytes::copy_from_slice(text.as_bytes()));
            (taken, body.shown.clone())
        };
        let (before, shown) = take("before ");
        assert_eq!(before, "before ");
        for number in 0..20 {
            let next = format!("{TOKEN}-{number:02}");
            shown.note(&token(&next));
            let (echo, _) = take(&format!("{next} "));
            assert_eq!(echo, format!("{} ", "*".repeat(next.len())));
        }
        assert_eq!(shown.0.load().len(), REMEMBERED);
        // It is the latest again, and there once.
        shown.note(&token(&format!("{TOKEN}-15")));
        assert_eq!(shown.0.load().len(), REMEMBERED);
    }

    #[test]
    fn escaped_slashes_hide_nothing() {
        let mut body = body();
        body.shown.note(&token("a/token/of/ours+that/is=="));
        let echo = br#"{"sent":"a\/token\/of\/ours+that\/is=="}"#;
        let echo = body.take(Bytes::from_static(echo));
        assert!(!echo.windows(5).any(|five| five == b"token"));
        serde_json::from_slice::<serde_json::Value>(&echo).unwrap();
    }

    #[test]
    fn a_short_one_protects_nothing() {
        let mut body = body();
        body.shown.note(&token("ok"));
        assert_eq!(body.take(Bytes::from_static(b"ok")), "ok");
    }
}
