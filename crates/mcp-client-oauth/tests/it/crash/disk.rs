//! A simulated disk that loses power: the states that a sequence of system calls may leave on it
//! (docs/hostile.md H141).
//!
//! Only synced data is certain to be on it: unsynced data of a file may be there completely, in part, as
//! zeros, or not at all, and each new, moved or removed name in a directory may be there or not,
//! independently of the others. A file system that keeps an order leaves some of these states, and no
//! other.

use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, DirBuilder, OpenOptions},
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

/// Up to this number of pending name changes, every combination is tried.
const MOST_COMBINED: usize = 10;

/// The files and directories below a directory.
pub(crate) type Tree = BTreeMap<PathBuf, Node>;

#[derive(Clone, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Node {
    Directory,
    File(Vec<u8>),
}

/// A simulated disk, on which the recorded system calls are replayed.
pub(crate) struct Disk {
    root: PathBuf,
    files: Vec<Content>,
    /// The current names, as the system returns them.
    names: Names,
    /// The synced names, and the changes since then.
    synced: Names,
    pending: Vec<(PathBuf, Option<Entry>)>,
    /// The open files by their descriptors, with their offsets.
    open: HashMap<String, (Entry, usize)>,
}

type Names = BTreeMap<PathBuf, Entry>;

#[derive(Clone)]
enum Entry {
    Directory(PathBuf),
    /// The index of the file.
    File(usize),
}

#[derive(Clone, Default)]
struct Content {
    synced: Vec<u8>,
    now: Vec<u8>,
}

/// One line of a trace.
struct Line {
    name: String,
    texts: Vec<Vec<u8>>,
    /// The descriptor of the file.
    file: String,
    arguments: String,
    result: String,
}

impl Disk {
    /// Reads a directory; all of its content counts as synced.
    pub(crate) fn of(root: &Path) -> Self {
        let mut disk = Self {
            root: root.to_owned(),
            files: Vec::new(),
            names: Names::new(),
            synced: Names::new(),
            pending: Vec::new(),
            open: HashMap::new(),
        };
        for (path, node) in read(root) {
            let entry = match node {
                Node::Directory => Entry::Directory(path.clone()),
                Node::File(bytes) => disk.add(Content {
                    synced: bytes.clone(),
                    now: bytes,
                }),
            };
            disk.names.insert(path, entry);
        }
        disk.synced = disk.names.clone();
        disk
    }

    /// Applies one line of a trace. Returns whether the call used this disk.
    pub(crate) fn call(&mut self, line: &str) -> bool {
        let Some(line) = Line::parse(line).filter(|line| !line.result.starts_with('-')) else {
            return false;
        };
        match line.name.as_str() {
            "open" | "openat" => self.opened(&line),
            "read" | "write" | "lseek" | "ftruncate" => self.file_call(&line),
            "fsync" | "fdatasync" => self.sync(&line),
            "mkdir" | "mkdirat" => {
                let path = line.path(0);
                self.name(path.clone(), Some(Entry::Directory(path)))
            }
            "link" | "linkat" => {
                let file = self.names.get(&line.path(0)).cloned();
                self.name(line.path(1), file)
            }
            "rename" | "renameat" | "renameat2" => {
                let file = self.names.get(&line.path(0)).cloned();
                self.name(line.path(1), file) && self.name(line.path(0), None)
            }
            "unlink" | "unlinkat" => self.name(line.path(0), None),
            _ => false,
        }
    }

    /// Returns every state that a power loss may leave now.
    pub(crate) fn states(&self) -> impl Iterator<Item = Tree> {
        self.combinations().into_iter().flat_map(|happened| {
            let mut names = self.synced.clone();
            for (path, entry) in happened {
                match entry {
                    Some(entry) => names.insert(path.clone(), entry.clone()),
                    None => names.remove(path),
                };
            }
            self.trees(&names)
        })
    }

    fn combinations(&self) -> Vec<Vec<&(PathBuf, Option<Entry>)>> {
        let count = self.pending.len();
        let chosen = |is_in: &dyn Fn(usize) -> bool| {
            let pending = self.pending.iter().enumerate();
            pending
                .filter(|(number, _)| is_in(*number))
                .map(|(_, change)| change)
                .collect()
        };
        if count <= MOST_COMBINED {
            let all = 0..1_usize << count;
            return all.map(|bits| chosen(&|n| bits >> n & 1 == 1)).collect();
        }
        let first = (0..=count).map(|end| chosen(&|n| n < end));
        let all_but_one = (0..count).map(|out| chosen(&|n| n != out));
        let only_one = (0..count).map(|only| chosen(&|n| n == only));
        first.chain(all_but_one).chain(only_one).collect()
    }

    /// Returns the trees with every possible content of the named files.
    fn trees(&self, names: &Names) -> Vec<Tree> {
        let mut trees = vec![Tree::new()];
        for (path, entry) in names {
            let parent = path.parent().unwrap();
            if parent != self.root && !trees[0].contains_key(parent) {
                // The content of a missing directory is lost.
                continue;
            }
            let possible = match entry {
                Entry::Directory(_) => vec![Node::Directory],
                Entry::File(file) => self.files[*file].possible(),
            };
            let with = |tree: &Tree, node: &Node| {
                let mut tree = tree.clone();
                tree.insert(path.clone(), node.clone());
                tree
            };
            trees = trees
                .iter()
                .flat_map(|tree| possible.iter().map(|node| with(tree, node)))
                .collect();
        }
        trees
    }

    fn add(&mut self, content: Content) -> Entry {
        self.files.push(content);
        Entry::File(self.files.len() - 1)
    }

