//! A member of a JSON text, added or replaced, in which everything else stays as it was written.

use std::fmt;

use serde::{Deserialize, Deserializer, de};
use serde_json::{Value, json, value::RawValue};

/// An object whose members keep their order and their text.
struct Members(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

impl Members {
    fn read(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Ok(Self(Vec::new()));
        }
        serde_json::from_str(text)
            .map_err(|error| format!("it is not the JSON that this command can change ({error})"))
    }

    fn set(&mut self, name: &str, text: String) -> Result<(), String> {
        let value = RawValue::from_string(text).map_err(|error| error.to_string())?;
        match self.0.iter_mut().find(|(own, _)| own == name) {
            Some((_, own)) => *own = value,
            None => self.0.push((name.to_owned(), value)),
        }
        Ok(())
    }

    fn find(&self, name: &str) -> Option<&RawValue> {
        let member = self.0.iter().find(|(own, _)| own == name);
        member.map(|(_, value)| &**value)
    }

    /// With each member in a line of its own, `depth` steps from the margin.
    fn write(&self, depth: usize) -> String {
        let (outer, inner) = ("  ".repeat(depth), "  ".repeat(depth + 1));
        let members = self.0.iter();
        let lines = members.map(|(name, value)| format!("{inner}{}: {}", json!(name), value.get()));
        format!("{{\n{}\n{outer}}}", lines.collect::<Vec<_>>().join(",\n"))
    }
}

/// `text` with `{member: {name: entry}}` in it.
pub(super) fn with_member(
    text: &str,
    member: &str,
    name: &str,
    entry: &Value,
) -> Result<String, String> {
    // Some editors put a byte order mark there.
    let mut whole = Members::read(text.trim_start_matches('\u{feff}'))?;
    let mut servers = Members::read(whole.find(member).map_or("{}", RawValue::get))?;
    servers.set(name, format!("{entry:#}").replace('\n', "\n    "))?;
    whole.set(member, servers.write(1))?;
    Ok(whole.write(0) + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_added_and_everything_else_stays_as_it_was_written() {
        let text = |single: &str| single.replace('\'', "\"");
        let before =
            text("{'z':1.50e2, 'mcpServers': {'b': {'command' : 'b'},'a':{}},'a':'\\u0061'}");
        let after = with_member(&before, "mcpServers", "notes", &json!({ "args": [1] })).unwrap();
        let expected = text(
            "{\n  'z': 1.50e2,\n  'mcpServers': {\n    'b': {'command' : 'b'},\n    'a': {},\n    \
             'notes': {\n      'args': [\n        1\n      ]\n    }\n  },\n  'a': '\\u0061'\n}\n",
        );
        assert_eq!(after, expected);
        let again = with_member(&after, "mcpServers", "notes", &json!({ "args": [1] })).unwrap();
        assert_eq!(again, after);
    }

    #[test]
    fn a_file_that_is_new_or_cannot_be_understood() {
        let new = with_member("\u{feff} ", "servers", "n", &json!(1)).unwrap();
        assert_eq!(new, "{\n  \"servers\": {\n    \"n\": 1\n  }\n}\n");
        for broken in ["[]", "{ // a comment\n}", "{\"servers\": 7}", "nul"] {
            assert!(
                with_member(broken, "servers", "n", &json!(1)).is_err(),
                "{broken}"
            );
        }
    }
}
