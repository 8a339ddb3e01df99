//! Every word to the person goes through here. The rules:
//!
//! - stdout is for results: what was asked for, and nothing else. With `--json` it is exactly one
//!   document, whether the command worked or not.
//! - stderr is for everything else: progress, what a person must do now, warnings, errors, logs.
//! - An error is a message, a blank line, and `hint: …` with the next step.
//! - Colours, links and spinners are for terminals; what is piped or captured is plain text.
//!   `NO_COLOR` and `CLICOLOR` take away colours and nothing else.
//! - What a stranger wrote is [`UntrustedText`](foreign::UntrustedText) before it
//!   comes here. Secrets do not come here, except the one result of `token`.

use std::{
    borrow::Cow,
    fmt::{Display, Write as _},
    io::{ErrorKind, IsTerminal, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressStyle};
use mcp_client_oauth::proto::untrusted_text;
use qrcode::{EcLevel, QrCode, render::unicode::Dense1x2};
use serde::Serialize;
use url::Url;

use crate::{args::Global, error::Told};

/// Holds what is good.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// Holds what needs a look.
pub(crate) const WARN: Style = AnsiColor::Yellow.on_default();
/// Holds what is wrong.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
/// Holds what stands out.
pub(crate) const HEAD: Style = Style::new().bold();
/// Holds what may be overlooked.
pub(crate) const SOFT: Style = Style::new().dimmed();

/// Says how often the spinner turns.
const TICK: Duration = Duration::from_millis(100);

/// The two streams, and how they are used. Cloning shares them.
#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact about the two streams"
)]
pub(crate) struct Ui {
    json: bool,
    quiet: bool,
    /// Logs and a spinner would write over each other.
    logs: bool,
    /// Says whether a person would read a result at once.
    result_is_read: bool,
    /// Says whether stderr can show links and spinners.
    stderr_is_rich: bool,
    broken: Arc<AtomicBool>,
}

impl Ui {
    pub(crate) fn new(flags: &Global) -> Self {
        Self {
            json: flags.json,
            quiet: flags.quiet,
            logs: flags.verbose > 0,
            result_is_read: std::io::stdout().is_terminal(),
            stderr_is_rich: is_rich(&std::io::stderr()),
            broken: Arc::default(),
        }
    }

    /// Returns whether the result is one JSON document.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Returns whether a result would be read by a person at once.
    pub(crate) fn is_terminal(&self) -> bool {
        self.result_is_read
    }

    /// Returns a result: `text` for a person, `document` for a program.
    pub(crate) fn result(&self, document: &impl Serialize, text: impl FnOnce() -> String) {
        if self.json {
            self.document(document);
        } else {
            self.line(&text());
        }
    }

    /// A line of the result.
    pub(crate) fn line(&self, text: &str) {
        let mut stdout = anstream::stdout().lock();
        self.note_failure(writeln!(stdout, "{text}"));
    }

    /// Bytes of the result, as they are.
    pub(crate) fn bytes(&self, bytes: &[u8]) {
        let mut stdout = std::io::stdout().lock();
        self.note_failure(stdout.write_all(bytes).and_then(|()| stdout.flush()));
    }

    /// The one document of the result.
    fn document(&self, document: &impl Serialize) {
        let mut stdout = std::io::stdout().lock();
        let text = serde_json::to_string_pretty(document).map_err(Into::into);
        self.note_failure(text.and_then(|text| writeln!(stdout, "{}", escaped(&text))));
    }

    /// A reader that has seen enough (`| head`) is no failure; a full disk is.
    fn note_failure(&self, written: std::io::Result<()>) {
        if let Err(error) = written
            && error.kind() != ErrorKind::BrokenPipe
        {
            self.broken.store(true, Ordering::Relaxed);
            complain(&format!(
                "{BAD}error:{BAD:#} cannot write the result: {error}"
            ));
        }
    }

    /// Returns whether all that was to be written has been.
    pub(crate) fn is_intact(&self) -> bool {
        !self.broken.load(Ordering::Relaxed)
    }

    /// Returns what happens; not with `--quiet`.
    pub(crate) fn progress(&self, text: impl Display) {
        if !self.quiet {
            complain(&text.to_string());
        }
    }

    /// Returns what the person must know or do, in any case.
    #[expect(clippy::unused_self, reason = "every word goes through this value")]
    pub(crate) fn say(&self, text: impl Display) {
        complain(&text.to_string());
    }

    /// Returns what went wrong and does not stop us; not with `--quiet`.
    pub(crate) fn warn(&self, text: impl Display) {
        self.progress(format_args!("{WARN}warning:{WARN:#} {text}"));
    }

    /// Returns how it ended, if not well.
    pub(crate) fn failure(&self, told: &Told) {
        if self.json {
            let (code, message, hint) = (told.code, &told.message, &told.hint);
            self.document(&serde_json::json!({
                "error": { "code": code, "message": message, "hint": hint }
            }));
            return;
        }
        complain(&format!("{BAD}error:{BAD:#} {}", told.message));
        if let Some(hint) = &told.hint {
            complain(&format!("\n{HEAD}hint:{HEAD:#} {hint}"));
        }
    }

