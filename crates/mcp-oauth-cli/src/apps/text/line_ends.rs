//! Line ends: an editor that writes `\n` only, for a text that may have others.

use similar::{ChangeTag, TextDiff};

/// Returns the result of `edit` on the text with `\n`, with the line ends of the text: unchanged lines keep
/// theirs, and new lines get the most frequent one.
pub(super) fn kept<E>(
    text: &str,
    edit: impl FnOnce(&str) -> Result<String, E>,
) -> Result<String, E> {
    if !text.contains('\r') {
        return edit(text);
    }
    let before = text.replace("\r\n", "\n");
    let after = edit(&before)?;
    let original: Vec<&str> = text.split_inclusive('\n').collect();
    let windows = original
        .iter()
        .filter(|line| line.ends_with("\r\n"))
        .count();
    let end = if windows * 2 >= original.len() {
        "\r\n"
    } else {
        "\n"
    };
    let diff = TextDiff::from_lines(before.as_str(), after.as_str());
    let lines = diff.iter_all_changes().filter_map(|change| {
        let unchanged = change.old_index().and_then(|at| original.get(at));
        match (change.tag(), unchanged) {
            (ChangeTag::Delete, _) => None,
            (ChangeTag::Equal, Some(line)) => Some((*line).to_owned()),
            _ => Some(match change.value().strip_suffix('\n') {
                Some(line) => format!("{line}{end}"),
                None => change.value().to_owned(),
            }),
        }
    });
    Ok(lines.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unchanged_lines_keep_their_ends() {
        let edit = |text: &str| Ok::<_, ()>(text.replace("b\n", "x\ny\n"));
        for (before, after) in [
            ("a\r\nb\r\nc\r\n", "a\r\nx\r\ny\r\nc\r\n"),
            ("a\r\nb\r\nc\nd\r\n", "a\r\nx\r\ny\r\nc\nd\r\n"),
            ("a\nb\nc\r\nd\n", "a\nx\ny\nc\r\nd\n"),
            ("a\nb\n", "a\nx\ny\n"),
            ("a\r\nb\r\nc", "a\r\nx\r\ny\r\nc"),
        ] {
            assert_eq!(kept(before, edit).unwrap(), after, "{before:?}");
        }
    }
}
