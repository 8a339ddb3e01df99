//! A picture of a terminal, as SVG. It has its own background, and light colours where the reader prefers
//! them, so that it can be read on any page.

use std::fmt::Write as _;

use super::{
    Run,
    screen::{Span, Style},
};

const COLUMN: usize = 8;
const ROW: usize = 19;
const MARGIN: usize = 20;
const LEAST_COLUMNS: usize = 80;
/// The classes: `b` bold, `d` dim, `c1` to `c3` the colours of ECMA-48 that the command uses.
const STYLE: &str = "\
text{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;\
white-space:pre;fill:#d4d8e0}\
rect{fill:#1b1f27}.b{font-weight:bold;fill:#ffffff}.d{fill:#959dab}\
.c1{fill:#ff7b7b}.c2{fill:#7ddb8a}.c3{fill:#eac55f}\
@media (prefers-color-scheme:light){text{fill:#24292f}rect{fill:#f3f5f8}.b{fill:#000000}\
.d{fill:#5f6875}.c1{fill:#b3261e}.c2{fill:#15692a}.c3{fill:#7a5300}}";

/// Draws commands with their output.
pub(super) fn draw(runs: &[Run]) -> String {
    let lines = lines(runs);
    let columns = lines.iter().filter_map(|line| line.last());
    let columns = columns.map(|span| span.column + span.text.chars().count());
    let columns = columns.max().unwrap_or_default().max(LEAST_COLUMNS);
    let width = position(columns) + MARGIN;
    let height = lines.len() * ROW + 2 * MARGIN;
    let titles = runs.iter().map(|run| run.command.as_str());
    let title = escaped(&titles.collect::<Vec<_>>().join("; "));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\" role=\"img\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\"/>\n"
    );
    for (number, line) in lines.iter().enumerate() {
        let y = MARGIN + (number + 1) * ROW - 5;
        for span in line.iter().filter(|span| !span.text.trim().is_empty()) {
            let _infallible = writeln!(svg, "{}", text(span, y));
        }
    }
    svg.push_str("</svg>\n");
    svg
}

/// Returns all lines: each command after a prompt, its output, and a blank line between two commands.
fn lines(runs: &[Run]) -> Vec<Vec<Span>> {
    let mut lines = Vec::new();
    for run in runs {
        if !lines.is_empty() {
            lines.push(Vec::new());
        }
        let bold = Style {
            is_bold: true,
            ..Style::default()
        };
        let span = |column, text: &str, style| Span {
            column,
            text: text.to_owned(),
            style,
        };
        lines.push(vec![
            span(0, "$", Style::default()),
            span(2, &run.command, bold),
        ]);
        lines.extend(run.screen.lines());
    }
    lines
}

/// Draws a part of a line. Its length is fixed, so that columns are aligned in every font.
fn text(span: &Span, y: usize) -> String {
    let shown = span.text.trim_end();
    let blanks = shown.chars().take_while(|c| *c == ' ').count();
    let shown = shown.trim_start();
    let x = position(span.column + blanks);
    let length = shown.chars().count() * COLUMN;
    let mut classes = Vec::new();
    classes.extend(span.style.is_bold.then(|| "b".to_owned()));
    classes.extend(span.style.is_dim.then(|| "d".to_owned()));
    classes.extend(span.style.color.map(|color| format!("c{color}")));
    let class = match classes.join(" ") {
        none if none.is_empty() => none,
        some => format!(" class=\"{some}\""),
    };
    format!(
        "<text x=\"{x}\" y=\"{y}\" textLength=\"{length}\"{class}>{}</text>",
        escaped(shown)
    )
}

fn position(column: usize) -> usize {
    MARGIN + column * COLUMN
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;");
    text.replace('<', "&lt;").replace('>', "&gt;")
}