    fn name(&mut self, path: PathBuf, entry: Option<Entry>) -> bool {
        if !path.starts_with(&self.root) {
            return false;
        }
        match &entry {
            Some(entry) => self.names.insert(path.clone(), entry.clone()),
            None => self.names.remove(&path),
        };
        self.pending.push((path, entry));
        true
    }

    fn opened(&mut self, line: &Line) -> bool {
        let path = line.path(0);
        let number = line.result.split('<').next().unwrap().to_owned();
        self.open.remove(&number);
        let entry = match self.names.get(&path) {
            Some(entry) => entry.clone(),
            None if path == self.root => Entry::Directory(path),
            None if !path.starts_with(&self.root) => return false,
            None => {
                assert!(line.arguments.contains("O_CREAT"), "{}", path.display());
                let file = self.add(Content::default());
                self.name(path, Some(file.clone()));
                file
            }
        };
        assert!(!line.arguments.contains("O_TRUNC") && !line.arguments.contains("O_APPEND"));
        self.open.insert(number, (entry, 0));
        true
    }

    /// Applies a call that moves the offset of an open file or changes its content.
    fn file_call(&mut self, line: &Line) -> bool {
        let Some((Entry::File(file), at)) = self.open.get_mut(&line.file) else {
            return false;
        };
        let result: usize = line.result.parse().unwrap();
        let now = &mut self.files[*file].now;
        match line.name.as_str() {
            "lseek" => *at = result,
            "read" => *at += result,
            "ftruncate" => {
                let size = line.arguments.rsplit(", ").next().unwrap();
                now.resize(size.parse().unwrap(), 0);
            }
            _ => {
                let bytes = &line.texts[0][..result];
                now.resize(now.len().max(*at + result), 0);
                now[*at..*at + result].copy_from_slice(bytes);
                *at += result;
            }
        }
        true
    }

    fn sync(&mut self, line: &Line) -> bool {
        match self.open.get(&line.file) {
            None => return false,
            Some((Entry::File(file), _)) => {
                let file = &mut self.files[*file];
                file.synced.clone_from(&file.now);
            }
            Some((Entry::Directory(directory), _)) => {
                let is_in = |(path, _): &mut (PathBuf, _)| path.parent() == Some(directory);
                for (path, entry) in self.pending.extract_if(.., is_in) {
                    match entry {
                        Some(entry) => self.synced.insert(path, entry),
                        None => self.synced.remove(&path),
                    };
                }
            }
        }
        true
    }
}

impl Content {
    fn possible(&self) -> Vec<Node> {
        let Self { synced, now } = self;
        if synced == now {
            return vec![Node::File(now.clone())];
        }
        let same = synced.iter().zip(now).take_while(|(a, b)| a == b).count();
        let half = now[..same + (now.len() - same) / 2].to_vec();
        let mut zeros = now.clone();
        zeros[same..].fill(0);
        [synced.clone(), now.clone(), half, zeros]
            .map(Node::File)
            .into()
    }
}

impl Line {
    /// Parses `name(3</a/path>, "text", …) = 5</a/path>`.
    fn parse(line: &str) -> Option<Self> {
        let (call, result) = line.rsplit_once(" = ")?;
        let (name, arguments) = call.split_once('(')?;
        let arguments = arguments.trim_end().strip_suffix(')')?;
        Some(Self {
            name: name.to_owned(),
            texts: texts(arguments),
            file: arguments.split('<').next()?.to_owned(),
            arguments: arguments.to_owned(),
            result: result.split(' ').next()?.to_owned(),
        })
    }

    fn path(&self, number: usize) -> PathBuf {
        String::from_utf8(self.texts[number].clone())
            .unwrap()
            .into()
    }
}

/// Returns the decoded bytes of each quoted text.
fn texts(arguments: &str) -> Vec<Vec<u8>> {
    let mut texts = Vec::new();
    let mut rest = arguments.bytes();
    while rest.by_ref().any(|byte| byte == b'"') {
        let mut text = Vec::new();
        loop {
            match rest.next().unwrap() {
                b'"' => break,
                b'\\' => text.push(escaped(&mut rest)),
                byte => text.push(byte),
            }
        }
        texts.push(text);
    }
    texts
}

/// Decodes an escape sequence after its backslash. With `-x`, a text that is not ASCII has a number for
/// each byte.
fn escaped(rest: &mut impl Iterator<Item = u8>) -> u8 {
    match rest.next().unwrap() {
        b'x' => {
            let digits = [rest.next().unwrap(), rest.next().unwrap()];
            u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
        }
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        byte @ (b'"' | b'\\') => byte,
        other => panic!("unknown escape \\{}", char::from(other)),
    }
}

fn read(directory: &Path) -> Tree {
    let mut tree = Tree::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            tree.extend(read(&path));
            tree.insert(path, Node::Directory);
        } else {
            let bytes = fs::read(&path).unwrap();
            tree.insert(path, Node::File(bytes));
        }
    }
    tree
}

/// Writes the tree that was read below one directory to another one.
pub(crate) fn restore(tree: &Tree, from: &Path, to: &Path) {
    for (path, node) in tree {
        let path = to.join(path.strip_prefix(from).unwrap());
        match node {
            Node::Directory => DirBuilder::new().mode(0o700).create(path).unwrap(),
            Node::File(bytes) => {
                let mut options = OpenOptions::new();
                options.write(true).create_new(true).mode(0o600);
                options.open(path).unwrap().write_all(bytes).unwrap();
            }
        }
    }
}
