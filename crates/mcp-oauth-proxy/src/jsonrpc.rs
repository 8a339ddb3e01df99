//! One JSON-RPC message, parsed only as far as forwarding needs it. The bytes are forwarded unchanged,
//! except that a line break between two tokens becomes a space: a stdio message is one line (MCP
//! 2025-11-25, transports, stdio).

use std::borrow::Cow;

use bytes::Bytes;
use memchr::{memchr2, memmem};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json, value::RawValue};

/// The member that names the revision in a message of MCP 2026-07-28.
const VERSION_KEY: &str = "io.modelcontextprotocol/protocolVersion";

/// JSON-RPC 2.0 §5.1.
pub(crate) const PARSE_ERROR: i64 = -32700;
/// JSON-RPC 2.0 §5.1.
pub(crate) const INVALID_REQUEST: i64 = -32600;
/// JSON-RPC 2.0 §5.1.
pub(crate) const METHOD_NOT_FOUND: i64 = -32601;
/// JSON-RPC 2.0 §5.1.
pub(crate) const INVALID_PARAMS: i64 = -32602;
/// JSON-RPC 2.0 §5.1, in the range for implementation-defined server errors.
pub(crate) const SERVER_ERROR: i64 = -32000;
/// MCP 2026-07-28: the server does not speak the revision of the request.
pub(crate) const UNSUPPORTED_VERSION: i64 = -32022;
/// There is no login.
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

/// The kind of a message.
#[derive(Debug)]
pub(crate) enum Kind {
    /// A request, which requires a response.
    Request(Id),
    /// A notification, which has no response.
    Notification,
    /// A response.
    Response(Id),
    /// Several messages in one (MCP 2025-03-26), with the ids of its requests.
    Batch(Vec<(Id, Box<RawValue>)>),
}

/// A message on one line.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) line: Bytes,
    pub(crate) kind: Kind,
    pub(crate) method: Option<String>,
    /// The id as it is written.
    pub(crate) raw_id: Option<Box<RawValue>>,
    /// The values that a server of MCP 2026-07-28 requires in headers.
    pub(crate) routing: Option<Routing>,
}

/// The revision that a message names, and the name of its tool, prompt, resource or task.
#[derive(Debug, Default)]
pub(crate) struct Routing {
    pub(crate) version: String,
    pub(crate) name: Option<String>,
    /// The capabilities of the client, for this request alone.
    pub(crate) capabilities: Option<Value>,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "deserialize_present")]
    result: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

/// Deserializes a member that is present, even if it is `null`: an `Option` alone would treat `null` as
/// absent, and `"result":null` is a result.
fn deserialize_present<'de, D: Deserializer<'de>>(
    value: D,
) -> Result<Option<&'de RawValue>, D::Error> {
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
    #[serde(rename = "io.modelcontextprotocol/clientCapabilities")]
    capabilities: Option<Value>,
}

/// The reason why a text is no message, and the JSON-RPC error code for it.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct MessageError {
    pub(crate) code: i64,
    pub(crate) reason: &'static str,
}

impl Message {
    /// Parses one message.
    pub(crate) fn parse(bytes: &Bytes) -> Result<Self, MessageError> {
        let parse_error = |reason| MessageError {
            code: PARSE_ERROR,
            reason,
        };
        let text =
            std::str::from_utf8(bytes).map_err(|_| parse_error("the message is not UTF-8"))?;
        if text.trim_ascii_start().starts_with('[') {
            return Self::batch(bytes);
        }
        let invalid = |reason| MessageError {
            code: INVALID_REQUEST,
            reason,
        };
        if serde_json::from_str::<&RawValue>(text).is_err() {
            return Err(parse_error("the message is not JSON"));
        }
        if !text.trim_ascii_start().starts_with('{') {
            return Err(invalid("the message is not an object"));
        }
        let envelope: Envelope<'_> = serde_json::from_str(text)
            .map_err(|_| invalid("a member is duplicated or has the wrong type"))?;
        let (kind, raw_id) = envelope.kind().ok_or(invalid("not a JSON-RPC message"))?;
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

    fn batch(bytes: &Bytes) -> Result<Self, MessageError> {
        let parse_error = MessageError {
            code: PARSE_ERROR,
            reason: "the batch is not JSON",
        };
        let all: Vec<Envelope<'_>> = serde_json::from_slice(bytes).map_err(|_| parse_error)?;
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

    /// Returns the requests of the message: each parsed id, and the id as it is written.
    pub(crate) fn requests(&self) -> Vec<(Id, Box<RawValue>)> {
        match (&self.kind, &self.raw_id) {
            (Kind::Request(id), Some(raw)) => vec![(id.clone(), raw.clone())],
            (Kind::Batch(all), _) => all.clone(),
            _ => Vec::new(),
        }
    }

    /// Returns the same request with an id of the proxy, which no client uses.
    pub(crate) fn with_proxy_id(&self, number: u64) -> Result<Self, MessageError> {
        let envelope: Envelope<'_> =
            serde_json::from_slice(&self.line).map_err(|_| MessageError {
                code: INVALID_REQUEST,
                reason: "not a JSON-RPC message",
            })?;
        let method = json!(self.method);
        let params = envelope.params.map_or("{}", RawValue::get);
        let id = json!(format!("mcp-oauth-{number}"));
        let text = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":{method},"params":{params}}}"#);
        Self::parse(&Bytes::from(text))
    }

    /// Returns whether the protocol allows to send the message twice. The receiver ignores a second response
    /// to a request and a second cancellation.
    pub(crate) fn is_idempotent(&self) -> bool {
        let method = self.method.as_deref().unwrap_or_default();
        matches!(self.kind, Kind::Response(_))
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

    /// Returns whether the message calls this tool.
    pub(crate) fn calls_tool(&self, tool: &str) -> bool {
        #[derive(Deserialize)]
        struct Call<'a> {
            #[serde(borrow)]
            params: Called<'a>,
        }
        #[derive(Deserialize)]
        struct Called<'a> {
            #[serde(borrow)]
            name: Cow<'a, str>,
        }
        let name = || serde_json::from_slice::<Call<'_>>(&self.line).ok();
        self.is("tools/call") && name().is_some_and(|call| call.params.name == tool)
    }

    /// Returns the id of the request that a `notifications/cancelled` is about.
    pub(crate) fn cancelled_id(&self) -> Option<Id> {
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
                Some((Kind::Response(Id::read(id)?), raw))
            }
            // An error about a message with an unreadable id (JSON-RPC 2.0 §5).
            (None, None) if self.error.is_some() => Some((Kind::Notification, None)),
            _ => None,
        }
    }

    /// Parses the parameters, if the message names a revision.
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
        let meta = params.meta?;
        Some(Routing {
            version: meta.version?,
            name,
            capabilities: meta.capabilities,
        })
    }
}

