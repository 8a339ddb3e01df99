use proptest::prelude::*;
use serde_json::json;

use super::*;

/// A file with an entry, and with comments and keys of an application and a user.
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

/// Returns the JSON that an application reads from the file.
fn read(text: &str) -> Value {
    let text = text.trim_start_matches(BYTE_ORDER_MARK);
    let root = CstRootNode::parse(text, &FORMAT).unwrap();
    root.to_serde_value().unwrap()
}

#[test]
fn comments_order_and_layout_are_kept() {
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
fn an_entry_is_added_after_the_others() {
    let before = "{\n  \"servers\": {\n    \"b\": {} // last\n  }\n}\n";
    let after = with_member(before, "servers", "n", &json!({ "args": [1] })).unwrap();
    let expected = "{\n  \"servers\": {\n    \"b\": {}, // last\n    \"n\": {\n      \"args\": [1]\n    }\n  }\n}\n";
    assert_eq!(after, expected);
}

#[test]
fn an_equal_entry_is_not_changed() {
    let entry = json!({ "args": ["a"], "command": "c", "env": {} });
    let same = r#"{"s":{"n":{"command":"c","env":{"X":"1"},"args":["a"]}}}"#;
    assert_eq!(with_member(same, "s", "n", &entry).unwrap(), same);
}

#[test]
fn line_ends_and_a_byte_order_mark_are_kept() {
    let before = format!("\u{feff}{}", KEPT.replace('\n', "\r\n"));
    let after = with_member(&before, "servers", "n", &entry()).unwrap();
    let plain = with_member(KEPT, "servers", "n", &entry()).unwrap();
    assert_eq!(after, format!("\u{feff}{}", plain.replace('\n', "\r\n")));
}

#[test]
fn the_last_of_several_members_with_one_name_is_changed() {
    let before = r#"{"s": {"n": {"command": "x"}, "n": {"url": "u", "url": "u", "command": "y"}}}"#;
    let after = with_member(before, "s", "n", &entry()).unwrap();
    assert!(
        after.starts_with(r#"{"s": {"n": {"command": "x"}, "n": {"#),
        "{after}"
    );
    assert_eq!(read(&after)["s"]["n"], entry());
}

#[test]
fn a_value_that_is_not_an_object_is_replaced_only_in_the_entry() {
    let after = with_member(r#"{"s":{"n":7}}"#, "s", "n", &entry()).unwrap();
    assert_eq!(read(&after)["s"]["n"], entry());
    let after = with_member(r#"{"s":{"n":{"env":7}}}"#, "s", "n", &entry()).unwrap();
    assert_eq!(read(&after)["s"]["n"], entry());
}

#[test]
fn an_empty_file_gets_an_object() {
    for empty in ["", " ", "{}", "{ }\n"] {
        let new = with_member(empty, "servers", "n", &json!({ "a": 1 })).unwrap();
        let expected = "{\n  \"servers\": {\n    \"n\": {\n      \"a\": 1\n    }\n  }\n}";
        assert_eq!(new.trim(), expected, "{empty:?}");
    }
    let new = with_member("// mine", "s", "n", &json!({})).unwrap();
    assert!(new.starts_with("// mine\n{"), "{new}");
}

#[test]
fn an_invalid_file_is_refused_with_its_position() {
    let deep = "[".repeat(100_000);
    for (broken, position) in [
        ("{\n  \"a\": 1\n  \"b\": 2\n}", "line 2 column 9"),
        ("\u{feff}{\r\n \"a\": 'b' }", "line 2 column 7"),
        ("{ \"a\": nul }", "line 1 column 8"),
        ("{ a: 1 }", "line 1 column 3"),
        ("{ /* a", "line 1 column 3"),
        ("{} {}", "line 1 column 4"),
        (&deep, "line 1 column 513"),
    ] {
        let why = with_member(broken, "servers", "n", &json!({})).unwrap_err();
        assert!(why.ends_with(&format!("{position})")), "{why}");
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
    /// For every file the entry is in it afterwards, the rest is the same, and a second change has no
    /// effect.
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
