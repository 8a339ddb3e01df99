//! What stands between `${` and `}` in a case: the names of this run, and texts that are too long to
//! write down.

use std::collections::BTreeMap;

/// The names of this run.
#[derive(Clone, Debug, Default)]
pub(super) struct Words(BTreeMap<String, String>);

impl Words {
    pub(super) fn set(&mut self, name: &str, value: impl Into<String>) {
        self.0.insert(name.to_owned(), value.into());
    }

    /// The text with each `${name}` replaced, and each `${1000 * text}` written out. In such a text
    /// `#` is its number, from zero, and `<name>` a name.
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
        value.unwrap_or_else(|| panic!("no `{name}`")).clone()
    }
}

#[test]
fn a_word_is_replaced_and_a_long_text_written_out() {
    let mut words = Words::default();
    words.set("issuer", "https://as.example");
    assert_eq!(words.fill("<${issuer}/x>"), "<https://as.example/x>");
    assert_eq!(words.fill("${3 * a#,}"), "a0,a1,a2,");
    assert_eq!(
        words.fill("${2 * <issuer>}"),
        words.fill("${issuer}${issuer}")
    );
    assert_eq!(words.fill("nothing"), "nothing");
}
