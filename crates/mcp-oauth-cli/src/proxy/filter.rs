//! The tools that the client is not to see (`--ignore-tool`).

use bytes::Bytes;
use serde_json::Value;

/// Patterns of names, in which `*` stands for any text.
#[derive(Debug, Default)]
pub(crate) struct Filter(Vec<String>);

impl Filter {
    pub(crate) fn new(patterns: Vec<String>) -> Self {
        Self(patterns)
    }

    pub(crate) fn hides(&self, tool: &str) -> bool {
        self.0.iter().any(|pattern| fits(pattern, tool))
    }

    /// An answer without the tools that are hidden; as it is, if it has none.
    pub(crate) fn answer(&self, line: &Bytes) -> Bytes {
        if self.0.is_empty() || memchr::memmem::find(line, b"\"tools\"").is_none() {
            return line.clone();
        }
        self.without_tools(line).unwrap_or_else(|| line.clone())
    }

    fn without_tools(&self, line: &Bytes) -> Option<Bytes> {
        let mut answer: Value = serde_json::from_slice(line).ok()?;
        let tools = answer.pointer_mut("/result/tools")?.as_array_mut()?;
        let before = tools.len();
        tools.retain(|tool| !tool["name"].as_str().is_some_and(|name| self.hides(name)));
        (tools.len() < before).then(|| Bytes::from(answer.to_string()))
    }

    /// The hidden tool that a call is for.
    pub(crate) fn called(&self, line: &Bytes) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        let call: Value = serde_json::from_slice(line).ok()?;
        let name = call.pointer("/params/name")?.as_str()?;
        self.hides(name).then(|| name.to_owned())
    }
}

/// Case does not matter, as in the other proxies that have this option.
fn fits(pattern: &str, name: &str) -> bool {
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
    endings.any(|ending| fits(rest, ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
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
        let list = Bytes::from(
            r#"{"id":1,"result":{"tools":[{"name":"add"},{"name":"write_note"}],"x":1}}"#,
        );
        let left: Value = serde_json::from_slice(&filter.answer(&list)).unwrap();
        assert_eq!(
            left["result"]["tools"],
            serde_json::json!([{ "name": "add" }])
        );
        let call = Bytes::from(r#"{"id":1,"method":"tools/call","params":{"name":"write_note"}}"#);
        assert_eq!(filter.called(&call).as_deref(), Some("write_note"));
        let other = Bytes::from(r#"{"id":1,"result":{"tools": [{"name":"add"}]}}"#);
        assert_eq!(filter.answer(&other), other);
    }
}
