//! The identifiers and strings of Rust sources.

use proc_macro2::{TokenStream, TokenTree};

use super::table::Kind;

/// Calls `add` with each identifier, and with each line of each string that is a message: of the
/// strings of code if `strings` is set, and of doc comments if `docs` is set.
pub(super) fn walk(
    tokens: TokenStream,
    strings: bool,
    docs: bool,
    add: &mut impl FnMut(Kind, usize, &str),
) {
    let mut is_doc = 0;
    for token in tokens {
        let line = token.span().start().line;
        match token {
            TokenTree::Group(group) => walk(group.stream(), strings, docs, add),
            TokenTree::Ident(ident) => {
                let name = ident.to_string();
                is_doc = if name == "doc" { 2 } else { 0 };
                add(Kind::Name, line, &name);
                continue;
            }
            TokenTree::Literal(literal) => {
                let text = literal.to_string();
                let counts = if is_doc == 1 { docs } else { strings };
                if counts && text.contains('"') {
                    // A finding in a long string has the number of its own line.
                    for (at, part) in text.lines().enumerate() {
                        add(Kind::Message, line + at, part);
                    }
                }
            }
            TokenTree::Punct(_) => {}
        }
        is_doc = usize::from(is_doc == 2);
    }
}
