//! A `subscriptions/listen` of MCP 2026-07-28 that arrives before the login: it is acknowledged at
//! once, hears that the lists have changed when the login is done, and ends then, so that the client
//! opens the next one at the server itself (MCP 2026-07-28, basic/patterns/subscriptions).

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use crate::jsonrpc::{Message, success_response};

/// Names the subscription in each message that belongs to it.
const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

/// The lists of which a client requests the changes.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Filter {
    tools_list_changed: bool,
    prompts_list_changed: bool,
    resources_list_changed: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Request {
    params: Params,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Params {
    notifications: Filter,
}

impl Filter {
    /// Reads the requested notifications; none if the request does not name any.
    pub(crate) fn from_request(request: &Message) -> Self {
        let request: Request = serde_json::from_slice(&request.line).unwrap_or_default();
        request.params.notifications
    }

    /// Builds the first message of the subscription: which notifications it will bring.
    pub(crate) fn acknowledgment(&self, id: &RawValue) -> Bytes {
        let kinds = self
            .kinds()
            .map(|(member, _)| (member.to_owned(), json!(true)));
        let kinds = Value::Object(kinds.collect());
        notification("notifications/subscriptions/acknowledged", id, Some(kinds))
    }

    /// Builds the notifications that the lists have changed.
    pub(crate) fn changes(&self, id: &RawValue) -> Vec<Bytes> {
        let changed = |(_, list)| {
            let method = format!("notifications/{list}/list_changed");
            notification(&method, id, None)
        };
        self.kinds().map(changed).collect()
    }

    fn kinds(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let all = [
            (self.tools_list_changed, ("toolsListChanged", "tools")),
            (self.prompts_list_changed, ("promptsListChanged", "prompts")),
            (
                self.resources_list_changed,
                ("resourcesListChanged", "resources"),
            ),
        ];
        all.into_iter()
            .filter_map(|(is_requested, kind)| is_requested.then_some(kind))
    }
}

/// Builds the response that ends the subscription.
pub(crate) fn end(id: &RawValue) -> Bytes {
    success_response(id, &json!({ "resultType": "complete", "_meta": meta(id) }))
}

fn notification(method: &str, id: &RawValue, notifications: Option<Value>) -> Bytes {
    let mut params = json!({ "_meta": meta(id) });
    if let Some(notifications) = notifications {
        params["notifications"] = notifications;
    }
    let message = json!({ "jsonrpc": "2.0", "method": method, "params": params });
    Bytes::from(message.to_string())
}

fn meta(id: &RawValue) -> Value {
    // It was read as an id, so it is a number or a text.
    let id: Value = serde_json::from_str(id.get()).unwrap_or_default();
    json!({ SUBSCRIPTION: id })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_requested_notifications_are_acknowledged() {
        let text = r#"{"jsonrpc":"2.0","id":"s","method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true,"resourceSubscriptions":["x:y"]}}}"#;
        let request = Message::parse(&Bytes::from(text)).unwrap();
        let (_, id) = request.requests().pop().unwrap();
        let filter = Filter::from_request(&request);
        let read = |line: &Bytes| serde_json::from_slice::<Value>(line).unwrap();
        let acknowledged = read(&filter.acknowledgment(&id));
        assert_eq!(
            acknowledged["params"]["notifications"],
            json!({"toolsListChanged": true})
        );
        let changes = filter.changes(&id);
        assert_eq!(changes.len(), 1);
        let change = read(&changes[0]);
        assert_eq!(change["method"], "notifications/tools/list_changed");
        assert_eq!(change["params"]["_meta"][SUBSCRIPTION], "s");
        assert_eq!(read(&end(&id))["result"]["_meta"][SUBSCRIPTION], "s");
    }
}
