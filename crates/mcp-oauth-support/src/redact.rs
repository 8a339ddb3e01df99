//! Removes the secrets that a client has sent from what a server sends back: error messages and
//! debugging pages may echo them (CWE-532).

use std::{borrow::Cow, collections::HashMap, fmt, mem, ops::Range, sync::Arc};

use aho_corasick::{
    Anchored,
    automaton::{Automaton as _, StateID},
    nfa::contiguous::NFA,
};
use bytes::{Bytes, BytesMut};
use memchr::memmem;
use serde_json::Value;
use url::form_urlencoded;
use zeroize::Zeroizing;

/// The replacement of a secret in a text.
const REDACTED: &str = "[redacted]";
/// The replacement of each byte of a secret in a stream, so that the length of a body does not change.
const MASK: u8 = b'*';
/// The length of the shortest secret that is redacted: a shorter one also occurs in ordinary text.
const MIN_SECRET: usize = 4;
/// The length of the shortest beginning of a secret that is redacted at the end of a cut text.
const MIN_BEGINNING: usize = 8;
/// The number of bytes at the end of each secret that are searched for first.
const PROBE: usize = 32;

/// Finds secrets in what a server sends, and redacts them: as they are, in a JSON string, with or
/// without escaped slashes (RFC 8259 §7), and in a form (`application/x-www-form-urlencoded`), as
/// requests carry them. Ignores secrets that are shorter than four bytes.
///
/// The time that a search takes grows with the text, not with the length of the secrets, whatever
/// a server sends. Cloning is cheap.
///
/// ```
/// use mcp_oauth_support::redact::Redactor;
///
/// let redactor = Redactor::new(["refresh/1"]);
/// assert_eq!(redactor.redact("no refresh/1 here"), "no [redacted] here");
/// assert_eq!(redactor.redact("token=refresh%2F1&a=b"), "token=[redacted]&a=b");
/// ```
#[derive(Clone)]
pub struct Redactor(Arc<Automaton>);

struct Automaton {
    /// `None` if the secrets are too large for an automaton (gigabytes): then everything is redacted.
    nfa: Option<NFA>,
    start: StateID,
    forms: Vec<Zeroizing<String>>,
    longest: usize,
    /// The depth of each state: the number of bytes at the end of the input that are the beginning of a
    /// secret.
    depths: HashMap<StateID, usize>,
}

impl Redactor {
    /// Prepares the search for `secrets`.
    pub fn new<S: AsRef<str>>(secrets: impl IntoIterator<Item = S>) -> Self {
        let secrets = secrets.into_iter();
        let forms: Vec<_> = secrets
            .filter(|secret| secret.as_ref().len() >= MIN_SECRET)
            .flat_map(|secret| forms(secret.as_ref()))
            .collect();
        Self(Arc::new(Automaton::new(forms)))
    }

    /// Returns the text with `[redacted]` for each secret; borrowed if there is none.
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        in_text(text, &self.0.search(text.as_bytes()).0)
    }

    /// Redacts a text that was cut: the beginning of a secret at its end is redacted too.
    pub fn redact_cut<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let (mut found, begun) = self.0.search(text.as_bytes());
        if begun >= MIN_BEGINNING {
            add(&mut found, text.len() - begun..text.len());
        }
        in_text(text, &found)
    }

    /// Returns the bytes with `[redacted]` for each secret; borrowed if there is none.
    pub fn redact_bytes<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        in_bytes(bytes, &self.0.search(bytes).0)
    }

    /// Redacts every string and every name in `value`, and returns whether there was something to
    /// redact. The text of a JSON document may have a secret with any of its characters escaped.
    pub fn redact_json(&self, value: &mut Value) -> bool {
        match value {
            Value::String(text) => match self.redact(text) {
                Cow::Borrowed(_) => false,
                Cow::Owned(clean) => {
                    *text = clean;
                    true
                }
            },
            Value::Array(items) => items
                .iter_mut()
                .fold(false, |found, item| self.redact_json(item) | found),
            Value::Object(members) => {
                let mut found = false;
                for (name, mut member) in mem::take(members) {
                    found |= self.redact_json(&mut member);
                    let name = match self.redact(&name) {
                        Cow::Borrowed(_) => name,
                        Cow::Owned(clean) => {
                            found = true;
                            clean
                        }
                    };
                    members.insert(name, member);
                }
                found
            }
            _ => false,
        }
    }

    /// Returns whether a secret occurs in `bytes`.
    pub fn finds(&self, bytes: &[u8]) -> bool {
        !self.0.search(bytes).0.is_empty()
    }

    /// Returns a filter for a body that arrives in pieces.
    pub fn stream(&self) -> RedactedStream {
        RedactedStream {
            redactor: self.clone(),
            state: self.0.start,
            held: Bytes::new(),
            read: 0,
        }
    }
}

