use proptest::prelude::*;
use serde_json::json;

use super::*;

/// Puts `secret` in a text in one of the forms that are redacted.
fn spelt(secret: &str, form: usize) -> String {
    let forms = forms(secret);
    forms[form % forms.len()].to_string()
}

/// Returns a body after its pieces were redacted one by one.
fn streamed(redactor: &Redactor, pieces: &[&[u8]]) -> Vec<u8> {
    let mut stream = redactor.stream();
    let mut out = Vec::new();
    for piece in pieces {
        out.extend_from_slice(&stream.push(Bytes::copy_from_slice(piece)));
    }
    out.extend_from_slice(&stream.finish());
    out
}

fn has(text: &[u8], part: &str) -> bool {
    text.windows(part.len())
        .any(|bytes| bytes == part.as_bytes())
}

/// Generates secrets of few different characters, which overlap themselves and each other.
fn secret() -> impl Strategy<Value = String> {
    prop_oneof!["[ab/\"]{4,12}", "[a-zA-Z0-9+/=._~-]{8,40}"]
}

proptest! {
    #[test]
    fn a_secret_is_redacted_wherever_the_pieces_end(
        secrets in proptest::collection::vec(secret(), 1..4),
        parts in proptest::collection::vec((0_usize..4, 0_usize..4, "[ab ]{0,3}|[c ]{40,80}"), 1..5),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let text: String = parts
            .iter()
            .map(|(which, form, rest)| spelt(&secrets[which % secrets.len()], *form) + rest)
            .collect();
        let redactor = Redactor::new(&secrets);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        cuts.extend([0, text.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &text.as_bytes()[cut[0]..cut[1]]).collect();
        let out = streamed(&redactor, &pieces);
        prop_assert_eq!(out.len(), text.len());
        let replaced = redactor.redact(&text);
        for form in secrets.iter().flat_map(|secret| forms(secret)) {
            prop_assert!(!has(&out, &form), "{form:?} in {:?}", String::from_utf8_lossy(&out));
            prop_assert!(!has(replaced.as_bytes(), &form), "{form:?} in {replaced:?}");
        }
        // The result is the same for one piece and for single bytes.
        prop_assert_eq!(&out, &streamed(&redactor, &[text.as_bytes()]));
        let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
        prop_assert_eq!(&out, &streamed(&redactor, &bytes));
    }

    #[test]
    fn bytes_without_a_secret_are_not_changed(
        secrets in proptest::collection::vec("[a-c]{4,8}", 0..4),
        body in proptest::collection::vec(prop_oneof![Just(b'a'), Just(b'b'), any::<u8>()], 0..200),
        size in 1_usize..20,
    ) {
        prop_assume!(!secrets.iter().any(|secret| has(&body, secret)));
        let redactor = Redactor::new(&secrets);
        prop_assert!(!redactor.finds(&body));
        prop_assert!(matches!(redactor.redact_bytes(&body), Cow::Borrowed(same) if same == body));
        let pieces: Vec<&[u8]> = body.chunks(size).collect();
        prop_assert_eq!(streamed(&redactor, &pieces), body);
    }
}

#[test]
fn each_form_is_redacted() {
    let redactor = Redactor::new(["SECRET", "SECRET-LONGER", "a/\"b+c", "", "abc"]);
    for (text, clean) in [
        ("abc", "abc"),
        ("a SECRET b SECRET-LONGER", "a [redacted] b [redacted]"),
        ("SECRETSECRET", "[redacted][redacted]"),
        (r#"x a/"b+c"#, "x [redacted]"),
        (r#"{"t":"a/\"b+c"}"#, r#"{"t":"[redacted]"}"#),
        (r#"{"t":"a\/\"b+c"}"#, r#"{"t":"[redacted]"}"#),
        ("t=a%2F%22b%2Bc&u=SECRE", "t=[redacted]&u=SECRE"),
    ] {
        assert_eq!(redactor.redact(text), clean);
        assert_eq!(redactor.redact_bytes(text.as_bytes()), clean.as_bytes());
        assert_eq!(redactor.finds(text.as_bytes()), text != clean);
    }
}

#[test]
fn overlapping_secrets_are_redacted_completely() {
    let redactor = Redactor::new(["abcabc", "cabcd"]);
    assert_eq!(redactor.redact("-abcabcabcabcd-abcab"), "-[redacted]-abcab");
}

#[test]
fn json_is_redacted_with_any_escapes() {
    let body = br#"{"SEC\u0052ET":["\u0053ECRET",{"a":"x SECRET"}],"n":1}"#;
    let mut value = serde_json::from_slice(body).unwrap();
    assert!(Redactor::new(["SECRET"]).redact_json(&mut value));
    let clean = json!({ "[redacted]": ["[redacted]", { "a": "x [redacted]" }], "n": 1 });
    assert_eq!(value, clean);
    assert!(!Redactor::new(["SECRET"]).redact_json(&mut value));
    assert_eq!(value, clean);
}

#[test]
fn the_beginning_of_a_secret_at_a_cut_is_redacted() {
    let redactor = Redactor::new(["a-secret-of-some-length"]);
    assert_eq!(redactor.redact_cut("x a-secret-of"), "x [redacted]");
    assert_eq!(redactor.redact_cut("x a-secret"), "x [redacted]");
    assert_eq!(redactor.redact_cut("x a-secre"), "x a-secre");
}

#[test]
fn only_the_possible_beginning_of_a_secret_waits() {
    let mut stream = Redactor::new(["a-token", "token-b"]).stream();
    let event = Bytes::from_static(b"data: {}\n\n");
    // The piece itself is returned, not a copy.
    assert_eq!(stream.push(event.clone()).as_ptr(), event.as_ptr());
    assert_eq!(stream.push("say a-to".into()), "say ");
    assert_eq!(stream.held(), 4);
    assert_eq!(stream.push("ask".into()), "a-toask");
    // The same bytes may begin another one, but they are masked already.
    assert_eq!(stream.push("a-token".into()), "*******");
    assert_eq!(stream.push("-b-a".into()), "**-");
    assert_eq!(stream.finish(), "a");
    assert_eq!(stream.push("tok".into()), "");
    assert_eq!(stream.finish(), "tok");
}

#[test]
fn secrets_may_be_added_while_a_body_arrives() {
    let mut stream = Redactor::new(["first-token"]).stream();
    assert_eq!(stream.push("second-token first-".into()), "second-token ");
    stream.replace(&Redactor::new(["first-token", "second-token"]));
    assert_eq!(stream.push("token second-".into()), "*********** ");
    assert_eq!(stream.push("token".into()), "************");
}

#[test]
fn debug_output_has_no_secret() {
    let redactor = Redactor::new(["planted"]);
    let printed = format!("{redactor:?} {:?}", redactor.stream());
    assert!(!printed.contains("planted"));
}
