//! Rules about single lines of Rust: how doc comments begin, and how rules are cited.

/// The words that a doc comment does not begin with.
const QUESTION_WORDS: &[&str] = &[
    "What", "Whether", "Whose", "Where", "Who", "Whom", "How", "Why", "Which",
];

/// Returns the lines, counted from 1, where a doc comment begins with a question word.
pub(super) fn doc_comments_without_a_verb(lines: &[&str]) -> Vec<usize> {
    let is_doc = |line: &str| line.trim_start().starts_with("///");
    let begins = |at: usize| at == 0 || !is_doc(lines[at - 1]);
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some(text) = line.trim_start().strip_prefix("/// ") else {
            continue;
        };
        let first = text.split(' ').next().unwrap_or_default();
        if begins(at) && QUESTION_WORDS.contains(&first) {
            found.push(at + 1);
        }
    }
    found
}

/// Returns whether a line cites a rule by a number alone, such as `H17`: its reader cannot look it up.
pub(super) fn has_bare_number(line: &str) -> bool {
    let is_number = |word: &str| {
        word.strip_prefix('H')
            .is_some_and(|digits| (1..=3).contains(&digits.len()) && digits.parse::<u16>().is_ok())
    };
    line.contains("spec-checklist")
        || (!line.contains("hostile.md")
            && line
                .split(|c: char| !c.is_alphanumeric() && c != '_' && c != '.')
                .any(|word| is_number(word.trim_matches('.'))))
}
