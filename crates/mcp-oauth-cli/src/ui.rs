//! All output to the user. The rules:
//!
//! - stdout is for the result of the command, and nothing else. With `--json` it is exactly one
//!   document, whether the command succeeded or not.
//! - stderr is for everything else: progress, what the user must do now, warnings, errors, logs.
//! - An error is a message, a blank line, and `hint: …` with the next step.
//! - Colours, links and spinners are for terminals; what is piped or captured is plain text.
//!   `NO_COLOR` and `CLICOLOR` remove colours and nothing else.
//! - Text of a third party is [`UntrustedText`] before it comes here.
//!   Secrets do not come here, except the result of `token`.

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
use mcp_client_oauth::error::UntrustedText;
use qrcode::{EcLevel, QrCode, render::unicode::Dense1x2};
use serde::Serialize;
use url::Url;

use crate::{args::Global, error::RenderedError};

/// The style of a success.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// The style of a warning.
pub(crate) const WARN: Style = AnsiColor::Yellow.on_default();
/// The style of an error.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
/// The style of names and headings.
pub(crate) const HEAD: Style = Style::new().bold();
/// The style of details.
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
    /// Says whether logs are on: a spinner would overwrite them.
    logs: bool,
    /// Says whether stdout is a terminal.
    stdout_is_terminal: bool,
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
            stdout_is_terminal: std::io::stdout().is_terminal(),
            stderr_is_rich: is_rich(&std::io::stderr()),
            broken: Arc::default(),
        }
    }

    /// Returns whether the result is one JSON document.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Returns whether the result is shown on a terminal.
    pub(crate) fn is_terminal(&self) -> bool {
        self.stdout_is_terminal
    }

    /// Writes the result: `text`, or `document` with `--json`.
    pub(crate) fn result(&self, document: &impl Serialize, text: impl FnOnce() -> String) {
        if self.json {
            self.document(document);
        } else {
            self.line(&text());
        }
    }

    /// Writes a line of the result.
    pub(crate) fn line(&self, text: &str) {
        let mut stdout = anstream::stdout().lock();
        self.note_failure(writeln!(stdout, "{text}"));
    }

    /// Writes bytes of the result, unchanged.
    pub(crate) fn bytes(&self, bytes: &[u8]) {
        let mut stdout = std::io::stdout().lock();
        self.note_failure(stdout.write_all(bytes).and_then(|()| stdout.flush()));
    }

    /// Writes the one document of the result.
    fn document(&self, document: &impl Serialize) {
        let mut stdout = std::io::stdout().lock();
        let text = serde_json::to_string_pretty(document).map_err(Into::into);
        self.note_failure(text.and_then(|text| writeln!(stdout, "{}", escaped(&text))));
    }

    /// Reports a failed write. A closed pipe (`| head`) is no failure; a full disk is.
    fn note_failure(&self, written: std::io::Result<()>) {
        if let Err(error) = written
            && error.kind() != ErrorKind::BrokenPipe
        {
            self.broken.store(true, Ordering::Relaxed);
            write_stderr(&format!(
                "{BAD}error:{BAD:#} cannot write the result: {error}"
            ));
        }
    }

    /// Returns whether the whole result was written.
    pub(crate) fn is_intact(&self) -> bool {
        !self.broken.load(Ordering::Relaxed)
    }

    /// Writes progress; not with `--quiet`.
    pub(crate) fn progress(&self, text: impl Display) {
        if !self.quiet {
            write_stderr(&text.to_string());
        }
    }

    /// Writes what the user must know or do, with `--quiet` too.
    #[expect(clippy::unused_self, reason = "all output goes through this value")]
    pub(crate) fn say(&self, text: impl Display) {
        write_stderr(&text.to_string());
    }

    /// Writes a warning; not with `--quiet`.
    pub(crate) fn warn(&self, text: impl Display) {
        self.progress(format_args!("{WARN}warning:{WARN:#} {text}"));
    }

    /// Writes an error and its hint.
    pub(crate) fn failure(&self, error: &RenderedError) {
        if self.json {
            let (code, message, hint) = (error.code, &error.message, &error.hint);
            self.document(&serde_json::json!({
                "error": { "code": code, "message": message, "hint": hint }
            }));
            return;
        }
        write_stderr(&format!("{BAD}error:{BAD:#} {}", error.message));
        if let Some(hint) = &error.hint {
            write_stderr(&format!("\n{HEAD}hint:{HEAD:#} {hint}"));
        }
    }

    /// Returns the text of a URL, as a link where the terminal supports it.
    pub(crate) fn link(&self, url: &Url) -> String {
        if self.stderr_is_rich {
            format!("\x1b]8;;{url}\x1b\\{url}\x1b]8;;\x1b\\")
        } else {
            url.to_string()
        }
    }

    /// Returns a URL as a QR code; none where the terminal is too narrow for it.
    pub(crate) fn qr_code(&self, url: &Url) -> Option<String> {
        if !self.stderr_is_rich {
            return None;
        }
        let (_, columns) = console::Term::stderr().size_checked()?;
        draw_qr_code(url.as_str(), columns.into())
    }

    /// Shows a spinner until it is dropped; on a terminal only.
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

