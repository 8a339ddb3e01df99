//! `names`: which records there are, so that a list need not open each file.
//!
//! ```text
//! mcp-oauth names 1
//! +"https://a.example/mcp"
//! -"https://a.example/mcp"
//! ```
//! A line is appended, and is on the disk, before its record appears or goes; the update of a record
//! needs none. So **the last line is an intent**, and the file of the record says whether it came
//! true. Who appends the next line settles that first, by the contrary line if it did not: every
//! line but the last is history. A last line without an end never happened.
//!
//! It can be made anew from the files at any time, and is, if it is gone or damaged (H144).

use std::{
    borrow::Cow,
    collections::HashSet,
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
};

use super::directory::{Directory, io_error};
use crate::{error::TokenStorageError, store::sealed::header::json};

/// Its name in the directory of the store.
pub(super) const FILE: &str = "names";
const FIRST_LINE: &str = "mcp-oauth names 1\n";
/// The largest that is read: millions of names.
const MOST: u64 = 256 * 1024 * 1024;
/// The longest line: no record has a longer name.
const MOST_LINE: u64 = 512 * 1024;
/// Where the search for the last line begins.
const TAIL: u64 = 4096;
/// How many lines a file may have beside two for each name before it is written anew.
const SPARE_LINES: usize = 64;

/// What becomes of a record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Change {
    Added,
    Removed,
}

/// Not a file that we write.
#[derive(Debug, Eq, PartialEq)]
struct Damaged;

/// What is found in the place of the file.
pub(super) enum Found {
    Missing,
    Damaged,
    Listing(Listing),
}

/// The text of a file with our first line.
pub(super) struct Listing(String);

impl Change {
    fn sign(self) -> u8 {
        match self {
            Self::Added => b'+',
            Self::Removed => b'-',
        }
    }

    fn contrary(self) -> Self {
        match self {
            Self::Added => Self::Removed,
            Self::Removed => Self::Added,
        }
    }

    fn line(self, name: &str) -> Result<Vec<u8>, TokenStorageError> {
        let mut line = vec![self.sign()];
        line.extend(json(&name)?);
        line.push(b'\n');
        Ok(line)
    }

    /// Most names are written as they are, and are not copied.
    fn parse(line: &str) -> Result<(Self, Cow<'_, str>), Damaged> {
        let (change, json) = match line.split_at_checked(1) {
            Some(("+", json)) => (Self::Added, json),
            Some(("-", json)) => (Self::Removed, json),
            _ => return Err(Damaged),
        };
        let plain = json
            .strip_prefix('"')
            .and_then(|json| json.strip_suffix('"'));
        if let Some(name) = plain.filter(|name| is_plain(name)) {
            return Ok((change, Cow::Borrowed(name)));
        }
        let name = serde_json::from_str(json).map_err(|_| Damaged)?;
        Ok((change, Cow::Owned(name)))
    }
}

/// Whether JSON writes a text as it is. Without a branch for each byte, this is done for many bytes
/// at once.
fn is_plain(text: &str) -> bool {
    let special = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\';
    !text
        .bytes()
        .fold(false, |found, byte| found | special(byte))
}