    /// Returns the text of a URL, which can be clicked where that works.
    pub(crate) fn link(&self, url: &Url) -> String {
        if self.stderr_is_rich {
            format!("\x1b]8;;{url}\x1b\\{url}\x1b]8;;\x1b\\")
        } else {
            url.to_string()
        }
    }

    /// Returns a URL as a picture that a telephone can read; none where it could not be seen whole.
    pub(crate) fn qr_code(&self, url: &Url) -> Option<String> {
        if !self.stderr_is_rich {
            return None;
        }
        let (_, columns) = console::Term::stderr().size_checked()?;
        picture(url.as_str(), columns.into())
    }

    /// Turns while something is waited for, until it is dropped; on a terminal only.
    pub(crate) fn spinner(&self, what: impl Into<String>) -> Spinner {
        if self.quiet || self.logs || !self.stderr_is_rich {
            return Spinner(None);
        }
        let bar = ProgressBar::new_spinner().with_message(what.into());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(TICK);
        Spinner(Some(bar))
    }
}

/// Returns a QR code of half blocks, black on white whatever the colours of the terminal are.
fn picture(text: &str, columns: usize) -> Option<String> {
    let paper = AnsiColor::Black.on(AnsiColor::BrightWhite);
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
    let drawn = code
        .render::<Dense1x2>()
        .dark_color(Dense1x2::Dark)
        .light_color(Dense1x2::Light)
        .build();
    let fits = drawn.lines().all(|line| line.chars().count() <= columns);
    let lines = drawn
        .lines()
        .map(|line| format!("{paper}{line}{paper:#}\n"));
    fits.then(|| lines.collect())
}

/// A spinner, gone when it is dropped.
#[derive(Debug)]
#[must_use = "it turns until it is dropped"]
pub(crate) struct Spinner(Option<ProgressBar>);

impl Spinner {
    /// Writes above the spinner.
    pub(crate) fn suspend(&self, write: impl FnOnce()) {
        match &self.0 {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

/// Returns the same JSON, whose strings cannot move a cursor, hide text or turn its direction (H156):
/// `serde_json` escapes no more than what is below U+0020.
fn escaped(json: &str) -> Cow<'_, str> {
    if json.chars().all(is_plain) {
        return json.into();
    }
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if is_plain(c) {
            text.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a string does not fail.
                let _infallible = write!(text, "\\u{unit:04x}");
            }
        }
    }
    text.into()
}

/// Returns the line breaks between the members are ours.
fn is_plain(c: char) -> bool {
    matches!(c, '\n' | ' '..='~') || untrusted_text::is_safe(c)
}

/// Returns whether it is a terminal that knows escape sequences.
fn is_rich(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && anstyle_query::term_supports_ansi_color()
}

/// A stderr that is closed leaves nobody to tell.
fn complain(text: &str) {
    let stderr = std::io::stderr();
    // Where no colour is wanted, `anstream` takes links away as well.
    let _ = if is_rich(&stderr) && AutoStream::choice(&stderr) == ColorChoice::Never {
        writeln!(stderr.lock(), "{}", without_colors(text))
    } else {
        writeln!(anstream::stderr().lock(), "{text}")
    };
}

/// Takes out the escape sequences that set colours and styles (ECMA-48 §8.3.117).
fn without_colors(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let parameters = part.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';');
        match parameters.strip_prefix('m') {
            Some(rest) => plain.push_str(rest),
            None => plain.extend(["\x1b[", part]),
        }
    }
    plain
}

/// Lays out columns two blanks apart; the first row is the heading. On a terminal the widest
/// columns are cut so that a row is one line; what is piped is whole.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let stdout = console::Term::stdout();
    let columns = stdout.size_checked().filter(|_| stdout.is_term());
    table_within(rows, columns.map(|(_, columns)| columns.into()))
}

/// The least that is left of a column that is cut.
const NARROWEST: usize = 8;

