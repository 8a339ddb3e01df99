//! The repository uses the words of its glossary.

use source_checks::{
    files,
    words::{self, AllowList, Finding, Kind},
};

#[test]
fn the_repository_uses_the_words_of_its_glossary() {
    let root = files::root();
    let mut allowed = AllowList::read();
    let found = words::check_files(&root, &files::tracked(&root), &mut allowed);
    let lines: Vec<String> = found
        .iter()
        .map(|f| {
            format!(
                "{}:{}: `{}` in `{}`: write {}",
                f.path, f.line, f.phrase, f.text, f.instead
            )
        })
        .collect();
    assert!(
        lines.is_empty(),
        "{}\n{} words",
        lines.join("\n"),
        lines.len()
    );
    let unused = allowed.unused();
    assert!(unused.is_empty(), "allowed, but not there: {unused:#?}");
}

fn found_in(path: &str, text: &str) -> Vec<Finding> {
    words::check(path, text, &mut AllowList::read())
}

#[test]
fn a_word_in_an_identifier_is_found() {
    for planted in [
        "fn by_hand() {}",
        "struct ByHand;",
        "mod m { const BY_HAND: u8 = 1; }",
    ] {
        let found = found_in("crates/mcp-client-oauth/tests/it/planted.rs", planted);
        assert_eq!(found.len(), 1, "{planted}: {found:?}");
        assert_eq!(found[0].phrase, "by hand");
    }
}

#[test]
fn a_word_in_a_message_is_found() {
    let planted = "fn f() -> &'static str {\n    \"the place is damaged\"\n}";
    let found = found_in("crates/mcp-client-oauth/src/planted.rs", planted);
    let phrases: Vec<_> = found.iter().map(|f| (f.line, f.phrase)).collect();
    assert_eq!(phrases, [(2, "damaged"), (2, "place")]);
}

#[test]
fn a_word_in_the_help_is_found() {
    let planted = "/// Asks for a place.\nstruct Flags;";
    let found = found_in("crates/mcp-oauth-cli/src/args/planted.rs", planted);
    assert_eq!(found.len(), 2, "{found:?}");
}

#[test]
fn a_word_in_a_line_of_documentation_or_a_comment_is_found() {
    for (path, planted) in [
        ("docs/planted.md", "Tokens are\nsealed.\n"),
        (
            "crates/mcp-client-oauth/src/planted.rs",
            "struct S;\n// Nobody reads it.\n",
        ),
        ("scripts/planted", "\n# A person reads it.\n"),
    ] {
        let found = found_in(path, planted);
        assert_eq!(found.len(), 1, "{path}: {found:?}");
        assert_eq!(found[0].line, 2);
    }
}

#[test]
fn a_word_in_the_name_of_a_file_or_a_key_is_found() {
    assert_eq!(
        found_in("crates/mcp-client-oauth/src/store/sealed.rs", "").len(),
        1
    );
    assert_eq!(
        found_in("crates/mcp-client-oauth/tests/it/cases.toml", "by_hand = 1").len(),
        1
    );
}

#[test]
fn plain_english_in_prose_is_left_alone() {
    let text = "// The answer is written in place, in the way of RFC 8259.\n";
    assert_eq!(found_in("crates/mcp-client-oauth/src/planted.rs", text), []);
    assert!(!words::phrases(Kind::Message, "the answer").is_empty());
}

#[test]
fn a_rule_that_is_cited_by_a_number_alone_is_found() {
    let path = "crates/mcp-client-oauth/src/planted.rs";
    for planted in [
        "// The state is checked first (H17).",
        "// spec-checklist G4",
    ] {
        assert_eq!(found_in(path, planted).len(), 1, "{planted}");
    }
    for fine in [
        "// RFC 9207 §2.4 (docs/hostile.md H17).",
        "// RFC 8414 §3.3: HTTP/2, SHA256",
    ] {
        assert_eq!(found_in(path, fine), []);
    }
}

#[test]
fn a_doc_comment_that_begins_with_a_question_word_is_found() {
    let path = "crates/mcp-client-oauth/src/planted.rs";
    let planted = "/// Whether it is there.\nfn is_there() {}\n";
    assert_eq!(found_in(path, planted).len(), 1);
    let fine =
        "/// Returns whether it is there.\n/// Where it is not, an error says so.\nfn f() {}\n";
    assert_eq!(found_in(path, fine), []);
}
