//! What holds for each format.

use proptest::prelude::*;
use serde_json::json;
use similar::{ChangeTag, TextDiff};

use super::*;

const SLOT: Slot<'_> = Slot {
    member: "servers",
    name: "notes",
};

fn entry() -> Value {
    json!({ "args": ["a", "b\"\\ é"], "command": "/x y/mcp-oauth", "env": { "B": "2" } })
}

/// Returns the lines that were removed or changed.
fn removed_lines(before: &str, after: &str) -> Vec<String> {
    let diff = TextDiff::from_lines(before, after);
    let changes = diff.iter_all_changes();
    let removed = changes.filter(|change| change.tag() == ChangeTag::Delete);
    removed.map(|change| change.value().to_owned()).collect()
}

#[test]
fn a_toml_table_is_added_changed_and_removed() {
    let before = "# mine\r\nmodel = \"o\" # yes\r\n\r\n[servers.a]\r\ncommand = \"a\"\r\n";
    let added = Format::Toml.set(before, SLOT, &entry()).unwrap();
    assert!(added.starts_with(before), "{added}");
    assert_eq!(added.matches('\n').count(), added.matches("\r\n").count());
    assert_eq!(Format::Toml.find(&added, SLOT), Ok(Some(entry())));
    assert_eq!(Format::Toml.set(&added, SLOT, &entry()).unwrap(), added);
    assert_eq!(Format::Toml.remove(&added, SLOT).unwrap(), before);
    let kept = "[servers.notes]\ncommand = \"old\" # mine\nurl = \"u\"\n\n[servers.notes.env]\nA = \"1\"\n";
    let new = json!({ "command": "c", "args": ["x"], "env": { "A": "1", "B": "2" } });
    let expected = "[servers.notes]\ncommand = \"c\" # mine\nargs = [\"x\"]\n\n[servers.notes.env]\nA = \"1\"\nB = \"2\"\n";
    assert_eq!(Format::Toml.set(kept, SLOT, &new).unwrap(), expected);
    assert_eq!(Format::Toml.remove(kept, SLOT).unwrap(), "");
}

#[test]
fn comments_before_a_toml_table_stay_when_it_is_removed() {
    let before = "# the file\n\n# the server\n[servers.notes]\ncommand = \"c\"\n\n# other\n[x]\na = 1 # one\n";
    let after = Format::Toml.remove(before, SLOT).unwrap();
    for comment in [
        "# the file\n",
        "# the server\n",
        "# other\n[x]\na = 1 # one\n",
    ] {
        assert!(after.contains(comment), "{after}");
    }
}

#[test]
fn an_entry_of_inline_toml_is_changed_in_its_line() {
    let before = "servers = { a = { command = \"a\" }, notes = { command = \"old\" } } # mine\n";
    let new = json!({ "command": "c", "args": ["x"] });
    let after = Format::Toml.set(before, SLOT, &new).unwrap();
    assert!(
        after.starts_with("servers = { a = { command = \"a\" }, notes = {"),
        "{after}"
    );
    assert!(
        after.ends_with("# mine\n") && after.lines().count() == 1,
        "{after}"
    );
    let removed = Format::Toml.remove(before, SLOT).unwrap();
    assert_eq!(Format::Toml.find(&removed, SLOT), Ok(None));
}

const GOOSE: &str = "\
# my settings
GOOSE_MODEL: 'x' # the model

extensions:
  # files
  developer:
    bundled: true
    enabled: true
    type: builtin
    text: |
      # no comment
      a: b

  # the next
  notes: # mine
    cmd: old
    enabled: false
other: [1, 2]
# the end";

#[test]
fn a_yaml_entry_is_added_changed_and_removed() {
    let slot = Slot {
        member: "extensions",
        ..SLOT
    };
    let new =
        json!({ "cmd": "/x y/z", "enabled": true, "args": ["a", "no"], "envs": { "A": "1" } });
    let changed = Format::Yaml.set(GOOSE, slot, &new).unwrap();
    let expected = GOOSE.replace(
        "  notes: # mine\n    cmd: old\n    enabled: false\n",
        "  notes:\n    enabled: true\n    cmd: \"/x y/z\"\n    args: [\"a\", \"no\"]\n    envs:\n      A: \"1\"\n",
    ) + "\n";
    assert_eq!(changed, expected);
    let removed = Format::Yaml.remove(&changed, slot).unwrap();
    let without = GOOSE.replace("  notes: # mine\n    cmd: old\n    enabled: false\n", "") + "\n";
    assert_eq!(removed, without);
    let added = Format::Yaml.set(&without, slot, &new).unwrap();
    assert_eq!(Format::Yaml.find(&added, slot), Ok(Some(new.clone())));
    assert_eq!(removed_lines(&without, &added), [""; 0]);
    assert_eq!(Format::Yaml.remove(&added, slot).unwrap(), without);
}

