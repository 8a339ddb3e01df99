//! A member of a JSON text, added or replaced, in which everything else stays as it was written.

use std::fmt;

use serde::{Deserialize, Deserializer, de};
use serde_json::{Value, json, value::RawValue};

use super::network_keys::OF_THE_NETWORK;

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

    /// Whether it says already what the entry says, and nothing against it.
    fn has(&self, entry: &Value) -> bool {
        let is_there = |(key, value): (&String, &Value)| {
            let own = self.find(key).map(RawValue::get);
            let own = own.and_then(|own| serde_json::from_str::<Value>(own).ok());
            match (&own, value.as_object().filter(|_| key == "env")) {
                // The entry may have further variables.
                (Some(own), Some(added)) => added.iter().all(|(name, value)| own[name] == *value),
                _ => own.as_ref() == Some(value),
            }
        };
        let of_network = |key: &&str| self.find(key).is_some();
        entry.as_object().into_iter().flatten().all(is_there)
            && !OF_THE_NETWORK.iter().any(of_network)
    }

    /// With each member in a line of its own, `depth` steps from the margin.
    fn write(&self, depth: usize) -> String {
        let (outer, inner) = ("  ".repeat(depth), "  ".repeat(depth + 1));
        let members = self.0.iter();
        let lines = members.map(|(name, value)| format!("{inner}{}: {}", json!(name), value.get()));
        format!("{{\n{}\n{outer}}}", lines.collect::<Vec<_>>().join(",\n"))
    }
}

/// `text` with `{member: {name: entry}}` in it. An entry that is there keeps what is not ours, and
/// loses what is for a server on the network.
pub(super) fn with_member(
    text: &str,
    member: &str,
    name: &str,
    entry: &Value,
) -> Result<String, String> {
    // Some editors put a byte order mark there.
    let mut whole = Members::read(text.trim_start_matches('\u{feff}'))?;
    let mut servers = Members::read(whole.find(member).map_or("{}", RawValue::get))?;
    let is_object = |value: &&RawValue| value.get().starts_with('{');
    let old = servers.find(name).filter(is_object);
    let mut server = Members::read(old.map_or("{}", RawValue::get))?;
    if old.is_some() && server.has(entry) {
        return Ok(text.to_owned());
    }
    server
        .0
        .retain(|(own, _)| !OF_THE_NETWORK.contains(&own.as_str()));
    for (key, value) in entry.as_object().into_iter().flatten() {
        if key == "env" {
            let both = with_variables(server.find(key), value)?;
            server.set(key, both)?;
            continue;
        }
        server.set(key, format!("{value:#}").replace('\n', "\n      "))?;
    }
    servers.set(name, server.write(2))?;
    whole.set(member, servers.write(1))?;
    Ok(whole.write(0) + "\n")
}

/// Returns the variables of `before`, with those of `added` put in or replaced.
fn with_variables(before: Option<&RawValue>, added: &Value) -> Result<String, String> {
    let is_object = |value: &&RawValue| value.get().starts_with('{');
    let mut both = Members::read(before.filter(is_object).map_or("{}", RawValue::get))?;
    for (name, value) in added.as_object().into_iter().flatten() {
        both.set(name, value.to_string())?;
    }
    Ok(both.write(3))
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
    fn an_entry_keeps_what_the_person_has_put_there() {
        let text = |single: &str| single.replace('\'', "\"");
        let entry = json!({ "args": ["a"], "command": "c" });
        let before = text("{'s': {'n': {'env':{'A' : 1}, 'command': 'old', 'url': 'u'}}}");
        let after = with_member(&before, "s", "n", &entry).unwrap();
        let read: Value = serde_json::from_str(&after).unwrap();
        let expected = json!({ "env": { "A": 1 }, "command": "c", "args": ["a"] });
        assert_eq!(read["s"]["n"], expected);
        assert!(after.contains(&text("{'A' : 1}")), "{after}");
        // What says all that already stays as the person has laid it out.
        let same = text("{'s':{'n':{'command':'c','env':{},'args':['a']}}}");
        assert_eq!(with_member(&same, "s", "n", &entry).unwrap(), same);
    }

    #[test]
    fn variables_are_added_to_those_that_are_there() {
        let entry = json!({ "command": "c", "env": { "B": "2" } });
        let before = r#"{"s": {"n": {"env":{"A" : "1", "B": "old"}}}}"#;
        let after = with_member(before, "s", "n", &entry).unwrap();
        let read: Value = serde_json::from_str(&after).unwrap();
        let expected = json!({ "command": "c", "env": { "A": "1", "B": "2" } });
        assert_eq!(read["s"]["n"], expected);
        assert_eq!(with_member(&after, "s", "n", &entry).unwrap(), after);
    }

    #[test]
    fn a_file_that_is_new_or_cannot_be_understood() {
        let new = with_member("\u{feff} ", "servers", "n", &json!({ "a": 1 })).unwrap();
        let expected = "{\n  \"servers\": {\n    \"n\": {\n      \"a\": 1\n    }\n  }\n}\n";
        assert_eq!(new, expected);
        for broken in ["[]", "{ // a comment\n}", "{\"servers\": 7}", "nul"] {
            assert!(
                with_member(broken, "servers", "n", &json!({})).is_err(),
                "{broken}"
            );
        }
    }
}
