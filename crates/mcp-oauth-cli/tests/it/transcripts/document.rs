//! A document, and its `console` blocks.

use std::fmt::Write as _;

use super::Run;

const BEGIN: &str = "```console";
/// The first line of a block in which the user has logged in to `notes` before.
const BEGIN_LOGGED_IN: &str = "```console logged-in";
const END: &str = "```";
const PROMPT: &str = "$ ";

/// A document: text, then a block, then text, and so on.
pub(super) struct Document {
    parts: Vec<Part>,
}

enum Part {
    Text(String),
    Block(Block),
}

/// A `console` block.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Block {
    pub(super) is_logged_in: bool,
    pub(super) commands: Vec<String>,
}

impl Document {
    pub(super) fn parse(text: &str) -> Self {
        let mut parts = vec![Part::Text(String::new())];
        for line in text.lines() {
            match parts.last_mut() {
                Some(Part::Text(text)) => {
                    let _infallible = writeln!(text, "{line}");
                    if [BEGIN, BEGIN_LOGGED_IN].contains(&line) {
                        parts.push(Part::Block(Block {
                            is_logged_in: line == BEGIN_LOGGED_IN,
                            commands: Vec::new(),
                        }));
                    }
                }
                Some(Part::Block(_)) if line == END => parts.push(Part::Text(format!("{END}\n"))),
                Some(Part::Block(block)) => {
                    let command = line.strip_prefix(PROMPT).map(str::to_owned);
                    block.commands.extend(command);
                }
                None => {}
            }
        }
        Self { parts }
    }

    pub(super) fn blocks(&self) -> impl Iterator<Item = &Block> {
        self.parts.iter().filter_map(|part| match part {
            Part::Block(block) => Some(block),
            Part::Text(_) => None,
        })
    }

    /// Returns the text with these runs in its blocks.
    pub(super) fn with_runs(&self, sessions: &[Vec<Run>]) -> String {
        let mut sessions = sessions.iter();
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(part) => text.push_str(part),
                Part::Block(_) => text.push_str(&transcript(sessions.next().unwrap())),
            }
        }
        text
    }
}

/// Returns the lines of a block. A blank line follows the output of a command.
fn transcript(runs: &[Run]) -> String {
    let mut text = String::new();
    for (number, run) in runs.iter().enumerate() {
        let shown = run.screen.text();
        let _infallible = writeln!(text, "{PROMPT}{}\n{shown}", run.command);
        let is_last = number + 1 == runs.len();
        if is_last || shown.is_empty() {
            text.truncate(text.trim_end().len() + 1);
        }
    }
    text
}

#[test]
fn the_commands_of_a_block_are_found_and_its_output_is_replaced() {
    let text = "a\n```console\n$ one\nold\n$ two\n```\nb\n```sh\n$ three\n```\n";
    let document = Document::parse(text);
    let block = document.blocks().next().unwrap();
    assert_eq!(block.commands, ["one", "two"]);
    let run = |command: &str, shown| Run {
        command: command.to_owned(),
        screen: super::Screen::parse(shown),
    };
    let new = document.with_runs(&[vec![run("one", "new\r\n"), run("two", "")]]);
    let shown = "a\n```console\n$ one\nnew\n\n$ two\n```\nb\n```sh\n$ three\n```\n";
    assert_eq!(new, shown);
}
