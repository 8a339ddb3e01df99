use serde_json::{Value, json};

use super::super::{EditError, Format, Slot};

fn with_member(text: &str, member: &str, name: &str, entry: &Value) -> Result<String, EditError> {
    Format::Json.set(text, Slot { member, name }, entry)
}

fn without(text: &str, member: &str, name: &str) -> String {
    Format::Json.remove(text, Slot { member, name }).unwrap()
}

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
            "env": {"A" : 1, "C": 3},
            "mine": true,
        },
    },
}
// the end"#;

fn entry() -> Value {
    json!({ "args": ["a", "b\"\\"], "command": "c", "env": { "B": "2" } })
}

fn read(text: &str) -> Value {
    Format::Json.parse(text).unwrap()
}

/// The entry of [`KEPT`] after a change: with the user's key and variable.
fn changed() -> Value {
    json!({
        "args": ["a", "b\"\\"], "command": "c", "env": { "A": 1, "B": "2" }, "mine": true,
    })
}

#[test]
fn comments_order_and_layout_are_kept() {
    let after = with_member(KEPT, "servers", "n", &changed()).unwrap();
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
        with_member(&after, "servers", "n", &changed()).unwrap(),
        after
    );
    let removed = r#"// mine
{
    "z": 1.50e2, /* a number */
    "a": "\u0061", "a": [1,2],

    "servers": {
        // the first one
        "b": {"command" : "b"},
    },
}
// the end"#;
    assert_eq!(without(&after, "servers", "n"), removed);
    assert_eq!(without(removed, "servers", "n"), removed);
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
    let entry = json!({ "args": ["a"], "command": "c", "env": { "X": "1" } });
    let same = r#"{"s":{"n":{"command":"c","env":{"X":"1"},"args":["a"]}}}"#;
    assert_eq!(with_member(same, "s", "n", &entry).unwrap(), same);
}

#[test]
fn line_ends_and_a_byte_order_mark_are_kept() {
    let before = format!("\u{feff}{}", KEPT.replace('\n', "\r\n"));
    let after = with_member(&before, "servers", "n", &changed()).unwrap();
    let plain = with_member(KEPT, "servers", "n", &changed()).unwrap();
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
        let why = with_member(broken, "servers", "n", &json!({}))
            .unwrap_err()
            .to_string();
        assert!(why.ends_with(&format!("{position})")), "{why}");
    }
    for other in ["[]", "7", "{\"servers\": 7}", "{\"servers\": null}"] {
        let why = with_member(other, "servers", "n", &json!({}))
            .unwrap_err()
            .to_string();
        assert!(why.ends_with("is not an object"), "{why}");
    }
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(500), "]".repeat(500));
    let after = with_member(&deep, "servers", "n", &json!({})).unwrap();
    assert!(after.contains(&"[".repeat(500)));
}
