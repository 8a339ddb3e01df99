//! One message of JSON-RPC, as it came: what has to be known to pass it on, and no more. The bytes
//! are passed on as they are; only a line break between two tokens becomes a blank (H163).

use std::borrow::Cow;

use bytes::Bytes;
use memchr::{memchr2, memmem};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json, value::RawValue};

/// Says where a message of 2026-07-28 says which revision it is of.
const VERSION_KEY: &str = "io.modelcontextprotocol/protocolVersion";

/// JSON-RPC 2.0 §5.1.
pub(crate) const PARSE_ERROR: i64 = -32700;
/// JSON-RPC 2.0 §5.1.
pub(crate) const INVALID_REQUEST: i64 = -32600;
/// JSON-RPC 2.0 §5.1.
pub(crate) const METHOD_NOT_FOUND: i64 = -32601;
/// JSON-RPC 2.0 §5.1.
pub(crate) const INVALID_PARAMS: i64 = -32602;
/// JSON-RPC 2.0 §5.1, for what a server may define itself.
pub(crate) const SERVER_ERROR: i64 = -32000;
/// MCP 2026-07-28: the server does not speak the revision of the request.
pub(crate) const UNSUPPORTED_VERSION: i64 = -32022;
/// Nobody is logged in.
pub(crate) const LOGIN_REQUIRED: i64 = -32003;

/// The id of a request. `1` and `1.0` are one id, and so are `"a"` and `"\u0061"`.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Id {
    Number(String),
    Text(String),
}

impl Id {
    fn read(raw: &RawValue) -> Option<Self> {
        match serde_json::from_str(raw.get()).ok()? {
            Value::String(text) => Some(Self::Text(text)),
            Value::Number(number) if number.is_f64() => {
                Some(Self::Number(number.as_f64()?.to_string()))
            }
            Value::Number(number) => Some(Self::Number(number.to_string())),
            _ => None,
        }
    }
}

/// Holds what a message is.
#[derive(Debug)]
pub(crate) enum Kind {
    /// It wants an answer.
    Request(Id),
    /// It wants none.
    Notification,
    /// It is an answer.
    Answer(Id),
    /// Several in one, as in 2025-03-26, with those of them that want an answer.
    Batch(Vec<(Id, Box<RawValue>)>),
}

/// A message in one line.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) line: Bytes,
    pub(crate) kind: Kind,
    pub(crate) method: Option<String>,
    /// The id as it is written.
    pub(crate) raw_id: Option<Box<RawValue>>,
    /// Holds what a server of 2026-07-28 wants to see in headers.
    pub(crate) routing: Option<Routing>,
}

