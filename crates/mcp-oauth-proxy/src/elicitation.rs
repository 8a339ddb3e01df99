//! The messages that request a login through the client: URL elicitation, as a request of the proxy (MCP
//! 2025-11-25, client/elicitation) or in the result of a call (MCP 2026-07-28, basic/patterns/mrtr).

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{
    Value, json,
    value::{RawValue, to_raw_value},
};
use url::Url;

use crate::jsonrpc::{Id, Message, success_response};

/// Begins the id of each elicitation request of the proxy. Requests of the server keep their own ids.
const REQUEST_PREFIX: &str = "mcp-oauth-login-";
/// The key of the login among the inputs that a result requests.
const INPUT_KEY: &str = "mcp-oauth-login";

/// The members of a retry (MCP 2026-07-28, basic/patterns/mrtr).
const STATE: &str = "requestState";
const RESPONSES: &str = "inputResponses";

/// A login that is requested from the user through the client. It has no `Debug`, because the link works
/// for each program that has it.
pub(crate) struct Elicitation {
    /// The random id.
    pub(crate) id: String,
    /// The page of the proxy that leads to the login.
    pub(crate) link: Url,
    /// The message to the user.
    pub(crate) message: String,
}

/// The action of the user.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Action {
    Accept,
    Decline,
    Cancel,
    /// The client responded with an error: it cannot show the link.
    Unsupported,
}

impl Action {
    fn named(name: &str) -> Option<Self> {
        match name {
            "accept" => Some(Self::Accept),
            "decline" => Some(Self::Decline),
            "cancel" => Some(Self::Cancel),
            _ => None,
        }
    }

    /// Parses the response to an elicitation request.
    pub(crate) fn of_response(line: &Bytes) -> Self {
        let response: Value = serde_json::from_slice(line).unwrap_or_default();
        let action = response.pointer("/result/action").and_then(Value::as_str);
        action.and_then(Self::named).unwrap_or(Self::Unsupported)
    }
}

impl Elicitation {
    /// Builds the request of MCP 2025-11-25.
    pub(crate) fn request(&self) -> Bytes {
        let mut params = self.params();
        params["elicitationId"] = json!(self.id);
        let request = json!({
            "jsonrpc": "2.0",
            "id": request_id(&self.id),
            "method": "elicitation/create",
            "params": params,
        });
        Bytes::from(request.to_string())
    }

    /// Builds the result of MCP 2026-07-28 that requests the login, with a state that begins with
    /// `instance`.
    pub(crate) fn required_result(
        &self,
        retry: &Retry,
        instance: &str,
        raw_id: &RawValue,
    ) -> Bytes {
        let input = json!({ "method": "elicitation/create", "params": self.params() });
        let result = json!({
            "resultType": "input_required",
            "inputRequests": { INPUT_KEY: input },
            "requestState": retry.state(instance, &self.id),
        });
        success_response(raw_id, &result)
    }

    fn params(&self) -> Value {
        json!({ "mode": "url", "url": self.link, "message": self.message })
    }
}

/// Builds the result of MCP 2026-07-28 after which the client retries the call at once, because the login
/// is not done yet.
pub(crate) fn pending_result(id: &str, retry: &Retry, instance: &str, raw_id: &RawValue) -> Bytes {
    let state = retry.state(instance, id);
    success_response(
        raw_id,
        &json!({ "resultType": "input_required", "requestState": state }),
    )
}

/// Builds the notification that the user has completed the login (MCP 2025-11-25).
pub(crate) fn complete_notification(id: &str) -> Bytes {
    notification(
        "notifications/elicitation/complete",
        &json!({ "elicitationId": id }),
    )
}

/// Builds the notification that a request of the proxy needs no response any more.
pub(crate) fn cancelled_notification(id: &str) -> Bytes {
    let reason = "the login is not needed any more";
    notification(
        "notifications/cancelled",
        &json!({ "requestId": request_id(id), "reason": reason }),
    )
}

fn notification(method: &str, params: &Value) -> Bytes {
    let message = json!({ "jsonrpc": "2.0", "method": method, "params": params });
    Bytes::from(message.to_string())
}

fn request_id(id: &str) -> String {
    format!("{REQUEST_PREFIX}{id}")
}

/// Returns the id of the elicitation that a response may belong to.
pub(crate) fn responded_id(id: &Id) -> Option<&str> {
    match id {
        Id::Text(text) => text.strip_prefix(REQUEST_PREFIX),
        Id::Number(_) => None,
    }
}

/// Returns whether these capabilities include URL elicitation. An empty `elicitation` means forms only
/// (MCP 2025-11-25, client/elicitation, "Capabilities").
fn declares_url(capabilities: Option<&Value>) -> bool {
    let url = capabilities.and_then(|all| all.pointer("/elicitation/url"));
    url.is_some_and(Value::is_object)
}