#[test]
fn the_first_yaml_entry_is_added_and_the_last_one_removed() {
    let new = json!({ "cmd": "c" });
    for (before, after) in [
        ("", "servers:\n  notes:\n    cmd: c\n"),
        ("# mine\n", "# mine\nservers:\n  notes:\n    cmd: c\n"),
        ("a: 1", "a: 1\nservers:\n  notes:\n    cmd: c\n"),
        ("servers:\na: 1\n", "servers:\n  notes:\n    cmd: c\na: 1\n"),
        (
            "servers: {} # x\na: 1\n",
            "servers: # x\n  notes:\n    cmd: c\na: 1\n",
        ),
        ("servers: null\n", "servers:\n  notes:\n    cmd: c\n"),
        (
            "servers: # x\n# y\n",
            "servers: # x\n  notes:\n    cmd: c\n# y\n",
        ),
        ("  a: 1\n", "  a: 1\n  servers:\n    notes:\n      cmd: c\n"),
    ] {
        let changed = Format::Yaml.set(before, SLOT, &new);
        assert_eq!(changed.as_deref(), Ok(after), "{before:?}");
        let removed = Format::Yaml.remove(after, SLOT).unwrap();
        assert_eq!(Format::Yaml.find(&removed, SLOT), Ok(None));
    }
    let removed = Format::Yaml.remove("servers: # x\n  notes:\n    cmd: c\n", SLOT);
    assert_eq!(removed.as_deref(), Ok("servers: {} # x\n"));
}

#[test]
fn a_yaml_text_in_another_layout_is_refused() {
    for (text, says) in [
        (
            "servers: { a: { cmd: x } }\n",
            "its `servers` is written in one line",
        ),
        ("{ servers: {} }\n", "it is written in one line"),
        ("a: 1\n---\nb: 2\n", "several documents"),
        ("servers: 7\n", "its `servers` is not an object"),
        ("- a\n", "its value is not an object"),
        ("a: 1\n b: [\n", "on line 2 column 3"),
        ("a: 1\n...\n", "a line that ends its document"),
    ] {
        let refused = Format::Yaml.set(text, SLOT, &json!({ "cmd": "c" }));
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains(says), "{text:?}: {refused}");
    }
}

#[test]
fn texts_that_yaml_reads_otherwise_are_quoted() {
    for text in [
        "", "~", "null", "true", "No", "1", "1.5", ".5", "1e3", "-x", "a: b", "a #b", "\u{85}x",
        "\u{7f}", "\u{2028}", "@a", "%a", "[a", "é", "a\nb", " a", "a ", "0x1f", "'a", "\"", "\\",
        ".inf", "/a/b",
    ] {
        let entry = json!({ "cmd": text, "args": [text], "envs": { text: text } });
        let written = Format::Yaml.set("", SLOT, &entry).unwrap();
        assert_eq!(
            Format::Yaml.find(&written, SLOT),
            Ok(Some(entry)),
            "{written}"
        );
        assert!(
            !written.contains(['\u{7f}', '\u{2028}', '\u{85}']),
            "{written:?}"
        );
    }
}

#[test]
fn a_syntax_error_has_its_position() {
    for (format, text, position) in [
        (Format::Json, "{\n  \"a\": 'b' }", "line 2 column 8"),
        (Format::Toml, "a = 1\n b = \"p\nc = 2", "line 2 column 8"),
        (Format::Yaml, "a: 1\nb: \"c", "line 2 column"),
        (Format::Yaml, "a: 1\na: 2", "twice, on line 2 column 1"),
    ] {
        for text in [text.to_owned(), format!("\u{feff}{text}")] {
            let refused = format.find(&text, SLOT).unwrap_err().to_string();
            assert!(refused.contains(position), "{refused}");
        }
    }
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[a-c]|servers|notes|url|\\PC", inner, 0..4)
                .prop_map(|members| members.into_iter().collect()),
        ]
    })
}

/// Returns JSON with this indentation; compact if it is empty.
fn laid_out(value: &Value, indent: &str) -> String {
    if indent.is_empty() {
        return value.to_string();
    }
    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(indent.as_bytes());
    let mut writer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
    serde::Serialize::serialize(value, &mut writer).unwrap();
    String::from_utf8(bytes).unwrap()
}