/// The revision that a message names, and what it is about.
#[derive(Debug, Default)]
pub(crate) struct Routing {
    pub(crate) version: String,
    pub(crate) name: Option<String>,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    result: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

/// `null` is a result like any other: an `Option` alone would take it for none.
fn present<'de, D: Deserializer<'de>>(value: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(value).map(Some)
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Params {
    name: Option<Value>,
    uri: Option<Value>,
    #[serde(rename = "taskId")]
    task: Option<Value>,
    #[serde(rename = "_meta")]
    meta: Option<Meta>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Meta {
    #[serde(rename = "io.modelcontextprotocol/protocolVersion")]
    version: Option<String>,
}

/// A text that is no message, and the code that says why.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct NoMessage {
    pub(crate) code: i64,
    pub(crate) why: &'static str,
}

impl Message {
    /// Reads one message.
    pub(crate) fn read(bytes: &Bytes) -> Result<Self, NoMessage> {
        let broken = |why| NoMessage {
            code: PARSE_ERROR,
            why,
        };
        let text = std::str::from_utf8(bytes).map_err(|_| broken("the message is not UTF-8"))?;
        if text.trim_ascii_start().starts_with('[') {
            return Self::batch(bytes);
        }
        let invalid = |why| NoMessage {
            code: INVALID_REQUEST,
            why,
        };
        if serde_json::from_str::<&RawValue>(text).is_err() {
            return Err(broken("the message is not JSON"));
        }
        if !text.trim_ascii_start().starts_with('{') {
            return Err(invalid("the message is no object"));
        }
        let envelope: Envelope<'_> = serde_json::from_str(text)
            .map_err(|_| invalid("a member stands there twice, or is of another kind"))?;
        let (kind, raw_id) = envelope
            .kind()
            .ok_or(invalid("it is no message of JSON-RPC"))?;
        let method = envelope.method.as_deref().map(str::to_owned);
        let routing = envelope.routing(bytes);
        let line = one_line(bytes);
        Ok(Self {
            line,
            kind,
            method,
            raw_id,
            routing,
        })
    }

    fn batch(bytes: &Bytes) -> Result<Self, NoMessage> {
        let broken = NoMessage {
            code: PARSE_ERROR,
            why: "the batch is not JSON",
        };
        let all: Vec<Envelope<'_>> = serde_json::from_slice(bytes).map_err(|_| broken)?;
        let ids = all.iter().filter_map(|envelope| match envelope.kind()? {
            (Kind::Request(id), Some(raw)) => Some((id, raw)),
            _ => None,
        });
        let kind = Kind::Batch(ids.collect());
        let line = one_line(bytes);
        Ok(Self {
            line,
            kind,
            method: None,
            raw_id: None,
            routing: None,
        })
    }

    pub(crate) fn is(&self, method: &str) -> bool {
        self.method.as_deref() == Some(method)
    }

    /// Those that want an answer, each with its id as it is written.
    pub(crate) fn requests(&self) -> Vec<(Id, Box<RawValue>)> {
        match (&self.kind, &self.raw_id) {
            (Kind::Request(id), Some(raw)) => vec![(id.clone(), raw.clone())],
            (Kind::Batch(all), _) => all.clone(),
            _ => Vec::new(),
        }
    }

    /// Returns the same request with an id of our own, which no client uses.
    pub(crate) fn again(&self, number: u64) -> Result<Self, NoMessage> {
        let envelope: Envelope<'_> = serde_json::from_slice(&self.line).map_err(|_| NoMessage {
            code: INVALID_REQUEST,
            why: "it is no message",
        })?;
        let method = json!(self.method);
        let params = envelope.params.map_or("{}", RawValue::get);
        let id = json!(format!("mcp-oauth-{number}"));
        let text = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":{method},"params":{params}}}"#);
        Self::read(&Bytes::from(text))
    }

    /// Returns whether it does the same once and twice, by the protocol. A second answer to a request, or a
    /// second cancellation, finds nothing to be about.
    pub(crate) fn is_safe(&self) -> bool {
        let method = self.method.as_deref().unwrap_or_default();
        matches!(self.kind, Kind::Answer(_))
            || method.ends_with("/list")
            || [
                "ping",
                "resources/read",
                "prompts/get",
                "completion/complete",
                "server/discover",
                "notifications/cancelled",
            ]
            .contains(&method)
    }

    /// Returns the id of the request that a `notifications/cancelled` is about.
    pub(crate) fn cancels(&self) -> Option<Id> {
        #[derive(Deserialize)]
        struct Cancelled<'a> {
            #[serde(borrow)]
            params: CancelledParams<'a>,
        }
        #[derive(Deserialize)]
        struct CancelledParams<'a> {
            #[serde(borrow, rename = "requestId")]
            id: &'a RawValue,
        }
        if !self.is("notifications/cancelled") {
            return None;
        }
        let cancelled: Cancelled<'_> = serde_json::from_slice(&self.line).ok()?;
        Id::read(cancelled.params.id)
    }
}

