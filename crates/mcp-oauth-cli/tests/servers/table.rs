//! The table of `docs/interop.md`: written by a run, and compared with by every other.

use std::{fmt::Write as _, fs, path::Path};

use crate::server::Description;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/interop.md");
const BEGIN: &str = "<!-- servers -->\n";
const END: &str = "<!-- /servers -->";
const HEAD: &str = "\
| server | version | login | again, `--force` | tools | call | expired token | refresh, and a replay of it | consent declined | logout | leniency or override that it needs |
|---|---|---|---|---|---|---|---|---|---|---|
";

/// What was seen at one server.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    title: String,
    needs: String,
    cells: Vec<String>,
}

impl Row {
    pub(crate) fn new(description: &Description, version: &str) -> Self {
        let needs = if description.needs.is_empty() {
            "none"
        } else {
            &description.needs
        };
        Self {
            title: description.title.clone(),
            needs: needs.to_owned(),
            cells: vec![format!("{version}")],
        }
    }

    pub(crate) fn cell(&mut self, step: &str, seen: String) {
        eprintln!("{}: {step}: {seen}", self.title);
        self.cells.push(seen);
    }

    fn line(&self) -> String {
        format!(
            "| {} | {} | {} |\n",
            self.title,
            self.cells.join(" | "),
            self.needs
        )
    }
}

/// Replaces the table by these rows.
#[expect(
    clippy::disallowed_methods,
    reason = "a page of the repository, not a secret"
)]
pub(crate) fn write(rows: &[Row], commit: &str, date: &str) {
    let page = fs::read_to_string(PAGE).unwrap();
    let (before, rest) = page
        .split_once(BEGIN)
        .expect("the page has the mark of the table");
    let (_, after) = rest
        .split_once(END)
        .expect("the page has the mark of its end");
    let mut table = String::from(HEAD);
    for row in rows {
        table.push_str(&row.line());
    }
    write!(
        table,
        "\nLast full run: {date}, at commit `{commit}`, by `scripts/check servers`.\n"
    )
    .unwrap();
    fs::write(
        Path::new(PAGE),
        format!("{before}{BEGIN}{table}{END}{after}"),
    )
    .unwrap();
}

/// Returns the rows that the page does not have.
pub(crate) fn missing(rows: &[Row]) -> Vec<String> {
    let page = fs::read_to_string(PAGE).unwrap();
    let lines = rows.iter().map(Row::line);
    lines.filter(|line| !page.contains(line.as_str())).collect()
}
