//! Suggests a name for one with a typing error.

/// The least similarity of a suggestion, by the measure of Jaro and Winkler (1 is equal): the one that clap
/// uses for its own suggestions.
const ALIKE: f64 = 0.8;

/// Returns the name that is most similar to `typed`, if one is similar enough.
pub(crate) fn similar<'a>(
    typed: &str,
    names: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let measured = names.into_iter().map(|name| {
        let likeness = strsim::jaro_winkler(&typed.to_lowercase(), &name.to_lowercase());
        (likeness, name)
    });
    let alike = measured.filter(|(likeness, _)| *likeness > ALIKE);
    let nearest = alike.max_by(|(one, _), (other, _)| one.total_cmp(other));
    nearest.map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_error_is_recognized_and_another_name_is_not() {
        let names = ["notes", "linear", "github-work"];
        for (typed, expected) in [
            ("nots", Some("notes")),
            ("noets", Some("notes")),
            ("Notes", Some("notes")),
            ("liner", Some("linear")),
            ("github", Some("github-work")),
            ("stripe", None),
            ("x", None),
        ] {
            assert_eq!(similar(typed, names), expected, "{typed}");
        }
        assert_eq!(similar("notes", []), None);
    }
}
