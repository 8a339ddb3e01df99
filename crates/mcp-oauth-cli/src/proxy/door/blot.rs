//! Our token, blotted out of what the server says on its way to the client: a debugging page may echo
//! it, and a client in a sandbox is not to have it. A server that wants to give it away finds a
//! spelling for it, and has it anyway.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Response};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use mcp_client_oauth::{error::HttpErrorCause, platform::Body, proto::token::AccessToken};
use memchr::memmem;

/// What stands for each byte of a token: the length of a body does not change.
const BLOT: u8 = b'*';
/// A shorter one stands in other words, and protects nothing.
const SHORTEST: usize = 16;

/// The answer without these tokens.
pub(super) fn blotted(answer: Response<Body>, mut tokens: Vec<AccessToken>) -> Response<Body> {
    tokens.retain(|token| token.expose().len() >= SHORTEST);
    if tokens.is_empty() {
        return answer;
    }
    let (mut head, inner) = answer.into_parts();
    head.headers = without(&head.headers, &tokens);
    let held = Bytes::new();
    let body = Blotted {
        inner,
        tokens,
        held,
    };
    Response::from_parts(head, Body::new(body))
}

/// Of the headers, those that have none of the tokens in them.
fn without(headers: &HeaderMap, tokens: &[AccessToken]) -> HeaderMap {
    let has_token = |value: &[u8]| {
        let mut tokens = tokens.iter();
        tokens.any(|token| memmem::find(value, token.expose().as_bytes()).is_some())
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
    tokens: Vec<AccessToken>,
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
        for token in &self.tokens {
            whole = over(whole, token.expose().as_bytes());
        }
        let tokens = self.tokens.iter();
        let held = tokens.map(|token| begun(&whole, token.expose().as_bytes()));
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

    /// What becomes of these pieces.
    fn passed(pieces: &[&str]) -> (String, Vec<usize>) {
        let token: AccessToken = serde_json::from_value(TOKEN.into()).unwrap();
        let mut body = Blotted {
            inner: Body::full(Bytes::new()),
            tokens: vec![token],
            held: Bytes::new(),
        };
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
}