fn table_within(rows: &[Vec<String>], limit: Option<usize>) -> String {
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| console::measure_text_width(cell))
            .max()
    };
    let mut widths: Vec<usize> = (0..).map_while(width).collect();
    let gaps = 2 * widths.len().saturating_sub(1);
    let limit = limit.unwrap_or(usize::MAX).saturating_sub(gaps);
    while widths.iter().sum::<usize>() > limit
        && let Some(widest) = widths.iter_mut().max().filter(|width| **width > NARROWEST)
    {
        *widest -= 1;
    }
    let lines = rows.iter().enumerate().map(|(number, row)| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| {
            console::pad_str(cell, *width, console::Alignment::Left, Some("…"))
        });
        let line = cells.collect::<Vec<_>>().join("  ");
        let line = line.trim_end();
        if number == 0 {
            format!("{HEAD}{line}{HEAD:#}")
        } else {
            line.to_owned()
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// `name  value` lines, the names of equal width.
pub(crate) fn fields(fields: &[(&str, String)]) -> String {
    let width = fields
        .iter()
        .map(|(name, _)| name.len())
        .max()
        .unwrap_or_default();
    let lines = fields
        .iter()
        .map(|(name, value)| format!("{SOFT}{name:width$}{SOFT:#}  {value}"));
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_shown_whole_or_not_at_all() {
        let url = "https://as.example/device?user_code=WDJB-MJHT";
        let shown = picture(url, 80).unwrap();
        assert!(shown.lines().count() > 10 && shown.contains('▀'));
        assert!(picture(url, 20).is_none());
    }

    /// Returns what a picture looks like on a terminal, two pixels to a character: whether each is dark.
    fn pixels(picture: &str) -> Vec<Vec<bool>> {
        let plain = anstream::adapter::strip_str(picture).to_string();
        let mut rows = Vec::new();
        for line in plain.lines() {
            let half = |shown: [char; 2]| line.chars().map(|c| shown.contains(&c)).collect();
            rows.extend([half(['▀', '█']), half(['▄', '█'])]);
        }
        rows
    }

    /// Returns what a camera reads of it, by a decoder that has nothing to do with who drew it.
    fn read(picture: &str) -> Option<String> {
        const CAMERA: usize = 4;
        let rows = pixels(picture);
        let (width, height) = (rows[0].len() * CAMERA, rows.len() * CAMERA);
        let mut image = rqrr::PreparedImage::prepare_from_greyscale(width, height, |x, y| {
            if rows[y / CAMERA][x / CAMERA] { 0 } else { 255 }
        });
        let found = image.detect_grids().pop()?;
        Some(found.decode().ok()?.1)
    }

    #[test]
    fn a_telephone_reads_the_url_in_the_picture() {
        for url in [
            "https://as.example/device?user_code=WDJB-MJHT",
            "https://login.a-company-with-a-long-name.example/tenants/0af1/oauth2/device/verify\
             ?user_code=WDJB-MJHT-ABCD&locale=de-CH",
        ] {
            let shown = picture(url, 80).unwrap();
            // Black on white, whatever the terminal looks like, with a margin (ISO/IEC 18004 §9.1).
            assert!(
                shown
                    .lines()
                    .all(|line| line.starts_with("\u{1b}[30m\u{1b}[107m"))
            );
            let rows = pixels(&shown);
            let margin = rows.iter().take(4).flatten();
            assert!(
                margin
                    .chain(rows.iter().flat_map(|row| &row[..4]))
                    .all(|dark| !dark)
            );
            assert_eq!(read(&shown).as_deref(), Some(url));
        }
    }

    fn row(cells: &[&str]) -> Vec<String> {
        cells.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_document_cannot_move_the_cursor_and_says_the_same() {
        let hostile = serde_json::json!({
            "a\u{1b}[2J": ["\u{9b}2J\u{7f}", "\u{202e}x\u{feff}", "\u{e0041}", "münze €"],
        });
        let text = serde_json::to_string_pretty(&hostile).unwrap();
        let text = escaped(&text);
        let odd = |c: char| c != '\n' && !untrusted_text::is_safe(c);
        assert!(!text.contains(odd), "{text}");
        assert!(text.contains("\\u009b2J\\u007f") && text.contains("\\udb40\\udc41"));
        assert!(text.contains("münze €"));
        let again: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(again, hostile);
    }

    #[test]
    fn the_columns_of_a_table_stand_below_each_other() {
        let table = table(&[
            row(&["NAME", "SERVER"]),
            row(&["é", "x"]),
            row(&["longer", "y"]),
        ]);
        let plain = anstream::adapter::strip_str(&table).to_string();
        assert_eq!(plain, "NAME    SERVER\né       x\nlonger  y");
    }

    #[test]
    fn the_widest_column_is_cut_where_a_terminal_is_narrow() {
        let rows = [
            row(&["TOOL", "DESCRIPTION"]),
            row(&["add", "Adds two numbers and says how"]),
        ];
        let shown = |limit| {
            let table = table_within(&rows, limit);
            anstream::adapter::strip_str(&table).to_string()
        };
        assert_eq!(shown(Some(20)), "TOOL  DESCRIPTION\nadd   Adds two numb…");
        assert_eq!(shown(Some(5)), "TOOL  DESCRIP…\nadd   Adds tw…");
        assert!(shown(None).ends_with("says how"));
    }

    #[test]
    fn without_colors_a_link_is_a_link() {
        let link = "\x1b]8;;https://as.example\x1b\\here\x1b]8;;\x1b\\";
        let colored = format!("{BAD}error:{BAD:#} {HEAD}{link}{HEAD:#}");
        assert_eq!(without_colors(&colored), format!("error: {link}"));
    }
}
