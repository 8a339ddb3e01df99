//! Changes a JSON text with comments in place: everything else stays as it was written.

use jsonc_parser::{
    ParseOptions,
    cst::{CstInputValue, CstObject, CstObjectProp, CstRootNode},
};
use serde_json::Value;

use super::network_keys::OF_THE_NETWORK;

/// Some editors put it before the text.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// JSON with comments and trailing commas, as VS Code and Zed read it, and nothing looser.
const FORMAT: ParseOptions = ParseOptions {
    allow_comments: true,
    allow_trailing_commas: true,
    allow_loose_object_property_names: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

/// Returns `text` with `{member: {name: entry}}` in it. An entry that is there keeps what is not ours,
/// and loses what is for a server on the network.
pub(super) fn with_member(
    text: &str,
    member: &str,
    name: &str,
    entry: &Value,
) -> Result<String, String> {
    let document = text.trim_start_matches(BYTE_ORDER_MARK);
    let mark = &text[..text.len() - document.len()];
    let root = CstRootNode::parse(document, &FORMAT)
        .map_err(|error| format!("it is not the JSON that this command can change ({error})"))?;
    let not_object = |what: &str| format!("{what} is not an object");
    let whole = root
        .object_value_or_create()
        .ok_or_else(|| not_object("its value"))?;
    let servers = match find(&whole, member) {
        Some(found) => found.object_value(),
        None => whole
            .append(member, CstInputValue::Object(Vec::new()))
            .object_value(),
    };
    let servers = servers.ok_or_else(|| not_object(&format!("its `{member}`")))?;
    match find(&servers, name) {
        Some(found) => change(&found.object_value_or_set(), entry),
        None => drop(servers.append(name, input(entry))),
    }
    Ok(format!("{mark}{root}"))
}

/// Makes the entry that is there say what `entry` says. Further variables stay.
fn change(server: &CstObject, entry: &Value) {
    for key in OF_THE_NETWORK {
        while let Some(found) = find(server, key) {
            found.remove();
        }
    }
    for (key, value) in entry.as_object().into_iter().flatten() {
        match (find(server, key), value) {
            (Some(found), Value::Object(variables)) => {
                let there = found.object_value_or_set();
                for (name, value) in variables {
                    set(&there, name, value);
                }
            }
            _ => set(server, key, value),
        }
    }
}

fn set(object: &CstObject, name: &str, value: &Value) {
    match find(object, name) {
        Some(found) if found.to_serde_value().as_ref() == Some(value) => {}
        Some(found) => found.set_value(input(value)),
        None => drop(object.append(name, input(value))),
    }
}

/// Finds the member of this name. Of several the last one counts, as it does for the applications.
fn find(object: &CstObject, name: &str) -> Option<CstObjectProp> {
    let mut members = object.properties().into_iter().rev();
    members.find(|member| member.decoded_name().as_deref() == Some(name))
}

fn input(value: &Value) -> CstInputValue {
    match value {
        Value::Null => CstInputValue::Null,
        Value::Bool(value) => CstInputValue::Bool(*value),
        Value::Number(number) => CstInputValue::Number(number.to_string()),
        Value::String(text) => CstInputValue::String(text.clone()),
        Value::Array(items) => CstInputValue::Array(items.iter().map(input).collect()),
        Value::Object(members) => {
            let members = members.iter();
            CstInputValue::Object(
                members
                    .map(|(name, value)| (name.clone(), input(value)))
                    .collect(),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// Holds what a file is that has an entry already, with what an application and a user may put there.
    const KEPT: &str = r#"// mine
{
    "z": 1.50e2, /* a number */
    "a": "\u0061", "a": [1,2],

    "servers": {
        // the first one
        "b": {"command" : "b"},
        "n": { // this one
            "command": "old", // moved
            "url": "u",
            "env": {"A" : 1},
            "mine": true,
        },
    },
}
// the end"#;

    fn entry() -> Value {
        json!({ "args": ["a", "b\"\\"], "command": "c", "env": { "B": "2" } })
    }

    /// Returns what an application reads of the file.
    fn read(text: &str) -> Value {
        let text = text.trim_start_matches(BYTE_ORDER_MARK);
        let root = CstRootNode::parse(text, &FORMAT).unwrap();
        root.to_serde_value().unwrap()
    }

    #[test]
    fn comments_order_and_layout_stay() {
        let after = with_member(KEPT, "servers", "n", &entry()).unwrap();
        let expected = r#"// mine
{
    "z": 1.50e2, /* a number */
    "a": "\u0061", "a": [1,2],

    "servers": {
        // the first one
        "b": {"command" : "b"},
        "n": { // this one
            "command": "c", // moved
            "env": {
                "A" : 1,
                "B": "2"
            },
            "mine": true,
            "args": ["a", "b\"\\"],
        },
    },
}
// the end"#;
        assert_eq!(after, expected);
        assert_eq!(
            with_member(&after, "servers", "n", &entry()).unwrap(),
            after
        );
    }

    #[test]
    fn an_entry_is_added_behind_the_others() {
        let before = "{\n  \"servers\": {\n    \"b\": {} // last\n  }\n}\n";
        let after = with_member(before, "servers", "n", &json!({ "args": [1] })).unwrap();
        let expected = "{\n  \"servers\": {\n    \"b\": {}, // last\n    \"n\": {\n      \"args\": [1]\n    }\n  }\n}\n";
        assert_eq!(after, expected);
    }

    #[test]
    fn an_entry_that_says_it_already_is_not_touched() {
        let entry = json!({ "args": ["a"], "command": "c", "env": {} });
        let same = r#"{"s":{"n":{"command":"c","env":{"X":"1"},"args":["a"]}}}"#;
        assert_eq!(with_member(same, "s", "n", &entry).unwrap(), same);
    }

    #[test]
    fn line_ends_and_a_byte_order_mark_stay() {
        let before = format!("\u{feff}{}", KEPT.replace('\n', "\r\n"));
        let after = with_member(&before, "servers", "n", &entry()).unwrap();
        let plain = with_member(KEPT, "servers", "n", &entry()).unwrap();
        assert_eq!(after, format!("\u{feff}{}", plain.replace('\n', "\r\n")));
    }

    #[test]
    fn of_two_members_of_a_name_the_last_is_changed() {
        let before =
            r#"{"s": {"n": {"command": "x"}, "n": {"url": "u", "url": "u", "command": "y"}}}"#;
        let after = with_member(before, "s", "n", &entry()).unwrap();
        assert!(
            after.starts_with(r#"{"s": {"n": {"command": "x"}, "n": {"#),
            "{after}"
        );
        assert_eq!(read(&after)["s"]["n"], entry());
    }

    #[test]
    fn what_is_no_object_is_replaced_in_an_entry_alone() {
        let after = with_member(r#"{"s":{"n":7}}"#, "s", "n", &entry()).unwrap();
        assert_eq!(read(&after)["s"]["n"], entry());
        let after = with_member(r#"{"s":{"n":{"env":7}}}"#, "s", "n", &entry()).unwrap();
        assert_eq!(read(&after)["s"]["n"], entry());
    }

    #[test]
    fn a_file_that_is_new() {
        for empty in ["", " ", "{}", "{ }\n"] {
            let new = with_member(empty, "servers", "n", &json!({ "a": 1 })).unwrap();
            let expected = "{\n  \"servers\": {\n    \"n\": {\n      \"a\": 1\n    }\n  }\n}";
            assert_eq!(new.trim(), expected, "{empty:?}");
        }
        let new = with_member("// mine", "s", "n", &json!({})).unwrap();
        assert!(new.starts_with("// mine\n{"), "{new}");
    }

    #[test]
    fn a_file_that_cannot_be_understood() {
        let deep = "[".repeat(100_000);
        for (broken, place) in [
            ("{\n  \"a\": 1\n  \"b\": 2\n}", "line 2 column 9"),
            ("\u{feff}{\r\n \"a\": 'b' }", "line 2 column 7"),
            ("{ \"a\": nul }", "line 1 column 8"),
            ("{ a: 1 }", "line 1 column 3"),
            ("{ /* a", "line 1 column 3"),
            ("{} {}", "line 1 column 4"),
            (&deep, "line 1 column 513"),
        ] {
            let why = with_member(broken, "servers", "n", &json!({})).unwrap_err();
            assert!(why.ends_with(&format!("{place})")), "{why}");
        }
        for other in ["[]", "7", "{\"servers\": 7}", "{\"servers\": null}"] {
            let why = with_member(other, "servers", "n", &json!({})).unwrap_err();
            assert!(why.ends_with("is not an object"), "{why}");
        }
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(500), "]".repeat(500));
        let after = with_member(&deep, "servers", "n", &json!({})).unwrap();
        assert!(after.contains(&"[".repeat(500)));
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map("[a-c]|s|n|url|\\PC", inner, 0..4)
                    .prop_map(|members| members.into_iter().collect()),
            ]
        })
    }

    proptest! {
        /// Whatever is in the file, the entry is in it afterwards, the rest is the same, and a second
        /// time changes nothing.
        #[test]
        fn only_the_entry_changes(value in json(), is_pretty: bool) {
            let before = if is_pretty { format!("{value:#}") } else { value.to_string() };
            let Ok(after) = with_member(&before, "s", "n", &entry()) else {
                let is_other = |value: Option<&Value>| value.is_some_and(|value| !value.is_object());
                prop_assert!(is_other(Some(&value)) || is_other(value.get("s")));
                return Ok(());
            };
            prop_assert_eq!(&with_member(&after, "s", "n", &entry()).unwrap(), &after);
            // What `serde_json` reads has no comments and no trailing commas.
            let mut changed: Value = serde_json::from_str(&after).unwrap();
            for (key, own) in entry().as_object().unwrap() {
                let found = &changed["s"]["n"][key];
                if key == "env" {
                    prop_assert_eq!(&found["B"], &own["B"]);
                } else {
                    prop_assert_eq!(found, own);
                }
            }
            let rest = |value: &mut Value| {
                if value.get("s").is_none() {
                    value["s"] = json!({});
                }
                value["s"]["n"] = Value::Null;
            };
            let mut value = value;
            rest(&mut changed);
            rest(&mut value);
            prop_assert_eq!(changed, value);
        }
    }
}
