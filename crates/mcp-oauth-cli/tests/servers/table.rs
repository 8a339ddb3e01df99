//! The table of `docs/interop.md`. A run writes it on request; other runs compare their results with it.

use std::{fmt::Write as _, fs, path::Path};

use crate::server::Description;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/interop.md");
const BEGIN: &str = "<!-- servers -->\n";
const END: &str = "<!-- /servers -->";
const HEAD: &str = "\
Each row is a run of `mcp-oauth` at a server in `interop/servers`, on loopback, with the flags of the \
last column and no others; that column also has what the client did by itself. Whether a token is live or dead is what the server itself says.

- **again**: a second `login` uses the login that is there; with `--force` the browser opens again.
- **call**: a tool is called through `mcp-oauth proxy`.
- **expired token**: the server has let the access token expire and the client does not know; one \
refresh, and the command succeeds.
- **refresh**: `mcp-oauth refresh`; then a third party sends the same request with the spent refresh \
token. After that the command has the tokens that the server accepts, or says that a login is needed.
- **declined**: the user declines at the consent page; the login that was there still works.
- **logout**: what the server says about both tokens afterwards.

| server | version | login | again | tools | call | expired token | refresh, then a replay | declined | logout | leniency or override that it needs |
|---|---|---|---|---|---|---|---|---|---|---|
";

/// The cell of a row where both tokens are revoked after a logout.
pub(crate) const BOTH_DEAD: &str = "both tokens dead";

/// The results at one server.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    title: String,
    needs: Vec<String>,
    cells: Vec<String>,
}

impl Row {
    pub(crate) fn new(description: &Description, version: &str) -> Self {
        Self {
            title: description.title.clone(),
            needs: description.needs.clone().into_iter().collect(),
            cells: vec![version.to_owned()],
        }
    }

    /// Adds the leniencies of the client.
    pub(crate) fn needed(&mut self, leniencies: &[&str]) {
        self.needs
            .extend(leniencies.iter().map(|&needed| needed.to_owned()));
    }

    pub(crate) fn cell(&mut self, step: &str, seen: String) {
        eprintln!("{}: {step}: {seen}", self.title);
        self.cells.push(seen);
    }

    fn leaves_no_live_token(&self) -> bool {
        self.cells.iter().any(|cell| cell.contains(BOTH_DEAD))
    }

    fn line(&self) -> String {
        let needs = if self.needs.is_empty() {
            "none".to_owned()
        } else {
            self.needs.join("; ")
        };
        format!(
            "| {} | {} | {needs} |\n",
            self.title,
            self.cells.join(" | ")
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
    let dead = rows.iter().filter(|row| row.leaves_no_live_token()).count();
    write!(
        table,
        "\nBoth tokens are dead after the logout at {dead} of {} servers. Last full run: {date}, commit \
         `{commit}`, `scripts/check servers`.\n",
        rows.len()
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
