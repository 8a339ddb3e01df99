//! Where tokens are kept, as `--store` and `MCP_OAUTH_STORE` name it: `kind` or `kind:rest`.

use std::path::{Path, PathBuf};

/// Says where tokens are kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum StoreLocation {
    /// Sealed files on this machine.
    Files {
        /// Says which key seals them.
        key: Key,
        /// Says where they are; none if the system names no directory.
        directory: Option<PathBuf>,
    },
    /// HashiCorp Vault or OpenBao: what follows the colon.
    Vault(String),
    /// Holds what another back end of the library is opened with.
    Other(String),
}

/// Says which key seals the files.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Key {
    /// The one that the store was made with; for a new store the best that this machine has.
    Auto,
    /// One in the keychain of the system.
    Keychain,
    /// A password, if one is given; else one in a file beside them.
    File,
}

impl StoreLocation {
    /// Returns what `spec` names; sealed files are in the `usual` directory unless it names one.
    pub(crate) fn of_spec(spec: &str, usual: Option<&Path>) -> Self {
        let (kind, rest) = split(spec);
        match (kind, Key::of_kind(kind)) {
            (_, Some(key)) if rest.is_empty() => Self::Files {
                key,
                directory: usual.map(Path::to_owned),
            },
            (_, Some(key)) => Self::Files {
                key,
                directory: Some(rest.into()),
            },
            ("vault", None) => Self::Vault(rest.to_owned()),
            (_, None) => Self::Other(spec.to_owned()),
        }
    }

    /// Returns whether `spec` names a place of its own, rather than a kind of key for the usual one.
    pub(crate) fn is_elsewhere(spec: &str) -> bool {
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
    fn a_kind_alone_means_the_usual_directory() {
        let place = |spec| StoreLocation::of_spec(spec, Some(Path::new("/usual")));
        for (spec, meant) in [
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
            assert_eq!(place(spec), meant, "{spec}");
        }
    }
}