/// Returns whether the client of this `initialize` declares URL elicitation. The declaration counts, and not the
/// revision: Codex declares it with 2025-06-18.
pub(crate) fn is_declared_by(initialize: &Message) -> bool {
    let request: Value = serde_json::from_slice(&initialize.line).unwrap_or_default();
    declares_url(request.pointer("/params/capabilities"))
}

/// Returns whether this request of MCP 2026-07-28 accepts URL elicitation.
pub(crate) fn is_declared_in(request: &Message) -> bool {
    let routing = request.routing.as_ref();
    routing.is_some_and(|routing| declares_url(routing.capabilities.as_ref()))
}

/// Returns whether a response to the request may require an input of the user: these methods only (MCP
/// 2026-07-28, basic/patterns/mrtr, "Supported Requests").
pub(crate) fn may_require_input(request: &Message) -> bool {
    ["tools/call", "prompts/get", "resources/read"]
        .iter()
        .any(|method| request.is(method))
}

/// The part of a call that its retry must repeat: the inputs that the server itself has requested. A retry has only
/// the inputs of the last result, so the proxy keeps those of the server in its own state.
///
/// The state is not authenticated. Its random part is known to the clients of this proxy alone, and the
/// rest is what the same client has sent, so a changed state causes nothing but a refused request (MCP
/// 2026-07-28, basic/patterns/mrtr, "Server Requirements").
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Retry {
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "s")]
    request_state: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "r")]
    input_responses: Option<Box<RawValue>>,
}

/// A retry as it arrived.
#[derive(Debug)]
pub(crate) struct Retried {
    /// The id of the elicitation.
    pub(crate) id: String,
    /// The action of the user, if the client has sent it.
    pub(crate) action: Option<Action>,
    /// The request as the server gets it.
    pub(crate) message: Message,
}

/// The members of an object, each as it is written: a number keeps its digits.
type Members = BTreeMap<String, Box<RawValue>>;

impl Retry {
    /// Returns what the retry of this request must repeat.
    pub(crate) fn of(request: &Message) -> Self {
        let all: Members = serde_json::from_slice(&request.line).unwrap_or_default();
        let params = all.get("params").map(|params| params.get());
        let mut params: Members = params
            .and_then(|params| serde_json::from_str(params).ok())
            .unwrap_or_default();
        Self {
            request_state: params.remove(STATE),
            input_responses: params.remove(RESPONSES),
        }
    }

    fn state(&self, instance: &str, id: &str) -> String {
        let kept = serde_json::to_vec(self).unwrap_or_default();
        format!("{instance}.{id}.{}", URL_SAFE_NO_PAD.encode(kept))
    }

    fn parse(state: &str, instance: &str) -> Option<(String, Self)> {
        let state = state
            .strip_prefix(instance)
            .filter(|_| !instance.is_empty())?;
        let (id, kept) = state.strip_prefix('.')?.split_once('.')?;
        let kept = URL_SAFE_NO_PAD.decode(kept).ok()?;
        Some((id.to_owned(), serde_json::from_slice(&kept).ok()?))
    }
}

