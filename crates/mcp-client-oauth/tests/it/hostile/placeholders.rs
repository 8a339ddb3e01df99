//! Replaces `${…}` in a case: with a value of this run, or with a text that is too long to write in the
//! file.

use std::collections::BTreeMap;

/// The values of this run, by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Placeholders(BTreeMap<String, String>);

impl Placeholders {
    pub(super) fn set(&mut self, name: &str, value: impl Into<String>) {
        self.0.insert(name.to_owned(), value.into());
    }

    /// Replaces each `${name}` by its value, and repeats the text of each `${1000 * text}`. In such a
    /// text `#` is the number of the repetition, from zero, and `<name>` a value.
    pub(super) fn fill(&self, text: &str) -> String {
        let mut parts = text.split("${");
        let mut filled = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (name, rest) = part.split_once('}').expect("`${` is closed by `}`");
            filled.push_str(&self.value(name));
            filled.push_str(rest);
        }
        filled
    }

    pub(super) fn fill_all(&self, texts: &[String]) -> Vec<String> {
        texts.iter().map(|text| self.fill(text)).collect()
    }

    fn value(&self, name: &str) -> String {
        if let Some((times, text)) = name.split_once(" * ") {
            let times: usize = times.parse().unwrap();
            let mut text = text.to_owned();
            for (name, value) in &self.0 {
                text = text.replace(&format!("<{name}>"), value);
            }
            if !text.contains('#') {
                return text.repeat(times);
            }
            let numbered = |number: usize| text.replace('#', &number.to_string());
            return (0..times).map(numbered).collect();
        }
        let value = self.0.get(name);
        value.unwrap_or_else(|| panic!("no value `{name}`")).clone()
    }
}

#[test]
fn a_placeholder_is_replaced_and_a_long_text_is_repeated() {
    let mut placeholders = Placeholders::default();
    placeholders.set("issuer", "https://as.example");
    assert_eq!(placeholders.fill("<${issuer}/x>"), "<https://as.example/x>");
    assert_eq!(placeholders.fill("${3 * a#,}"), "a0,a1,a2,");
    assert_eq!(
        placeholders.fill("${2 * <issuer>}"),
        placeholders.fill("${issuer}${issuer}")
    );
    assert_eq!(placeholders.fill("nothing"), "nothing");
}
