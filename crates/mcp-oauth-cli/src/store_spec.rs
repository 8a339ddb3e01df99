//! The location of the token store, in the syntax of `--store` and `MCP_OAUTH_STORE`: `kind` or
//! `kind:rest`.

use std::path::{Path, PathBuf};

/// The location of a token store.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum StoreLocation {
    /// Encrypted files on this machine.
    Files {
        /// The kind of key that they are encrypted with.
        key: Key,
        /// The directory of the files; none if the platform has no data directory.
        directory: Option<PathBuf>,
    },
    /// HashiCorp Vault or OpenBao, with the text after the colon.
    Vault(String),
    /// Another back end of the library, with its whole specification.
    Other(String),
}

/// The kind of key that files are encrypted with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Key {
    /// The key that the store was created with; for a new store the best that this machine has.
    Auto,
    /// One in the keychain of the system.
    Keychain,
    /// A password, if one is given; else one in a file beside them.
    File,
}

impl StoreLocation {
    /// Parses `spec`; encrypted files are in the `default` directory unless it names one.
    pub(crate) fn parse(spec: &str, default: Option<&Path>) -> Self {
        let (kind, rest) = split(spec);
        match (kind, Key::of_kind(kind)) {
            (_, Some(key)) if rest.is_empty() => Self::Files {
                key,
                directory: default.map(Path::to_owned),
            },
            (_, Some(key)) => Self::Files {
                key,
                directory: Some(rest.into()),
            },
            ("vault", None) => Self::Vault(rest.to_owned()),
            (_, None) => Self::Other(spec.to_owned()),
        }
    }

    /// Returns whether `spec` names a location, and not only a kind of key for the default one.
    pub(crate) fn names_location(spec: &str) -> bool {
        let (kind, rest) = split(spec);
        Key::of_kind(kind).is_none() || !rest.is_empty()
    }
}

impl Key {
    fn of_kind(kind: &str) -> Option<Self> {
        match kind {
            "auto" => Some(Self::Auto),
            "keychain" => Some(Self::Keychain),
            "file" => Some(Self::File),
            _ => None,
        }
    }
}

fn split(spec: &str) -> (&str, &str) {
    spec.split_once(':').unwrap_or((spec, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(key: Key, directory: &str) -> StoreLocation {
        StoreLocation::Files {
            key,
            directory: Some(directory.into()),
        }
    }

    #[test]
    fn a_kind_alone_is_in_the_default_directory() {
        let parse = |spec| StoreLocation::parse(spec, Some(Path::new("/usual")));
        for (spec, location) in [
            ("auto", files(Key::Auto, "/usual")),
            ("keychain", files(Key::Keychain, "/usual")),
            ("keychain:", files(Key::Keychain, "/usual")),
            ("keychain:/a", files(Key::Keychain, "/a")),
            ("file", files(Key::File, "/usual")),
            ("file:/a:b", files(Key::File, "/a:b")),
            ("vault", StoreLocation::Vault(String::new())),
            (
                "vault:https://v.example:8200/kv",
                StoreLocation::Vault("https://v.example:8200/kv".to_owned()),
            ),
            ("memory:", StoreLocation::Other("memory:".to_owned())),
            ("vualt:x", StoreLocation::Other("vualt:x".to_owned())),
        ] {
            assert_eq!(parse(spec), location, "{spec}");
        }
    }
}