impl Retried {
    /// Parses the retry of a call that required a login; none if the state is not of this `instance`.
    pub(crate) fn parse(request: &Message, instance: &str) -> Option<Self> {
        request.routing.as_ref()?;
        memchr::memmem::find(&request.line, STATE.as_bytes())?;
        let mut all: Members = serde_json::from_slice(&request.line).ok()?;
        let mut params: Members = serde_json::from_str(all.get("params")?.get()).ok()?;
        let state: String = serde_json::from_str(params.get(STATE)?.get()).ok()?;
        let (id, kept) = Retry::parse(&state, instance)?;
        params.remove(STATE);
        let responses = params.remove(RESPONSES);
        let responses: Value = responses
            .and_then(|all| serde_json::from_str(all.get()).ok())
            .unwrap_or_default();
        let action = responses[INPUT_KEY]["action"].as_str();
        let action = action.and_then(Action::named);
        params.extend(kept.request_state.map(|it| (STATE.to_owned(), it)));
        params.extend(kept.input_responses.map(|it| (RESPONSES.to_owned(), it)));
        all.insert("params".to_owned(), to_raw_value(&params).ok()?);
        let line = Bytes::from(serde_json::to_vec(&all).ok()?);
        let message = Message::parse(&line).ok()?;
        Some(Self {
            id,
            action,
            message,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INSTANCE: &str = "random";

    fn message(value: &Value) -> Message {
        Message::parse(&Bytes::from(value.to_string())).unwrap()
    }

    fn call(params: &Value) -> Message {
        let mut params = params.clone();
        params["name"] = json!("add");
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": { "elicitation": { "url": {} } },
        });
        message(&json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params }))
    }

    fn elicitation() -> Elicitation {
        Elicitation {
            id: "id".to_owned(),
            link: "http://127.0.0.1:1/random".parse().unwrap(),
            message: "Log in".to_owned(),
        }
    }

    #[test]
    fn only_a_url_member_declares_url_elicitation() {
        let declares = |capabilities: Value| {
            let params = json!({ "capabilities": capabilities });
            is_declared_by(&message(
                &json!({ "id": 0, "method": "initialize", "params": params }),
            ))
        };
        assert!(declares(json!({ "elicitation": { "url": {} } })));
        assert!(declares(
            json!({ "elicitation": { "form": {}, "url": {} } })
        ));
        for other in [
            json!({ "elicitation": {} }),
            json!({ "elicitation": { "form": {} } }),
            json!({ "elicitation": { "url": null } }),
            json!({}),
        ] {
            assert!(!declares(other.clone()), "{other}");
        }
        assert!(is_declared_in(&call(&json!({}))));
    }

    /// Codex 0.171.0 declares both modes with a revision that has neither of them.
    #[test]
    fn codex_declares_url_elicitation_with_an_earlier_revision() {
        let params = json!({
            "protocolVersion": "2025-06-18",
            "capabilities": { "elicitation": { "form": {}, "url": {} } },
            "clientInfo": { "name": "codex-mcp-client", "title": "Codex", "version": "0.171.0" },
        });
        let initialize = json!({ "id": 0, "method": "initialize", "params": params });
        assert!(is_declared_by(&message(&initialize)));
    }

    #[test]
    fn a_retry_reaches_the_server_without_the_inputs_of_the_proxy() {
        let first = call(&json!({ "arguments": { "a": 1 } }));
        let (_, raw_id) = first.requests().pop().unwrap();
        let result = elicitation().required_result(&Retry::of(&first), INSTANCE, &raw_id);
        let result: Value = serde_json::from_slice(&result).unwrap();
        let state = &result["result"]["requestState"];
        let retry = call(&json!({
            "arguments": { "a": 1 },
            "requestState": state,
            "inputResponses": { INPUT_KEY: { "action": "accept" } },
        }));
        let retried = Retried::parse(&retry, INSTANCE).unwrap();
        assert_eq!(
            (retried.id.as_str(), retried.action),
            ("id", Some(Action::Accept))
        );
        let value = |message: &Message| serde_json::from_slice::<Value>(&message.line).unwrap();
        assert_eq!(value(&retried.message), value(&first));
        assert!(Retried::parse(&retry, "of another proxy").is_none());
        assert!(Retried::parse(&first, INSTANCE).is_none());
    }

    #[test]
    fn a_retry_keeps_the_inputs_of_the_server() {
        let inputs = json!({
            "requestState": "of the server",
            "inputResponses": { "name": { "action": "accept" } },
        });
        let call_with_inputs = call(&inputs);
        let state = Retry::of(&call_with_inputs).state(INSTANCE, "id");
        let retry = call(&json!({ "requestState": state, "inputResponses": {} }));
        let retried = Retried::parse(&retry, INSTANCE).unwrap();
        assert_eq!(retried.action, None);
        let value = |message: &Message| serde_json::from_slice::<Value>(&message.line).unwrap();
        assert_eq!(value(&retried.message), value(&call_with_inputs));
    }

    #[test]
    fn a_retry_keeps_the_digits_of_a_number() {
        let state = Retry::default().state(INSTANCE, "id");
        let text = call(&json!({ "requestState": state, "arguments": { "n": 7 } }));
        let text = String::from_utf8(text.line.to_vec()).unwrap();
        let text = text.replace(r#""n":7"#, r#""n":1.50e400"#);
        let retry = Message::parse(&Bytes::from(text)).unwrap();
        let retried = Retried::parse(&retry, INSTANCE).unwrap();
        let line = String::from_utf8(retried.message.line.to_vec()).unwrap();
        assert!(line.contains(r#""n":1.50e400"#), "{line}");
    }

    #[test]
    fn an_error_response_means_that_the_link_is_not_shown() {
        let action = |text: &'static str| Action::of_response(&Bytes::from_static(text.as_bytes()));
        assert_eq!(action(r#"{"result":{"action":"accept"}}"#), Action::Accept);
        assert_eq!(
            action(r#"{"result":{"action":"decline"}}"#),
            Action::Decline
        );
        assert_eq!(
            action(r#"{"result":{"action":"other"}}"#),
            Action::Unsupported
        );
        assert_eq!(action(r#"{"error":{"code":-32601}}"#), Action::Unsupported);
    }
}
