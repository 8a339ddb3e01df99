use proptest::prelude::*;

use super::*;

const ODD: &str = "/a b/it's \"q\" $HOME `id` %PATH% !x! ^&|<>() [*?] ~ # é";

#[test]
fn a_hint_can_be_pasted_into_a_posix_shell() {
    let quote = |text| Shell::Posix.quote(text);
    assert_eq!(quote("notes"), "notes");
    assert_eq!(quote("https://x.example/mcp"), "https://x.example/mcp");
    assert_eq!(quote("https://x.example/?a&b"), "'https://x.example/?a&b'");
    assert_eq!(quote("it's; rm -rf /"), r"'it'\''s; rm -rf /'");
}

#[test]
fn words_for_cmd_follow_its_rules() {
    for (text, quoted) in [
        ("notes", "notes"),
        (r"C:\x\mcp-oauth.exe", r"C:\x\mcp-oauth.exe"),
        (r"C:\Program Files\x.exe", r#""C:\Program Files\x.exe""#),
        // The last backslash would escape the quote.
        (r"C:\a b\", r#""C:\a b\\""#),
        ("https://x.example/?a&b", r#""https://x.example/?a&b""#),
        ("%PATH%", r#"^"^%PATH^%^""#),
        (r#"a\"b"#, r#"^"a\\\^"b^""#),
        ("", r#""""#),
        ("münze", r#""münze""#),
    ] {
        assert_eq!(Shell::Cmd.quote(text), quoted, "{text}");
    }
    let variables = [("A", "x & y".to_owned()), ("B", "50%".to_owned())];
    let line = Shell::Cmd.line(&variables, &[r"C:\x.exe".to_owned()]);
    let expected = r#"set "A=x & y"&& set ^"B^=50^%^"&& C:\x.exe"#;
    assert_eq!(line.as_deref(), Some(expected));
}

#[test]
fn words_for_powershell_follow_its_rules() {
    for (text, quoted) in [
        ("notes", "notes"),
        ("https://x.example/mcp", "https://x.example/mcp"),
        ("it's $x `y", "'it''s $x `y'"),
        ("it\u{2019}s", "'it\u{2019}\u{2019}s'"),
        ("@x", "'@x'"),
        ("", "''"),
    ] {
        assert_eq!(Shell::Power.quote(text), quoted, "{text}");
    }
    let line = Shell::Power.line(&[("A", "it's".to_owned())], &["x".to_owned()]);
    assert_eq!(line.as_deref(), Some("$env:A = 'it''s'; x"));
    let line = Shell::Power.line(&[], &["C:\\a b\\x.exe", "y"].map(str::to_owned));
    assert_eq!(line.as_deref(), Some("& 'C:\\a b\\x.exe' y"));
}

#[test]
fn a_line_break_in_a_line_is_refused() {
    for shell in [Shell::Posix, Shell::Cmd, Shell::Power] {
        assert_eq!(shell.line(&[], &["a\nb".to_owned()]), None);
        assert_eq!(shell.line(&[("A", "\0".to_owned())], &[]), None);
    }
}

#[test]
fn a_line_that_runs_a_program_is_recognized() {
    for shell in [Shell::Posix, Shell::Cmd, Shell::Power] {
        let own = [
            "/a b/$x/mcp-oauth",
            "mcp-oauth",
            r"C:\it's %x%\mcp-oauth.EXE",
        ];
        for program in own {
            let words = [program, "headers", "notes"].map(str::to_owned);
            let line = shell.line(&[("A", ODD.to_owned())], &words).unwrap();
            assert!(runs(&line, "mcp-oauth", "headers"), "{line}");
            assert!(!runs(&line, "mcp-oauth", "notes"), "{line}");
        }
    }
    for other in [
        "mcp-oauth-2 headers",
        "/x/mcp-oauth/y headers",
        "headers",
        "",
    ] {
        assert!(!runs(other, "mcp-oauth", "headers"), "{other}");
    }
}

/// Returns what a POSIX shell makes of a line: its words, or the value of a variable.
#[cfg(unix)]
fn in_sh(line: &str) -> Vec<String> {
    let output = std::process::Command::new("sh")
        .args(["-c", line])
        .output()
        .unwrap();
    assert!(output.status.success(), "{line}");
    let text = String::from_utf8(output.stdout).unwrap();
    let mut words: Vec<String> = text.split('\0').map(str::to_owned).collect();
    words.pop();
    words
}

#[cfg(unix)]
#[test]
fn sh_gives_the_program_the_words_and_variables() {
    let words = ["printf", r"%s\0", ODD, "", "-n", "a\\", "~", "x=y"].map(str::to_owned);
    let line = Shell::Posix.line(&[], &words).unwrap();
    assert_eq!(in_sh(&line), words[2..]);
    let show = ["sh", "-c", r#"printf '%s\0' "$A" "$B""#].map(str::to_owned);
    let variables = [("A", ODD.to_owned()), ("B", String::new())];
    let line = Shell::Posix.line(&variables, &show).unwrap();
    assert_eq!(in_sh(&line), [ODD, ""]);
}

/// Reads a line as `cmd` does, as far as words are concerned: carets and quotes. A `%` is left only where a
/// caret is before the next one, or where there is no second one.
fn read_by_cmd(line: &str) -> String {
    let mut parts = line.split('%');
    let mut parts: Vec<&str> = parts.by_ref().collect();
    parts.pop();
    for name in parts.iter().skip(1) {
        assert!(name.ends_with('^'), "a variable in {line}");
    }
    let (mut read, mut is_quoted) = (String::new(), false);
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '^' if !is_quoted => read.extend(chars.next()),
            '"' => {
                is_quoted = !is_quoted;
                read.push(c);
            }
            _ => {
                let is_special = "&|<>()".contains(c);
                assert!(is_quoted || !is_special, "{c} outside of quotes in {line}");
                read.push(c);
            }
        }
    }
    assert!(!is_quoted, "an open quote in {line}");
    read
}

/// Splits a command line as `CommandLineToArgvW` does.
fn split_by_windows(line: &str) -> Vec<String> {
    let (mut words, mut argument, mut is_quoted) = (Vec::new(), None::<String>, false);
    let mut backslashes = 0;
    for c in line.chars() {
        match c {
            '\\' => backslashes += 1,
            '"' => {
                let text = argument.get_or_insert_default();
                text.push_str(&"\\".repeat(backslashes / 2));
                if backslashes % 2 == 1 {
                    text.push('"');
                } else {
                    is_quoted = !is_quoted;
                }
                backslashes = 0;
            }
            _ => {
                if backslashes > 0 {
                    let text = argument.get_or_insert_default();
                    text.push_str(&"\\".repeat(backslashes));
                    backslashes = 0;
                }
                if (c == ' ' || c == '\t') && !is_quoted {
                    words.extend(argument.take());
                } else {
                    argument.get_or_insert_default().push(c);
                }
            }
        }
    }
    if backslashes > 0 {
        argument
            .get_or_insert_default()
            .push_str(&"\\".repeat(backslashes));
    }
    words.extend(argument);
    words
}

/// Reads a line of plain and single-quoted words as PowerShell does.
fn split_by_powershell(line: &str) -> Vec<String> {
    let is_quote = |c: char| "'\u{2018}\u{2019}\u{201a}\u{201b}".contains(c);
    let (mut words, mut argument, mut is_quoted) = (Vec::new(), None::<String>, false);
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        if is_quote(c) {
            if is_quoted && chars.peek().is_some_and(|c| is_quote(*c)) {
                argument.get_or_insert_default().push(c);
                chars.next();
            } else {
                is_quoted = !is_quoted;
                argument.get_or_insert_default();
            }
        } else if c == ' ' && !is_quoted {
            words.extend(argument.take());
        } else {
            assert!(
                is_quoted || !"$`\"@(){};,|&<>#".contains(c),
                "{c} in {line}"
            );
            argument.get_or_insert_default().push(c);
        }
    }
    words.extend(argument);
    words
}

fn text() -> impl Strategy<Value = String> {
    let special = r#"[ a-c'"$%!^&|<>()\\`;,=~#*?\[\]{}@é\x{2019}-]{0,12}"#;
    prop_oneof![special, "[^\n\r\0]{0,12}"]
}

proptest! {
    #[test]
    fn every_text_survives_cmd(words in proptest::collection::vec(text(), 1..4)) {
        let line = Shell::Cmd.line(&[], &words).unwrap();
        prop_assert_eq!(split_by_windows(&read_by_cmd(&line)), words);
    }

    #[test]
    fn every_text_survives_powershell(words in proptest::collection::vec(text(), 1..4)) {
        let line = Shell::Power.line(&[], &words).unwrap();
        let line = line.strip_prefix("& ").unwrap_or(&line);
        prop_assert_eq!(split_by_powershell(line), words);
    }
}

#[cfg(unix)]
proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_text_survives_sh(words in proptest::collection::vec(text(), 1..4)) {
        let all = ["printf", r"%s\0"].map(str::to_owned).into_iter().chain(words.clone());
        let line = Shell::Posix.line(&[], &all.collect::<Vec<_>>()).unwrap();
        prop_assert_eq!(in_sh(&line), words);
    }
}