impl Envelope<'_> {
    fn kind(&self) -> Option<(Kind, Option<Box<RawValue>>)> {
        let raw = self.id.map(ToOwned::to_owned);
        match (&self.method, self.id) {
            (Some(_), Some(id)) => Some((Kind::Request(Id::read(id)?), raw)),
            (Some(_), None) => Some((Kind::Notification, None)),
            (None, Some(id)) if self.result.is_some() || self.error.is_some() => {
                Some((Kind::Answer(Id::read(id)?), raw))
            }
            // An error about a message whose id could not be read (JSON-RPC 2.0 §5).
            (None, None) if self.error.is_some() => Some((Kind::Notification, None)),
            _ => None,
        }
    }

    /// Only who names a revision is read further.
    fn routing(&self, whole: &[u8]) -> Option<Routing> {
        memmem::find(whole, VERSION_KEY.as_bytes())?;
        let params: Params = serde_json::from_str(self.params?.get()).ok()?;
        let name = match self.method.as_deref()? {
            "tools/call" | "prompts/get" => params.name,
            "resources/read" | "resources/subscribe" | "resources/unsubscribe" => params.uri,
            "tasks/get" | "tasks/update" | "tasks/cancel" => params.task,
            _ => None,
        };
        let name = name.and_then(|name| name.as_str().map(str::to_owned));
        Some(Routing {
            version: params.meta?.version?,
            name,
        })
    }
}

/// JSON has line breaks between tokens alone: in a text they are escaped.
fn one_line(bytes: &Bytes) -> Bytes {
    if memchr2(b'\n', b'\r', bytes).is_none() {
        return bytes.clone();
    }
    let blank = |byte: &u8| {
        if matches!(byte, b'\n' | b'\r') {
            b' '
        } else {
            *byte
        }
    };
    bytes.iter().map(blank).collect()
}

/// Returns an error that answers the request with this id, or nobody's in particular.
pub(crate) fn error(id: Option<&RawValue>, code: i64, message: &str, data: Option<Value>) -> Bytes {
    let id = id.map_or("null", RawValue::get);
    let mut error = json!({ "code": code, "message": message });
    if let Some(data) = data {
        error["data"] = data;
    }
    Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#))
}

