//! Dependency cycles: files of one crate that depend on each other.
//!
//! A file depends on another if its code names an item that the other defines, through whatever
//! re-exports. A `mod` line or a re-export alone is no dependency, so a parent may list its children.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use crate::modules::{self, Module, ModulePath};

/// The files that each file depends on, with the names of the items that it uses.
pub type Dependencies = BTreeMap<PathBuf, BTreeMap<PathBuf, BTreeSet<String>>>;

/// Returns the dependencies between the files of the crate with the root file `root`.
pub fn dependencies(root: &Path) -> Dependencies {
    let modules = modules::read(root);
    let tree = Tree { modules: &modules };
    let mut dependencies = Dependencies::new();
    for (path, module) in &modules {
        let imported = module.imports.iter().filter(|import| !import.is_reexport);
        let named = imported
            .map(|import| (import.path.clone(), import.name == "*"))
            .chain(module.paths.iter().map(|named| (named.clone(), false)));
        for (named, is_glob) in named {
            // A name that this module imports is counted at the import.
            let Some((file, item)) = tree.definition(path, &named, is_glob, 0) else {
                continue;
            };
            if file != module.file {
                let to = dependencies.entry(module.file.clone()).or_default();
                to.entry(file).or_default().insert(item);
            }
        }
    }
    dependencies
}

struct Tree<'a> {
    modules: &'a BTreeMap<ModulePath, Module>,
}

impl Tree<'_> {
    /// Returns the file and the name of the item that the path `named` resolves to in the module `at`.
    fn definition(
        &self,
        at: &ModulePath,
        named: &[String],
        is_glob: bool,
        depth: usize,
    ) -> Option<(PathBuf, String)> {
        if depth > 16 {
            return None;
        }
        let (mut module, mut rest) = self.start(at, named, depth)?;
        while let Some((first, after)) = rest.split_first() {
            let mut child = module.clone();
            child.push(first.clone());
            if !self.modules.contains_key(&child) {
                break;
            }
            (module, rest) = (child, after);
        }
        let found = &self.modules[&module];
        let Some(item) = rest.first() else {
            // The path ends at a module: only a glob imports items of it.
            return is_glob.then(|| (found.file.clone(), "*".to_owned()));
        };
        if found.items.contains(item) {
            return Some((found.file.clone(), item.clone()));
        }
        let import = found.imports.iter().find(|import| import.name == *item);
        if let Some(import) = import {
            return self.definition(&module, &import.path, false, depth + 1);
        }
        found
            .imports
            .iter()
            .filter(|import| import.name == "*" && import.is_reexport)
            .find_map(|import| {
                let mut path = import.path.clone();
                path.push(item.clone());
                self.definition(&module, &path, false, depth + 1)
            })
    }

    /// Returns the module where the path begins, and the rest of the path.
    fn start<'n>(
        &self,
        at: &ModulePath,
        named: &'n [String],
        depth: usize,
    ) -> Option<(ModulePath, &'n [String])> {
        let (first, mut rest) = named.split_first()?;
        match first.as_str() {
            "crate" => Some((Vec::new(), rest)),
            "self" => Some((at.clone(), rest)),
            "super" => {
                let mut module = at.clone();
                module.pop()?;
                while rest.first().is_some_and(|name| name == "super") {
                    module.pop()?;
                    rest = &rest[1..];
                }
                Some((module, rest))
            }
            name => {
                let mut child = at.clone();
                child.push(name.to_owned());
                if self.modules.contains_key(&child) {
                    return Some((child, rest));
                }
                // An imported module: `use super::pace;` and then `pace::wait()`.
                if rest.is_empty() {
                    return None;
                }
                let import = self.modules[at]
                    .imports
                    .iter()
                    .find(|import| import.name == *name && import.path != [name.to_owned()])?;
                let (mut module, mut left) = self.start_of_import(at, &import.path, depth)?;
                while let Some((first, after)) = left.split_first() {
                    let mut child = module.clone();
                    child.push(first.clone());
                    if !self.modules.contains_key(&child) {
                        return None;
                    }
                    (module, left) = (child, after.to_vec());
                }
                Some((module, rest))
            }
        }
    }

    fn start_of_import(
        &self,
        at: &ModulePath,
        path: &[String],
        depth: usize,
    ) -> Option<(ModulePath, Vec<String>)> {
        if depth > 16 {
            return None;
        }
        let (module, rest) = self.start(at, path, depth + 1)?;
        Some((module, rest.to_vec()))
    }
}

/// Returns the cycles among the dependencies, each as its files in order.
pub fn find(dependencies: &Dependencies) -> Vec<Vec<PathBuf>> {
    let reached: BTreeMap<&PathBuf, BTreeSet<&PathBuf>> = dependencies
        .keys()
        .map(|file| (file, reach(dependencies, file)))
        .collect();
    let mut cycles = Vec::new();
    let mut seen: BTreeSet<PathBuf> = BTreeSet::new();
    for (file, from_it) in &reached {
        if !from_it.contains(file) || seen.contains(*file) {
            continue;
        }
        let cycle: Vec<PathBuf> = from_it
            .iter()
            .filter(|other| reached.get(*other).is_some_and(|back| back.contains(file)))
            .map(|other| (*other).clone())
            .collect();
        seen.extend(cycle.iter().cloned());
        cycles.push(cycle);
    }
    cycles
}

fn reach<'a>(dependencies: &'a Dependencies, from: &PathBuf) -> BTreeSet<&'a PathBuf> {
    let mut reached = BTreeSet::new();
    let mut open = vec![from];
    while let Some(file) = open.pop() {
        for next in dependencies.get(file).into_iter().flat_map(BTreeMap::keys) {
            if reached.insert(next) {
                open.push(next);
            }
        }
    }
    reached
}

/// Describes a cycle: each dependency in it, with the names of the items that the first file uses.
pub fn describe(dependencies: &Dependencies, cycle: &[PathBuf], root: &Path) -> String {
    let short = |path: &Path| {
        path.strip_prefix(root)
            .unwrap_or(path)
            .display()
            .to_string()
    };
    let mut text = format!("{} files depend on each other:\n", cycle.len());
    for file in cycle {
        for (to, names) in dependencies.get(file).into_iter().flatten() {
            if cycle.contains(to) {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                let (from, to) = (short(file), short(to));
                text = format!("{text}  {from} -> {to}: {}\n", names.join(", "));
            }
        }
    }
    text
}