/// Replaces line breaks by spaces. In JSON they occur between tokens only: in a string they are escaped.
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

/// Builds an error response to the request with this id, or with the id `null`.
pub(crate) fn error_response(
    id: Option<&RawValue>,
    code: i64,
    message: &str,
    data: Option<Value>,
) -> Bytes {
    let id = id.map_or("null", RawValue::get);
    let mut error = json!({ "code": code, "message": message });
    if let Some(data) = data {
        error["data"] = data;
    }
    Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#))
}

/// Builds a success response to the request with this id.
pub(crate) fn success_response(id: &RawValue, result: &Value) -> Bytes {
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
        fn any_input_is_rejected_or_becomes_one_line_with_the_same_value(
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
            if let Ok(message) = Message::parse(&bytes) {
                prop_assert!(memchr2(b'\n', b'\r', &message.line).is_none());
                let (before, after) = (&bytes[..], &message.line[..]);
                let value = |text| serde_json::from_slice::<Value>(text).ok();
                prop_assert_eq!(value(before), value(after));
                let _read = (message.cancelled_id(), message.requests(), message.with_proxy_id(1));
            }
        }
    }

    fn read(text: &str) -> Result<Message, MessageError> {
        Message::parse(&Bytes::copy_from_slice(text.as_bytes()))
    }

    fn code(text: &[u8]) -> i64 {
        Message::parse(&Bytes::copy_from_slice(text))
            .unwrap_err()
            .code
    }

    #[test]
    fn the_members_of_a_message_determine_its_kind() {
        let kind = |text| read(text).unwrap().kind;
        assert!(matches!(kind(r#"{"id":1,"method":"a"}"#), Kind::Request(_)));
        assert!(matches!(kind(r#"{"method":"a"}"#), Kind::Notification));
        assert!(matches!(
            kind(r#"{"id":"x","result":{}}"#),
            Kind::Response(_)
        ));
        assert!(matches!(kind(r#"{"id":1,"error":{}}"#), Kind::Response(_)));
        let null = r#"{"id":3,"result":null}"#;
        assert!(matches!(kind(null), Kind::Response(_)));
        let batch = r#" [{"id":1,"method":"a"},{"method":"b"},{"id":2,"result":1}]"#;
        assert!(matches!(kind(batch), Kind::Batch(ids) if ids.len() == 1));
    }

    #[test]
    fn an_invalid_message_has_an_error_code() {
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
    fn different_spellings_of_an_id_are_equal() {
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
    fn only_line_breaks_between_tokens_are_changed() {
        let odd = "{ \"method\" :\t\"x\",\"unknown\":{\"big\":1e400,\"dup\":1,\"dup\":2,\"e\":\"\\u0000\\n\"}}";
        assert_eq!(read(odd).unwrap().line, odd.as_bytes());
        let pretty = "{\n  \"method\": \"x\"\r\n}";
        assert_eq!(read(pretty).unwrap().line, &b"{   \"method\": \"x\"  }"[..]);
    }

    #[test]
    fn the_revision_and_the_name_are_read_from_the_parameters() {
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
    fn a_cancellation_has_the_id_of_its_request() {
        let cancelled = r#"{"method":"notifications/cancelled","params":{"requestId":7}}"#;
        let request = read(r#"{"id":7,"method":"x"}"#).unwrap();
        assert_eq!(
            read(cancelled).unwrap().cancelled_id(),
            request.requests().pop().map(|(id, _)| id)
        );
    }

    #[test]
    fn idempotent_messages_are_recognized() {
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
            assert_eq!(read(text).unwrap().is_idempotent(), is_safe, "{text}");
        }
    }
}