/// Returns a result that answers the request with this id.
pub(crate) fn result(id: &RawValue, result: &Value) -> Bytes {
    Bytes::from(format!(
        r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whatever_comes_is_one_line_that_means_the_same_or_no_message(
            pieces in prop::collection::vec(
                prop_oneof![
                    prop::collection::vec(any::<u8>(), 0..4),
                    prop::sample::select(vec![
                        "{", "}", "[", "]", ":", ",", "\"id\"", "\"method\"", "\"params\"", "\n", "\r\n",
                        "1", "\"x\"", "null", "\"result\"", VERSION_KEY, "{\"id\":1,\"method\":\"a\"}",
                    ])
                    .prop_map(|text| text.as_bytes().to_vec()),
                ],
                0..24,
            )
        ) {
            let bytes = Bytes::from(pieces.concat());
            if let Ok(message) = Message::read(&bytes) {
                prop_assert!(memchr2(b'\n', b'\r', &message.line).is_none());
                let (before, after) = (&bytes[..], &message.line[..]);
                let value = |text| serde_json::from_slice::<Value>(text).ok();
                prop_assert_eq!(value(before), value(after));
                let _read = (message.cancels(), message.requests(), message.again(1));
            }
        }
    }

    fn read(text: &str) -> Result<Message, NoMessage> {
        Message::read(&Bytes::copy_from_slice(text.as_bytes()))
    }

    fn code(text: &[u8]) -> i64 {
        Message::read(&Bytes::copy_from_slice(text))
            .unwrap_err()
            .code
    }

    #[test]
    fn a_message_is_what_its_members_say() {
        let kind = |text| read(text).unwrap().kind;
        assert!(matches!(kind(r#"{"id":1,"method":"a"}"#), Kind::Request(_)));
        assert!(matches!(kind(r#"{"method":"a"}"#), Kind::Notification));
        assert!(matches!(kind(r#"{"id":"x","result":{}}"#), Kind::Answer(_)));
        assert!(matches!(kind(r#"{"id":1,"error":{}}"#), Kind::Answer(_)));
        let null = r#"{"id":3,"result":null}"#;
        assert!(matches!(kind(null), Kind::Answer(_)));
        let batch = r#" [{"id":1,"method":"a"},{"method":"b"},{"id":2,"result":1}]"#;
        assert!(matches!(kind(batch), Kind::Batch(ids) if ids.len() == 1));
    }

    #[test]
    fn what_is_no_message_has_a_code() {
        for text in [
            &b"\xff"[..],
            b"{",
            b"",
            b"{\"id\":\"a\nb\",\"method\":\"x\"}",
            b"\0",
            b"[1,",
        ] {
            assert_eq!(code(text), PARSE_ERROR, "{}", text.escape_ascii());
        }
        for text in [
            "1",
            "{}",
            r#"{"id":1}"#,
            r#"{"id":{},"method":"x"}"#,
            r#"{"id":1,"id":2,"method":"a"}"#,
            r#"{"method":7}"#,
        ] {
            assert_eq!(code(text.as_bytes()), INVALID_REQUEST, "{text}");
        }
    }

    #[test]
    fn an_id_is_one_however_it_is_written() {
        let id = |text: &str| match read(&format!(r#"{{"id":{text},"method":"a"}}"#))
            .unwrap()
            .kind
        {
            Kind::Request(id) => id,
            other => panic!("{other:?}"),
        };
        assert_eq!(id("1"), id("1.0"));
        assert_eq!(id(r#""a""#), id(r#""\u0061""#));
        assert_ne!(id("1"), id(r#""1""#));
        assert_ne!(id("9007199254740993"), id("9007199254740992"));
        assert_eq!(id("18446744073709551615"), id("18446744073709551615"));
    }

    #[test]
    fn nothing_changes_but_line_breaks_between_tokens() {
        let odd = "{ \"method\" :\t\"x\",\"unknown\":{\"big\":1e400,\"dup\":1,\"dup\":2,\"e\":\"\\u0000\\n\"}}";
        assert_eq!(read(odd).unwrap().line, odd.as_bytes());
        let pretty = "{\n  \"method\": \"x\"\r\n}";
        assert_eq!(read(pretty).unwrap().line, &b"{   \"method\": \"x\"  }"[..]);
    }

    #[test]
    fn the_revision_and_the_name_are_found_where_they_belong() {
        let call = r#"{"id":1,"method":"tools/call","params":{"name":"add","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
        let routing = read(call).unwrap().routing.unwrap();
        assert_eq!(
            (routing.version.as_str(), routing.name.as_deref()),
            ("2026-07-28", Some("add"))
        );
        let text = r#"{"id":1,"method":"tools/call","params":{"name":"io.modelcontextprotocol/protocolVersion"}}"#;
        assert!(read(text).unwrap().routing.is_none());
    }

    #[test]
    fn a_cancellation_names_a_request() {
        let cancelled = r#"{"method":"notifications/cancelled","params":{"requestId":7}}"#;
        let request = read(r#"{"id":7,"method":"x"}"#).unwrap();
        assert_eq!(
            read(cancelled).unwrap().cancels(),
            request.requests().pop().map(|(id, _)| id)
        );
    }

    #[test]
    fn what_does_the_same_twice_is_known() {
        for (text, is_safe) in [
            (r#"{"id":7,"result":{}}"#, true),
            (
                r#"{"method":"notifications/cancelled","params":{"requestId":7}}"#,
                true,
            ),
            (r#"{"id":7,"method":"tools/list"}"#, true),
            (r#"{"id":7,"method":"tools/call"}"#, false),
            (r#"{"method":"notifications/progress"}"#, false),
        ] {
            assert_eq!(read(text).unwrap().is_safe(), is_safe, "{text}");
        }
    }
}