impl Default for Redactor {
    /// Returns a redactor that has no secrets to find.
    fn default() -> Self {
        Self::new(std::iter::empty::<&str>())
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redactor([redacted])")
    }
}

/// Redacts a body as it arrives, and keeps its length: each byte of a secret becomes `*`. Bytes at
/// the end of a piece wait for the next one if a secret may begin with them; no others wait.
///
/// ```
/// use mcp_oauth_support::redact::Redactor;
///
/// let mut stream = Redactor::new(["refresh-1"]).stream();
/// assert_eq!(stream.push("a refr".into()), "a ");
/// assert_eq!(stream.push("esh-1 b ref".into()), "********* b ");
/// assert_eq!(stream.finish(), "ref");
/// ```
pub struct RedactedStream {
    redactor: Redactor,
    state: StateID,
    /// The end of what has arrived, if a secret may begin there; masked where another one ends.
    held: Bytes,
    /// The number of bytes of `held` that have been read.
    read: usize,
}

impl RedactedStream {
    /// Searches for the secrets of `redactor` from here on. A secret of the old redactor only is no longer
    /// found, even if its beginning has arrived.
    pub fn replace(&mut self, redactor: &Redactor) {
        if !Arc::ptr_eq(&self.redactor.0, &redactor.0) {
            self.redactor = redactor.clone();
            self.state = redactor.0.start;
            self.read = 0;
        }
    }

    /// Adds the next piece, and returns the part of the body that is ready.
    pub fn push(&mut self, piece: Bytes) -> Bytes {
        let mut whole = if self.held.is_empty() {
            piece
        } else {
            let mut both = BytesMut::from(mem::take(&mut self.held));
            both.extend_from_slice(&piece);
            both.freeze()
        };
        let automaton = &self.redactor.0;
        let (found, state) = automaton.walk(self.state, &whole, self.read);
        let mut ready = whole.len() - automaton.depth(state).min(whole.len());
        if let Some(last) = found.last() {
            // Masked bytes do not have to wait.
            if last.start <= ready {
                ready = ready.max(last.end);
            }
            let mut masked = BytesMut::from(whole);
            for range in found {
                masked[range].fill(MASK);
            }
            whole = masked.freeze();
        }
        self.state = state;
        self.held = whole.split_off(ready);
        self.read = self.held.len();
        whole
    }

    /// Returns the number of bytes that wait.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// Ends the body, and returns the bytes that have waited: the beginning of a secret, without its end.
    pub fn finish(&mut self) -> Bytes {
        self.state = self.redactor.0.start;
        self.read = 0;
        mem::take(&mut self.held)
    }
}

impl fmt::Debug for RedactedStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RedactedStream([redacted])")
    }
}

impl Automaton {
    fn new(forms: Vec<Zeroizing<String>>) -> Self {
        // A prefilter would keep copies of the secrets that are not wiped.
        let built = NFA::builder()
            .prefilter(false)
            .build(forms.iter().map(|form| form.as_bytes()))
            .ok();
        let start = built
            .as_ref()
            .and_then(|nfa| nfa.start_state(Anchored::No).ok());
        let (Some(nfa), Some(start)) = (built, start) else {
            return Self {
                nfa: None,
                start: StateID::ZERO,
                forms,
                longest: 0,
                depths: HashMap::new(),
            };
        };
        let mut depths = HashMap::new();
        for form in &forms {
            let mut state = start;
            for (before, &byte) in form.as_bytes().iter().enumerate() {
                state = nfa.next_state(Anchored::No, state, byte);
                depths.insert(state, before + 1);
            }
        }
        Self {
            start,
            longest: nfa.max_pattern_len(),
            nfa: Some(nfa),
            forms,
            depths,
        }
    }

