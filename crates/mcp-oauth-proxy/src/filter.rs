//! The filter that hides tools from the client.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::error::ProxyError;

/// Patterns of tool names, in which `*` matches any text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter(Vec<String>);

impl Filter {
    pub(crate) fn new(patterns: Vec<String>) -> Self {
        Self(patterns)
    }

    /// Returns whether there is a pattern.
    pub(crate) fn hides_any(&self) -> bool {
        !self.0.is_empty()
    }

    pub(crate) fn hides(&self, tool: &str) -> bool {
        self.0.iter().any(|pattern| matches_pattern(pattern, tool))
    }

    /// Returns the response without the hidden tools; unchanged if it lists none.
    pub(crate) fn hide_tools(&self, line: &Bytes) -> Bytes {
        if self.0.is_empty() || memchr::memmem::find(line, b"\"tools\"").is_none() {
            return line.clone();
        }
        self.without_tools(line).unwrap_or_else(|| line.clone())
    }

    /// Removes the hidden tools; the bytes of the others do not change.
    fn without_tools(&self, line: &Bytes) -> Option<Bytes> {
        let response: List<'_> = serde_json::from_slice(line).ok()?;
        let list = response.result?.tools?.get();
        let tools: Vec<&RawValue> = serde_json::from_str(list).ok()?;
        let is_shown = |tool: &&RawValue| {
            let read = serde_json::from_str::<Tool<'_>>(tool.get()).ok();
            let name = read.and_then(|tool| tool.name);
            !name.is_some_and(|name| self.hides(&name))
        };
        let shown: Vec<&str> = tools
            .iter()
            .copied()
            .filter(is_shown)
            .map(RawValue::get)
            .collect();
        if shown.len() == tools.len() {
            return None;
        }
        let before = list.as_ptr() as usize - line.as_ptr() as usize;
        let (head, tail) = (&line[..before], &line[before + list.len()..]);
        let shown = format!("[{}]", shown.join(","));
        Some([head, shown.as_bytes(), tail].concat().into())
    }

    /// Returns the reason why a message is not forwarded, if it calls a hidden tool. A call without a
    /// readable tool name could call one, so it is not forwarded either.
    pub(crate) fn refusal(&self, line: &Bytes) -> Option<ProxyError> {
        if self.0.is_empty() {
            return None;
        }
        if !line.trim_ascii_start().starts_with(b"[") {
            return self.refusal_of_one(line);
        }
        let all: Vec<&RawValue> = serde_json::from_slice(line).ok()?;
        all.into_iter()
            .find_map(|one| self.refusal_of_one(one.get().as_bytes()))
    }

    fn refusal_of_one(&self, message: &[u8]) -> Option<ProxyError> {
        let call: Call<'_> = serde_json::from_slice(message).ok()?;
        if call.method.as_deref() != Some("tools/call") {
            return None;
        }
        let tool = call
            .params
            .and_then(|params| serde_json::from_str::<Tool<'_>>(params.get()).ok());
        match tool.and_then(|tool| tool.name) {
            Some(name) if !self.hides(&name) => None,
            Some(name) => Some(ProxyError::HiddenTool(name.into_owned())),
            None => {
                let text = "the call does not say which tool it is for";
                Some(ProxyError::Other(text.to_owned()))
            }
        }
    }
}

#[derive(Deserialize)]
struct List<'a> {
    #[serde(borrow)]
    result: Option<Tools<'a>>,
}

#[derive(Deserialize)]
struct Tools<'a> {
    #[serde(borrow)]
    tools: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Call<'a> {
    #[serde(borrow)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Tool<'a> {
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
}

/// Matches a name without regard to case, as in the other proxies that have this option.
fn matches_pattern(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.to_lowercase(), name.to_lowercase());
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(name) = name.strip_prefix(first) else {
        return false;
    };
    let mut endings = name
        .char_indices()
        .map(|(start, _)| &name[start..])
        .chain([""]);
    endings.any(|ending| matches_pattern(rest, ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_matches_any_text() {
        let fits = |pattern, name| Filter::new(vec![String::from(pattern)]).hides(name);
        for (pattern, name) in [
            ("delete*", "deleteTask"),
            ("*", ""),
            ("*note", "Write_Note"),
            ("a*b*c", "axxbyyc"),
            ("add", "ADD"),
        ] {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("delete*", "undelete"),
            ("add", "adder"),
            ("a*b*c", "acb"),
            ("", "x"),
        ] {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn a_hidden_tool_is_neither_listed_nor_called() {
        let filter = Filter::new(vec!["write_*".to_owned()]);
        let text = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        let deep = "[".repeat(1000) + &"]".repeat(1000);
        let list = |tools: &str| {
            let odd = r#""x":1e400,"deep""#;
            text(&format!(
                r#"{{"id":1,"result":{{ "tools" :[{tools}],{odd}:{deep}}}}}"#
            ))
        };
        let (add, write) = (
            r#"{"name":"add", "n":1.50}"#,
            r#"{"name":"write_\u006eote"}"#,
        );
        let both = list(&format!("{add}, {write}"));
        assert_eq!(filter.hide_tools(&both), list(add));
        assert_eq!(filter.hide_tools(&list(add)), list(add));
        let call = |method: &str, params: &str| {
            text(&format!(
                r#"{{"id":1,"method":"{method}","x":1e400,"y":{deep},"params":{params}}}"#
            ))
        };
        let hidden = call("tools/call", r#"{"z":1e400,"name":"write_note"}"#);
        let add = call("tools/call", r#"{"name":"add"}"#);
        assert!(
            matches!(filter.refusal(&hidden), Some(ProxyError::HiddenTool(name)) if name == "write_note")
        );
        let all = [&b"["[..], &add, b",", &hidden, b"]"].concat();
        assert!(filter.refusal(&all.into()).is_some());
        for unclear in ["7", r#"{"name":"add","name":"write_note"}"#] {
            assert!(filter.refusal(&call("tools/call", unclear)).is_some());
        }
        assert!(filter.refusal(&add).is_none());
        let prompt = call("prompts/get", r#"{"name":"write_note"}"#);
        assert!(filter.refusal(&prompt).is_none());
    }
}