/// Reads the file.
pub(super) fn read(directory: &Directory) -> Result<Found, TokenStorageError> {
    let Some(file) = directory.open(FILE)? else {
        return Ok(Found::Missing);
    };
    let failed = || io_error("read", &directory.file(FILE));
    let size = file.metadata().map_err(|error| failed()(error))?.len();
    if size > MOST {
        return Ok(Found::Damaged);
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
    let read = file.take(MOST).read_to_end(&mut bytes);
    read.map_err(|error| failed()(error))?;
    // What is being appended now, or was when somebody died, has not happened. It may end in the
    // middle of a character.
    let end = bytes.iter().rposition(|byte| *byte == b'\n');
    bytes.truncate(end.map_or(0, |end| end + 1));
    Ok(match String::from_utf8(bytes) {
        Ok(text) if text.starts_with(FIRST_LINE) => Found::Listing(Listing(text)),
        _ => Found::Damaged,
    })
}

impl Listing {
    /// Each name once; none if the file is damaged. `is_there` is asked for the last line only.
    pub(super) fn names(
        &self,
        is_there: impl FnOnce(&str) -> Result<bool, TokenStorageError>,
    ) -> Result<Option<Vec<String>>, TokenStorageError> {
        let Ok(mut lines) = self
            .lines()
            .map(Change::parse)
            .collect::<Result<Vec<_>, _>>()
        else {
            return Ok(None);
        };
        if let Some((change, name)) = lines.last_mut() {
            *change = if is_there(name)? {
                Change::Added
            } else {
                Change::Removed
            };
        }
        // The last line about a name says what became of it.
        let mut known = HashSet::with_capacity(lines.len());
        lines.reverse();
        lines.retain(|(change, name)| known.insert(name.clone()) && *change == Change::Added);
        Ok(Some(
            lines
                .into_iter()
                .map(|(_, name)| name.into_owned())
                .collect(),
        ))
    }

    /// Whether most lines are about records that are gone: there is a line for each that was ever
    /// added, and one more for each that was removed.
    pub(super) fn is_wasteful(&self) -> bool {
        let lines = self.lines().count();
        let removed = self.lines().filter(|line| line.starts_with('-')).count();
        let names = lines.saturating_sub(2 * removed);
        lines > 2 * names + SPARE_LINES
    }

    fn lines(&self) -> impl Iterator<Item = &str> {
        self.0[FIRST_LINE.len()..].split_terminator('\n')
    }
}

/// Settles the last line and appends one. Whether there is a file to append to that is ours.
pub(super) fn append(
    directory: &Directory,
    change: Change,
    name: &str,
    is_there: impl FnOnce(&str) -> Result<bool, TokenStorageError>,
) -> Result<bool, TokenStorageError> {
    let Some(mut file) = directory.open_to_append(FILE)? else {
        return Ok(false);
    };
    let path = directory.file(FILE);
    let Ok(last) = LastLine::find(&mut file).map_err(io_error("read", &path))? else {
        return Ok(false);
    };
    let mut lines = Vec::new();
    if let Some((change, name)) = &last.line
        && (*change == Change::Added) != is_there(name)?
    {
        lines = change.contrary().line(name)?;
    }
    // In one piece: if only the first line gets an end, it is true by itself.
    lines.extend(change.line(name)?);
    let written = last.write_after(&mut file, &lines);
    written.map_err(io_error("write", &path))?;
    Ok(true)
}

/// Writes the file anew, with a line for each name and then what is about to happen.
pub(super) fn write(
    directory: &Directory,
    names: &[String],
    change: Change,
    name: &str,
) -> Result<(), TokenStorageError> {
    let mut text = FIRST_LINE.as_bytes().to_vec();
    for name in names {
        text.extend(Change::Added.line(name)?);
    }
    text.extend(change.line(name)?);
    directory.replace(FILE, &text)
}

/// The last line that has an end, if there is one beside the first, and where that end is.
#[derive(Debug, Eq, PartialEq)]
struct LastLine {
    line: Option<(Change, String)>,
    end: u64,
}

impl LastLine {
    /// Reads no more of the file than it has to.
    fn find(file: &mut File) -> io::Result<Result<Self, Damaged>> {
        let size = file.metadata()?.len();
        let first = u64::try_from(FIRST_LINE.len()).unwrap_or(u64::MAX);
        if size < first || part(file, 0, first)? != FIRST_LINE.as_bytes() {
            return Ok(Err(Damaged));
        }
        let mut most = TAIL;
        loop {
            // The end of the first line is where the search ends.
            let start = size.saturating_sub(most).max(first - 1);
            let tail = part(file, start, size - start)?;
            match Self::within(&tail, start, first) {
                Some(found) => return Ok(found),
                None if most > MOST_LINE => return Ok(Err(Damaged)),
                None => most *= 4,
            }
        }
    }

    /// None if the line begins before this part of the file.
    fn within(tail: &[u8], start: u64, first: u64) -> Option<Result<Self, Damaged>> {
        let before = |end: usize| tail[..end].iter().rposition(|byte| *byte == b'\n');
        let last = before(tail.len())?;
        let end = start + u64::try_from(last).unwrap_or(u64::MAX) + 1;
        if end == first {
            return Some(Ok(Self { line: None, end }));
        }
        let line = &tail[before(last)? + 1..last];
        let line = std::str::from_utf8(line).map_err(|_| Damaged);
        Some(line.and_then(Change::parse).map(|(change, name)| Self {
            line: Some((change, name.into_owned())),
            end,
        }))
    }

    /// Puts lines there, and on the disk, in the place of what has no end.
    fn write_after(&self, file: &mut File, lines: &[u8]) -> io::Result<()> {
        file.set_len(self.end)?;
        file.seek(SeekFrom::Start(self.end))?;
        file.write_all(lines)?;
        file.sync_data()
    }
}

fn part(file: &mut File, start: u64, size: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
    file.seek(SeekFrom::Start(start))?;
    file.take(size).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(lines: &str) -> Listing {
        Listing(FIRST_LINE.to_owned() + lines)
    }

    fn names(lines: &str, last_is_there: bool) -> Option<Vec<String>> {
        let found = listing(lines).names(|_| Ok(last_is_there)).unwrap();
        found.map(|mut names| {
            names.sort_unstable();
            names
        })
    }

    #[test]
    fn every_line_but_the_last_is_believed() {
        for (lines, there, expected) in [
            ("", true, &[][..]),
            ("+\"a\"\n", true, &["a"]),
            ("+\"a\"\n", false, &[]),
            ("+\"a\"\n-\"a\"\n", true, &["a"]),
            ("+\"a\"\n-\"a\"\n", false, &[]),
            ("+\"a\"\n+\"b\"\n", false, &["a"]),
            ("+\"a\"\n-\"a\"\n+\"b\"\n", true, &["b"]),
            ("+\"a\"\n-\"a\"\n+\"a\"\n", true, &["a"]),
            ("+\"a\"\n+\"a\"\n+\"b\"\n", true, &["a", "b"]),
            ("+\"a\\n\\\"\"\n", true, &["a\n\""]),
        ] {
            assert_eq!(names(lines, there).unwrap(), expected, "{lines}");
        }
    }

    #[test]
    fn what_we_do_not_write_is_damage() {
        for lines in [
            "\n",
            "a\n",
            "*\"a\"\n",
            "+a\n",
            "+\"a\n",
            "+\"a\"x\n",
            "\0\0\n",
        ] {
            assert_eq!(names(lines, true), None, "{lines:?}");
        }
    }

    #[test]
    fn a_file_is_wasteful_when_it_has_more_than_two_lines_for_each_name() {
        let pairs = |count| "+\"a\"\n-\"a\"\n".repeat(count);
        assert!(!listing(&pairs(SPARE_LINES / 2)).is_wasteful());
        assert!(listing(&pairs(SPARE_LINES / 2 + 1)).is_wasteful());
        let kept = "+\"b\"\n".repeat(100);
        assert!(!listing(&(pairs(50) + &kept)).is_wasteful());
        assert!(!listing(&(pairs(82) + &kept)).is_wasteful());
        assert!(listing(&(pairs(83) + &kept)).is_wasteful());
    }

    fn last(text: &[u8]) -> Result<LastLine, Damaged> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text).unwrap();
        LastLine::find(&mut file).unwrap()
    }

    #[test]
    fn the_last_line_is_found_however_long_it_is_and_whatever_follows() {
        for length in [0, 1, 4000, 4096, 20_000, 300_000] {
            let name = "n".repeat(length);
            for lines_before in [0, 1, 500] {
                let mut text = FIRST_LINE.as_bytes().to_vec();
                text.extend(b"+\"before\"\n".repeat(lines_before));
                text.extend(Change::Removed.line(&name).unwrap());
                let end = u64::try_from(text.len()).unwrap();
                for torn in ["", "+", "+\"torn\"", &"x".repeat(5000)] {
                    let found = last(&[&text, torn.as_bytes()].concat()).unwrap();
                    let line = Some((Change::Removed, name.clone()));
                    assert!(found == LastLine { line, end }, "{length} {lines_before}");
                }
            }
        }
    }

    #[test]
    fn a_file_without_lines_has_no_last_one() {
        let end = u64::try_from(FIRST_LINE.len()).unwrap();
        for torn in [&b""[..], b"+\"to"] {
            let found = last(&[FIRST_LINE.as_bytes(), torn].concat());
            assert_eq!(found, Ok(LastLine { line: None, end }));
        }
        let other = [FIRST_LINE.as_bytes(), b"?\n"].concat();
        for damaged in [&b""[..], b"mcp-oauth names 2\n", b"mcp-oauth nam", &other] {
            assert_eq!(last(damaged), Err(Damaged));
        }
    }
}