/// Draws a QR code of half blocks, black on white whatever the colours of the terminal are.
fn draw_qr_code(text: &str, columns: usize) -> Option<String> {
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
#[must_use = "the spinner is shown until it is dropped"]
pub(crate) struct Spinner(Option<ProgressBar>);

impl Spinner {
    /// Hides the spinner while `write` writes.
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

/// Escapes what could move a cursor, hide text or turn its direction in the strings of a JSON document
/// (CWE-150): `serde_json` escapes only what is below U+0020.
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

/// Returns whether a character needs no escape. The line breaks are those between the members.
fn is_plain(c: char) -> bool {
    matches!(c, '\n' | ' '..='~') || UntrustedText::is_safe(c)
}

/// Returns whether a stream is a terminal with support for escape sequences.
fn is_rich(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && anstyle_query::term_supports_ansi_color()
}

/// Writes a line to stderr. A failure is ignored: there is no other stream to report it on.
fn write_stderr(text: &str) {
    let stderr = std::io::stderr();
    // Without colours `anstream` removes links as well.
    let _ = if is_rich(&stderr) && AutoStream::choice(&stderr) == ColorChoice::Never {
        writeln!(stderr.lock(), "{}", without_colors(text))
    } else {
        writeln!(anstream::stderr().lock(), "{text}")
    };
}

/// Removes the escape sequences that set colours and styles (ECMA-48 §8.3.117).
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

/// Lays out columns two blanks apart; the first row is the heading. On a terminal the widest columns are
/// cut so that a row is one line; piped output is not cut.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let stdout = console::Term::stdout();
    let columns = stdout.size_checked().filter(|_| stdout.is_term());
    table_within(rows, columns.map(|(_, columns)| columns.into()))
}

/// The width below which a column is not cut.
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

/// Formats `name  value` lines, with names of equal width.
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
    fn a_qr_code_that_does_not_fit_is_not_shown() {
        let url = "https://as.example/device?user_code=WDJB-MJHT";
        let shown = draw_qr_code(url, 80).unwrap();
        assert!(shown.lines().count() > 10 && shown.contains('▀'));
        assert!(draw_qr_code(url, 20).is_none());
    }

    /// Returns the pixels of a QR code, two for each character: true if dark.
    fn pixels(drawn: &str) -> Vec<Vec<bool>> {
        let plain = anstream::adapter::strip_str(drawn).to_string();
        let mut rows = Vec::new();
        for line in plain.lines() {
            let half = |shown: [char; 2]| line.chars().map(|c| shown.contains(&c)).collect();
            rows.extend([half(['▀', '█']), half(['▄', '█'])]);
        }
        rows
    }

    /// Decodes a QR code, with a decoder of another crate than the encoder.
    fn read(drawn: &str) -> Option<String> {
        const CAMERA: usize = 4;
        let rows = pixels(drawn);
        let (width, height) = (rows[0].len() * CAMERA, rows.len() * CAMERA);
        let mut image = rqrr::PreparedImage::prepare_from_greyscale(width, height, |x, y| {
            if rows[y / CAMERA][x / CAMERA] { 0 } else { 255 }
        });
        let found = image.detect_grids().pop()?;
        Some(found.decode().ok()?.1)
    }

    #[test]
    fn a_qr_code_decodes_to_its_url() {
        for url in [
            "https://as.example/device?user_code=WDJB-MJHT",
            "https://login.a-company-with-a-long-name.example/tenants/0af1/oauth2/device/verify\
             ?user_code=WDJB-MJHT-ABCD&locale=de-CH",
        ] {
            let shown = draw_qr_code(url, 80).unwrap();
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
    fn escaped_json_has_no_control_characters_and_parses_to_the_same_value() {
        let hostile = serde_json::json!({
            "a\u{1b}[2J": ["\u{9b}2J\u{7f}", "\u{202e}x\u{feff}", "\u{e0041}", "münze €"],
        });
        let text = serde_json::to_string_pretty(&hostile).unwrap();
        let text = escaped(&text);
        let odd = |c: char| c != '\n' && !UntrustedText::is_safe(c);
        assert!(!text.contains(odd), "{text}");
        assert!(text.contains("\\u009b2J\\u007f") && text.contains("\\udb40\\udc41"));
        assert!(text.contains("münze €"));
        let again: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(again, hostile);
    }

    #[test]
    fn the_columns_of_a_table_are_aligned() {
        let table = table(&[
            row(&["NAME", "SERVER"]),
            row(&["é", "x"]),
            row(&["longer", "y"]),
        ]);
        let plain = anstream::adapter::strip_str(&table).to_string();
        assert_eq!(plain, "NAME    SERVER\né       x\nlonger  y");
    }

    #[test]
    fn the_widest_column_is_cut_on_a_narrow_terminal() {
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
    fn removing_colors_keeps_links() {
        let link = "\x1b]8;;https://as.example\x1b\\here\x1b]8;;\x1b\\";
        let colored = format!("{BAD}error:{BAD:#} {HEAD}{link}{HEAD:#}");
        assert_eq!(without_colors(&colored), format!("error: {link}"));
    }
}
