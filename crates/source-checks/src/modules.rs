//! The module tree of one crate: which file each module is in, which items it defines, which names
//! it imports, and which paths its code names.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Attribute, Item, UseTree};

/// The path of a module from the root of the crate; empty for the root.
pub(crate) type ModulePath = Vec<String>;

/// One module of a crate.
pub(crate) struct Module {
    /// The file that contains it; for an inline module that of its parent.
    pub(crate) file: PathBuf,
    /// Names of the items that are defined in it.
    pub(crate) items: BTreeSet<String>,
    /// The names that it imports or re-exports.
    pub(crate) imports: Vec<Import>,
    /// Paths of two or more segments in its code, without those of imports.
    pub(crate) paths: Vec<Vec<String>>,
}

/// One name that a `use` imports.
pub(crate) struct Import {
    /// The name in this module; `*` for a glob.
    pub(crate) name: String,
    /// The path of the imported item, as written.
    pub(crate) path: Vec<String>,
    /// Says whether it is a re-export: visible to other modules.
    pub(crate) is_reexport: bool,
}

/// Reads the modules of the crate whose root file is `root`, without those for tests.
pub(crate) fn read(root: &Path) -> BTreeMap<ModulePath, Module> {
    let mut modules = BTreeMap::new();
    let folder = root.parent().expect("a file has a folder").to_path_buf();
    read_file(&mut modules, Vec::new(), root, &folder);
    modules
}

fn read_file(
    modules: &mut BTreeMap<ModulePath, Module>,
    path: ModulePath,
    file: &Path,
    children: &Path,
) {
    let text = fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let parsed = syn::parse_file(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    read_items(modules, path, file, children, parsed.items);
}

fn read_items(
    modules: &mut BTreeMap<ModulePath, Module>,
    path: ModulePath,
    file: &Path,
    children: &Path,
    items: Vec<Item>,
) {
    let mut module = Module {
        file: file.to_path_buf(),
        items: BTreeSet::new(),
        imports: Vec::new(),
        paths: Vec::new(),
    };
    for item in items {
        if is_for_tests(attributes(&item)) {
            continue;
        }
        if let Some(name) = name(&item) {
            module.items.insert(name);
        }
        match item {
            Item::Mod(child) => {
                let mut child_path = path.clone();
                child_path.push(child.ident.to_string());
                let name = child.ident.to_string();
                if let Some((_, inner)) = child.content {
                    read_items(modules, child_path, file, &children.join(&name), inner);
                    continue;
                }
                let folder = file.parent().expect("a file has a folder");
                let mut files: Vec<PathBuf> = given_paths(&child.attrs)
                    .iter()
                    .map(|given| folder.join(given))
                    .collect();
                if files.is_empty() {
                    let flat = children.join(format!("{name}.rs"));
                    let nested = children.join(&name).join("mod.rs");
                    files.push(if flat.is_file() { flat } else { nested });
                }
                for child_file in files {
                    let mut child_path = child_path.clone();
                    // Several files, one for each operating system, have the same module name: all are read.
                    while modules.contains_key(&child_path) {
                        child_path.last_mut().expect("it has a name").push('\'');
                    }
                    read_file(modules, child_path, &child_file, &children.join(&name));
                }
            }
            Item::Use(import) => {
                let is_reexport = !matches!(import.vis, syn::Visibility::Inherited);
                collect_imports(
                    &mut module.imports,
                    &mut Vec::new(),
                    &import.tree,
                    is_reexport,
                );
            }
            other => {
                collect_paths(&mut module.paths, other.to_token_stream());
            }
        }
    }
    modules.insert(path, module);
}

fn collect_imports(
    found: &mut Vec<Import>,
    prefix: &mut Vec<String>,
    tree: &UseTree,
    is_reexport: bool,
) {
    let mut add = |name: String, last: Option<String>| {
        let mut path = prefix.clone();
        path.extend(last.filter(|last| last != "self"));
        found.push(Import {
            name,
            path,
            is_reexport,
        });
    };
    match tree {
        UseTree::Path(path) => {
            prefix.push(path.ident.to_string());
            collect_imports(found, prefix, &path.tree, is_reexport);
            prefix.pop();
        }
        UseTree::Name(name) if name.ident == "self" => {
            let own = prefix.last().cloned().unwrap_or_default();
            add(own, None);
        }
        UseTree::Name(name) => add(name.ident.to_string(), Some(name.ident.to_string())),
        UseTree::Rename(rename) => add(rename.rename.to_string(), Some(rename.ident.to_string())),
        UseTree::Glob(_) => add("*".to_owned(), None),
        UseTree::Group(group) => {
            for tree in &group.items {
                collect_imports(found, prefix, tree, is_reexport);
            }
        }
    }
}

/// Collects each path such as `a::b::c` in the tokens, and each single name that is not part of a path.
fn collect_paths(found: &mut Vec<Vec<String>>, tokens: TokenStream) {
    let mut path: Vec<String> = Vec::new();
    let mut colons = 0;
    let mut finish = |path: &mut Vec<String>| {
        if !path.is_empty() {
            found.push(std::mem::take(path));
        }
    };
    let mut groups = Vec::new();
    for token in tokens {
        match token {
            TokenTree::Ident(ident) => {
                if colons != 2 {
                    finish(&mut path);
                }
                path.push(ident.to_string());
                colons = 0;
            }
            TokenTree::Punct(punct) if punct.as_char() == ':' && !path.is_empty() => {
                colons += 1;
            }
            TokenTree::Group(group) => {
                finish(&mut path);
                colons = 0;
                groups.push(group.stream());
            }
            _ => {
                finish(&mut path);
                colons = 0;
            }
        }
    }
    finish(&mut path);
    for group in groups {
        collect_paths(found, group);
    }
}

fn name(item: &Item) -> Option<String> {
    Some(match item {
        Item::Const(item) => item.ident.to_string(),
        Item::Enum(item) => item.ident.to_string(),
        Item::Fn(item) => item.sig.ident.to_string(),
        Item::Macro(item) => item.ident.as_ref()?.to_string(),
        Item::Static(item) => item.ident.to_string(),
        Item::Struct(item) => item.ident.to_string(),
        Item::Trait(item) => item.ident.to_string(),
        Item::TraitAlias(item) => item.ident.to_string(),
        Item::Type(item) => item.ident.to_string(),
        Item::Union(item) => item.ident.to_string(),
        _ => return None,
    })
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// Returns whether the item is compiled for tests alone.
fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let Ok(list) = attribute.meta.require_list() else {
            return false;
        };
        let condition = list.tokens.to_string();
        list.path.is_ident("cfg")
            && (condition == "test" || condition.replace(' ', "").starts_with("all(test"))
    })
}

/// Returns the paths in `#[path = "…"]`, also inside a `cfg_attr`.
fn given_paths(attributes: &[Attribute]) -> Vec<String> {
    let mut found = Vec::new();
    for attribute in attributes {
        let text = attribute.meta.to_token_stream().to_string();
        let Some((before, after)) = text.split_once("path = \"") else {
            continue;
        };
        if before.is_empty() || before.starts_with("cfg_attr") {
            found.extend(after.split('"').next().map(str::to_owned));
        }
    }
    found
}
