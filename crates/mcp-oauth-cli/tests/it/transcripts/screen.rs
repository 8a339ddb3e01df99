//! What a terminal shows of the bytes that it receives: text, styles, and lines that are erased again.

/// A style of ECMA-48 that the command uses.
#[derive(Clone, Copy, Default, Eq, PartialEq)]
pub(super) struct Style {
    pub(super) is_bold: bool,
    pub(super) is_dim: bool,
    /// One of the eight colours.
    pub(super) color: Option<u8>,
}

#[derive(Clone, Copy)]
struct Cell {
    shown: char,
    style: Style,
}

/// A part of a line in one style.
pub(super) struct Span {
    pub(super) column: usize,
    pub(super) text: String,
    pub(super) style: Style,
}

/// The lines of a terminal that has room for all of them.
#[derive(Default)]
pub(crate) struct Screen {
    lines: Vec<Vec<Cell>>,
    row: usize,
    column: usize,
    style: Style,
}

impl Screen {
    pub(super) fn parse(bytes: &str) -> Self {
        let mut screen = Self::default();
        let mut rest = bytes;
        while let Some(next) = rest.chars().next() {
            rest = &rest[next.len_utf8()..];
            match next {
                '\u{1b}' => rest = screen.control(rest),
                '\r' => screen.column = 0,
                '\n' => {
                    screen.row += 1;
                    screen.column = 0;
                }
                shown => screen.write(shown),
            }
        }
        while screen.lines.last().is_some_and(|line| is_blank(line)) {
            screen.lines.pop();
        }
        screen
    }

    fn write(&mut self, shown: char) {
        let line = self.line();
        let (column, style) = (self.column, self.style);
        let blank = Cell {
            shown: ' ',
            style: Style::default(),
        };
        let cells = &mut self.lines[line];
        if cells.len() <= column {
            cells.resize(column + 1, blank);
        }
        cells[column] = Cell { shown, style };
        self.column += 1;
    }

    fn line(&mut self) -> usize {
        if self.lines.len() <= self.row {
            self.lines.resize_with(self.row + 1, Vec::new);
        }
        self.row
    }

    /// Executes the control sequence at the start of `rest`, and returns what follows it.
    fn control<'a>(&mut self, rest: &'a str) -> &'a str {
        if let Some(link) = rest.strip_prefix("]8;;") {
            return link.split_once("\u{1b}\\").unwrap().1;
        }
        let sequence = rest.strip_prefix('[').unwrap();
        let end = sequence.find(|c: char| c.is_ascii_alphabetic()).unwrap();
        let (parameters, last) = (&sequence[..end], &sequence[end..=end]);
        match last {
            "m" => parameters.split(';').for_each(|code| self.set_style(code)),
            "K" => {
                let line = self.line();
                self.lines[line].clear();
            }
            "A" => self.row -= parameters.parse().unwrap_or(1),
            // The cursor is hidden and shown.
            "h" | "l" => {}
            other => panic!("unknown control sequence {parameters}{other}"),
        }
        &sequence[end + 1..]
    }

    fn set_style(&mut self, code: &str) {
        match code.parse().unwrap_or(0) {
            0 => self.style = Style::default(),
            1 => self.style.is_bold = true,
            2 => self.style.is_dim = true,
            color @ 30..=37 => self.style.color = Some(color - 30),
            other => panic!("unknown style {other}"),
        }
    }

    /// Returns the text without styles.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for line in &self.lines {
            let shown: String = line.iter().map(|cell| cell.shown).collect();
            text.push_str(shown.trim_end());
            text.push('\n');
        }
        text
    }

    /// Returns the parts of each line.
    pub(super) fn lines(&self) -> impl Iterator<Item = Vec<Span>> {
        self.lines.iter().map(|line| spans(line))
    }
}

fn is_blank(line: &[Cell]) -> bool {
    line.iter().all(|cell| cell.shown == ' ')
}

fn spans(line: &[Cell]) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut column = 0;
    for part in line.chunk_by(|one, next| one.style == next.style) {
        spans.push(Span {
            column,
            text: part.iter().map(|cell| cell.shown).collect(),
            style: part[0].style,
        });
        column += part.len();
    }
    spans
}

#[test]
fn erased_lines_and_links_are_not_shown() {
    let bytes = "\u{1b}[?25l\r| waiting\u{1b}[2K\ra \u{1b}[1mb\u{1b}[0m\r\nc\r\n\u{1b}[1A\u{1b}[2K\
                 \u{1b}]8;;http://x\u{1b}\\d\u{1b}]8;;\u{1b}\\\r\n";
    let screen = Screen::parse(bytes);
    assert_eq!(screen.text(), "a b\nd\n");
    let first = screen.lines().next().unwrap();
    assert!(first[1].style.is_bold && first[1].text == "b" && first[1].column == 2);
}
