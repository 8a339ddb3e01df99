//! Words and command lines for `sh`, `cmd` and PowerShell.

/// The shells of hints and of the applications that run a command line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Shell {
    /// A POSIX shell: `sh -c LINE`.
    Posix,
    /// The command prompt of Windows: `cmd /d /s /c "LINE"`, or `cmd /q /d /c "LINE"`.
    Cmd,
    /// PowerShell.
    Power,
}

impl Shell {
    /// The shell that runs a command line of Claude Code (`child_process` of Node with `shell: true`) and
    /// of Codex (`%COMSPEC%`, else `cmd.exe`): the same on each system.
    pub(crate) const OF_APPLICATIONS: Self = if cfg!(windows) {
        Self::Cmd
    } else {
        Self::Posix
    };

    /// The shell that hints are pasted into.
    const OF_HINTS: Self = if cfg!(windows) {
        Self::Power
    } else {
        Self::Posix
    };

    /// Returns one word: the program that is run gets exactly this text as an argument.
    pub(crate) fn quote(self, text: &str) -> String {
        if self.is_plain(text) {
            return text.to_owned();
        }
        match self {
            Self::Posix => format!("'{}'", text.replace('\'', r"'\''")),
            Self::Cmd => quoted_for_cmd(text),
            Self::Power => quoted_for_power_shell(text),
        }
    }

    /// Returns a line that runs a program with these variables and arguments; none if a text has a line
    /// break or a NUL, and the shell has no way to write it. PowerShell runs no line of an application.
    pub(crate) fn line(self, variables: &[(&str, String)], words: &[String]) -> Option<String> {
        let all = words.iter().chain(variables.iter().map(|(_, value)| value));
        let is_safe = |text: &String| !text.contains(['\n', '\r', '\0']);
        if !all.clone().all(is_safe) {
            return None;
        }
        let words: Vec<String> = words.iter().map(|text| self.quote(text)).collect();
        let words = words.join(" ");
        let set = variables.iter().map(|(name, value)| match self {
            Self::Posix => format!("{name}={} ", self.quote(value)),
            // `set "NAME=VALUE"` takes the text up to the last quote, so a trailing blank is no part of it.
            Self::Cmd => format!("set {}&& ", cmd_assignment(name, value)),
            Self::Power => format!("$env:{name} = {}; ", self.quote(value)),
        });
        // PowerShell takes a text in quotes for a value, unless it is called.
        let is_quoted = self == Self::Power && words.starts_with('\'');
        let call = if is_quoted { "& " } else { "" };
        Some(format!("{}{call}{words}", set.collect::<String>()))
    }

    /// Returns whether a text means itself everywhere in a line of this shell.
    fn is_plain(self, text: &str) -> bool {
        let marks = match self {
            Self::Posix => "-_./:@%+,=",
            // `,`, `;` and `=` separate words of some commands, and `%` begins a variable.
            Self::Cmd => "-_./:@+\\",
            // `@` and `%` are operators at the beginning of a word, `,` makes a list.
            Self::Power => "-_./:+\\",
        };
        let is_plain = |c: char| c.is_ascii_alphanumeric() || marks.contains(c);
        !text.is_empty() && text.chars().all(is_plain)
    }
}

/// Returns one word for the shell that hints are pasted into.
pub(crate) fn quoted(text: &str) -> String {
    Shell::OF_HINTS.quote(text)
}

/// Returns whether a command line runs this program with this subcommand, however its words are quoted.
pub(crate) fn runs(line: &str, program: &str, subcommand: &str) -> bool {
    let plain: String = line
        .chars()
        .filter(|c| !['\'', '"', '^'].contains(c))
        .collect();
    let words: Vec<&str> = plain.split_whitespace().collect();
    words
        .windows(2)
        .any(|pair| is_program(pair[0], program) && pair[1] == subcommand)
}

/// Returns whether a path ends in the file name of this program, on any system.
pub(crate) fn is_program(path: &str, program: &str) -> bool {
    let file = path.rsplit(['/', '\\']).next().unwrap_or_default();
    let stem = file.len().checked_sub(".exe".len()).map(|at| {
        if file.is_char_boundary(at) && file[at..].eq_ignore_ascii_case(".exe") {
            &file[..at]
        } else {
            file
        }
    });
    stem.unwrap_or(file) == program
}

/// Returns a word for `cmd`. The program splits its command line itself: there `"` is `\"`, and backslashes
/// before a quote are doubled. `cmd` reads that line first: between quotes only `%` is special, and a quote
/// inside would end them. Such a text is written with a caret before each special character, quotes too, so
/// that `cmd` sees no quotes at all.
fn quoted_for_cmd(text: &str) -> String {
    let argument = windows_argument(text);
    if text.contains(['"', '%']) {
        with_carets(&argument)
    } else {
        argument
    }
}

fn cmd_assignment(name: &str, value: &str) -> String {
    let assignment = format!("\"{name}={value}\"");
    if value.contains(['"', '%']) {
        with_carets(&assignment)
    } else {
        assignment
    }
}

/// Puts a caret before each character that `cmd` interprets. `%NAME%` is replaced before carets are removed:
/// the name would be that of a variable which ends in a caret, and there is none.
fn with_carets(text: &str) -> String {
    let mut line = String::with_capacity(text.len() * 2);
    for c in text.chars() {
        if "()[]{}%!^\"`<>&|;, \t*?='".contains(c) {
            line.push('^');
        }
        line.push(c);
    }
    line
}

/// Returns an argument in quotes, as `CommandLineToArgvW` splits a command line.
fn windows_argument(text: &str) -> String {
    let mut argument = String::from('"');
    let mut backslashes = 0;
    for c in text.chars() {
        match c {
            '\\' => backslashes += 1,
            '"' => {
                argument.push_str(&"\\".repeat(backslashes * 2 + 1));
                backslashes = 0;
            }
            _ => {
                argument.push_str(&"\\".repeat(backslashes));
                backslashes = 0;
            }
        }
        if c != '\\' {
            argument.push(c);
        }
    }
    argument.push_str(&"\\".repeat(backslashes * 2));
    argument.push('"');
    argument
}

/// Returns a word for PowerShell, which takes typographic quotes for `'` too.
fn quoted_for_power_shell(text: &str) -> String {
    let mut quoted = String::from('\'');
    for c in text.chars() {
        if ['\'', '\u{2018}', '\u{2019}', '\u{201a}', '\u{201b}'].contains(&c) {
            quoted.push(c);
        }
        quoted.push(c);
    }
    quoted.push('\'');
    quoted
}

#[cfg(test)]
mod tests;