    /// Reads on from the state that the first `read` bytes have led to. Returns the secrets that
    /// end in the rest, as ranges of `bytes` in order, and the state at the end. Secrets that overlap are one
    /// range; one that began before `bytes` begins with them.
    fn walk(&self, from: StateID, bytes: &[u8], read: usize) -> (Vec<Range<usize>>, StateID) {
        let mut found = Vec::new();
        let Some(nfa) = &self.nfa else {
            add(&mut found, 0..bytes.len());
            return (found, self.start);
        };
        // Most texts have no secret, and `memmem` finds that out ten times as fast as the automaton. Then
        // the automaton reads only the end of the text, which may be the beginning of a secret. `memmem`
        // searches for the end of each secret: preparing a search for all of it takes long, and many
        // tokens begin with the same characters.
        let finds = |form: &Zeroizing<String>| {
            let form = form.as_bytes();
            memmem::find(bytes, &form[form.len().saturating_sub(PROBE)..]).is_some()
        };
        let end = bytes.len().saturating_sub(self.longest);
        let has_none = from == self.start && end > read && !self.forms.iter().any(finds);
        let read = if has_none { end } else { read };
        let mut state = from;
        for (at, &byte) in bytes.iter().enumerate().skip(read) {
            state = nfa.next_state(Anchored::No, state, byte);
            if nfa.is_match(state) {
                let ended = (0..nfa.match_len(state)).map(|index| nfa.match_pattern(state, index));
                let longest = ended
                    .map(|form| nfa.pattern_len(form))
                    .max()
                    .unwrap_or_default();
                let end = at + 1;
                add(&mut found, end.saturating_sub(longest)..end);
            }
        }
        (found, state)
    }

    /// Reads a whole text. Returns the ranges of the secrets, and the number of bytes at its end that are
    /// the beginning of one.
    fn search(&self, bytes: &[u8]) -> (Vec<Range<usize>>, usize) {
        let (found, state) = self.walk(self.start, bytes, 0);
        (found, self.depth(state))
    }

    fn depth(&self, state: StateID) -> usize {
        self.depths.get(&state).copied().unwrap_or_default()
    }
}

/// Adds a range that ends behind all of `found`, joined with those that it overlaps.
fn add(found: &mut Vec<Range<usize>>, mut range: Range<usize>) {
    while let Some(last) = found.pop_if(|last| last.end > range.start) {
        range.start = range.start.min(last.start);
    }
    found.push(range);
}

/// Returns the encodings of a secret that a server may send back.
fn forms(secret: &str) -> Vec<Zeroizing<String>> {
    let quoted = Zeroizing::new(Value::from(secret).to_string());
    let json = &quoted[1..quoted.len() - 1];
    let form = form_urlencoded::byte_serialize(secret.as_bytes());
    let mut forms = Vec::from([
        Zeroizing::new(secret.to_owned()),
        Zeroizing::new(json.to_owned()),
        Zeroizing::new(json.replace('/', "\\/")),
        Zeroizing::new(form.collect()),
    ]);
    forms.dedup();
    forms
}

fn in_bytes<'a>(bytes: &'a [u8], found: &[Range<usize>]) -> Cow<'a, [u8]> {
    if found.is_empty() {
        return Cow::Borrowed(bytes);
    }
    let mut clean = Vec::with_capacity(bytes.len());
    let mut done = 0;
    for range in found {
        clean.extend_from_slice(&bytes[done..range.start]);
        clean.extend_from_slice(REDACTED.as_bytes());
        done = range.end;
    }
    clean.extend_from_slice(&bytes[done..]);
    Cow::Owned(clean)
}

/// Does the same for a text. Each form is valid UTF-8, so a match begins and ends between characters.
fn in_text<'a>(text: &'a str, found: &[Range<usize>]) -> Cow<'a, str> {
    match in_bytes(text.as_bytes(), found) {
        Cow::Borrowed(_) => Cow::Borrowed(text),
        Cow::Owned(clean) => Cow::Owned(String::from_utf8_lossy(&clean).into_owned()),
    }
}

#[cfg(test)]
mod tests;