/// Returns lines of TOML or YAML: keys, comments and tables that are no `servers`.
fn blocks(format: Format) -> impl Strategy<Value = String> {
    let lines: &[&str] = match format {
        Format::Toml => &[
            "# c\n",
            "\n",
            "[t.KEY]\n",
            "KEY = 1 # c\n",
            "[servers.KEY]\n",
            "KEY = [\n 1, # c\n]\n",
            "KEY = '''\n# x\n'''\n",
            "[servers.KEY.env]\n",
            "[[l.KEY]]\n",
        ],
        _ => &[
            "# c\n",
            "\n",
            "KEY: 1 # c\n",
            "servers:\n",
            "  KEY: { a: b }\n",
            "  KEY:\n    a: 1\n",
            "    # c\n",
            "KEY: |\n  # x\n  y\n",
            "KEY:\n- 1\n- a: b\n",
            "  # c\n",
            "  KEY: >-\n    x\n\n",
        ],
    };
    let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
    let all = proptest::collection::vec(proptest::sample::select(lines), 0..12);
    all.prop_map(|all| {
        let once = |(at, line): &(usize, &String)| {
            *line != "servers:\n" || all.iter().position(|other| other == *line) == Some(*at)
        };
        let lines = all.iter().enumerate().filter(once);
        let lines = lines.map(|(at, line)| line.replace("KEY", &format!("k{at}")));
        lines.collect()
    })
}

proptest! {
    /// For every file the entry is in it afterwards, the rest is the same, and a second change has no
    /// effect. The files are read by another parser than the one that changes them.
    #[test]
    fn only_the_entry_of_json_changes(
        value in json_value(),
        indent in prop_oneof![Just(""), Just("  "), Just("    "), Just("\t")],
        is_windows: bool,
    ) {
        let before = laid_out(&value, indent);
        let before = if is_windows { before.replace('\n', "\r\n") } else { before };
        let Ok(after) = Format::Json.set(&before, SLOT, &entry()) else {
            let is_other = |value: Option<&Value>| value.is_some_and(|value| !value.is_object());
            prop_assert!(is_other(Some(&value)) || is_other(value.get("servers")));
            return Ok(());
        };
        prop_assert_eq!(&Format::Json.set(&after, SLOT, &entry()).unwrap(), &after);
        let mut expected = value.clone();
        expected["servers"]["notes"] = entry();
        let read: Value = serde_json::from_str(&after).unwrap();
        prop_assert_eq!(&read, &expected);
        if is_windows && after.contains('\n') && before.contains('\n') {
            prop_assert_eq!(after.matches('\n').count(), after.matches("\r\n").count());
        }
        let removed = Format::Json.remove(&after, SLOT).unwrap();
        expected["servers"].as_object_mut().unwrap().remove("notes");
        let read: Value = serde_json::from_str(&removed).unwrap();
        prop_assert_eq!(read, expected);
        let others = value["servers"].as_object();
        // On one line, the entry gets lines of its own, and the others stay on theirs.
        if !indent.is_empty() && others.is_some_and(|all| !all.is_empty() && !all.contains_key("notes")) {
            prop_assert_eq!(removed, before);
        }
    }

    #[test]
    fn only_the_entry_of_toml_changes(before in blocks(Format::Toml), is_windows: bool) {
        let before = if is_windows { before.replace('\n', "\r\n") } else { before };
        let Ok(parsed) = Format::Toml.parse(&before) else { return Ok(()) };
        prop_assume!(parsed.get("servers").is_none_or(Value::is_object));
        let after = Format::Toml.set(&before, SLOT, &entry()).unwrap();
        prop_assert_eq!(removed_lines(&before, &after), [""; 0]);
        let again = Format::Toml.remove(&after, SLOT).unwrap();
        prop_assert_eq!(again.trim_end(), before.trim_end());
    }

    #[test]
    fn only_the_entry_of_yaml_changes(before in blocks(Format::Yaml), is_windows: bool) {
        let before = if is_windows { before.replace('\n', "\r\n") } else { before };
        let Ok(parsed) = Format::Yaml.parse(&before) else { return Ok(()) };
        prop_assume!(parsed.get("servers").is_none_or(|all| all.is_object() || all.is_null()));
        let after = Format::Yaml.set(&before, SLOT, &entry()).unwrap();
        prop_assert_eq!(removed_lines(&before, &after), [""; 0]);
        let again = Format::Yaml.remove(&after, SLOT).unwrap();
        let without = |text: &str| {
            let lines = text.lines().map(|line| if line == "servers: {}" { "servers:" } else { line });
            lines.collect::<Vec<_>>().join("\n")
        };
        if parsed.get("servers").is_some() {
            prop_assert_eq!(without(&again), without(&before));
        }
    }
}
