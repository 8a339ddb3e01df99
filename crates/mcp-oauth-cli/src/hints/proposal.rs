//! The command that a hint proposes: its options, and its text for a shell.

use std::fmt;

use crate::shell::quoted;

/// One option, with its value if it takes one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Flag {
    pub(super) name: &'static str,
    pub(super) value: Option<String>,
}

/// Options that `login` does not take together with another.
const CONFLICTS: [(&str, &[&str]); 9] = [
    (
        "--device",
        &[
            "--port",
            "--redirect-uri",
            "--no-browser",
            "--no-wait",
            NON_INTERACTIVE,
        ],
    ),
    ("--no-browser", &["--device", NON_INTERACTIVE]),
    ("--port", &["--redirect-uri", "--device"]),
    ("--redirect-uri", &["--port", "--device"]),
    ("--client-id", &["--client-metadata-url"]),
    (
        "--client-metadata-url",
        &["--client-id", "--client-secret-stdin"],
    ),
    (
        "--client-credentials",
        &["--device", "--workload-token", "--reuse-login", "--no-wait"],
    ),
    (
        "--workload-token",
        &[
            "--device",
            "--client-credentials",
            "--reuse-login",
            "--no-wait",
        ],
    ),
    ("--resource", &["--no-resource"]),
];

/// Stands for every option of a non-interactive login.
const NON_INTERACTIVE: &str = "non-interactive";

pub(super) const NON_INTERACTIVE_FLAGS: [&str; 8] = [
    "--client-credentials",
    "--workload-token",
    "--idp",
    "--idp-token-endpoint",
    "--idp-client-id",
    "--idp-private-key",
    "--id-token",
    "--idp-refresh-token",
];

/// A command that a hint proposes. `Display` writes it for a POSIX shell.
#[derive(Clone, Debug)]
pub(super) struct Proposal {
    pub(super) verb: &'static str,
    pub(super) server: Vec<String>,
    pub(super) url: Option<String>,
    pub(super) flags: Vec<Flag>,
    pub(super) global: Vec<Flag>,
}

impl Proposal {
    /// Adds an option, and drops those that do not go with it.
    #[must_use]
    pub(super) fn with(self, name: &'static str) -> Self {
        self.set(Flag { name, value: None })
    }

    /// Adds an option with a value, instead of the one that was typed.
    #[must_use]
    pub(super) fn with_value(self, name: &'static str, value: impl Into<String>) -> Self {
        self.set(Flag::valued(name, value))
    }

    fn set(self, flag: Flag) -> Self {
        let conflicts = CONFLICTS.iter().filter(|(name, _)| *name == flag.name);
        let conflicts: Vec<&str> = conflicts.flat_map(|(_, others)| *others).copied().collect();
        let mut proposal = self.without(&conflicts);
        if conflicts.contains(&NON_INTERACTIVE) {
            proposal = proposal.without(&NON_INTERACTIVE_FLAGS);
        }
        let list = match flag.name {
            "--store" => &mut proposal.global,
            _ => &mut proposal.flags,
        };
        match list.iter_mut().find(|typed| typed.name == flag.name) {
            Some(typed) => *typed = flag,
            None => list.push(flag),
        }
        proposal
    }

    /// Adds an option with a value, beside others of that name.
    #[must_use]
    pub(super) fn with_more(mut self, name: &'static str, value: impl Into<String>) -> Self {
        let flag = Flag::valued(name, value);
        if !self.flags.contains(&flag) {
            self.flags.push(flag);
        }
        self
    }

    /// Adds an option with a value unless it was typed.
    #[must_use]
    pub(super) fn with_default(self, name: &'static str, value: &str) -> Self {
        if self.flags.iter().any(|typed| typed.name == name) {
            self
        } else {
            self.with_value(name, value)
        }
    }

    /// Drops the store and the password that were typed: they are not those of the existing store.
    #[must_use]
    pub(super) fn without_store(mut self) -> Self {
        let typed = ["--store", "--password-file"];
        self.global.retain(|flag| !typed.contains(&flag.name));
        self
    }

    /// Returns the arguments, for a process that is started without a shell.
    pub(super) fn arguments(self) -> Vec<String> {
        let own = [self.verb.to_owned()].into_iter().chain(self.server);
        let flags = self.flags.into_iter().chain(self.global);
        let flags = flags.map(|Flag { name, value }| match value {
            Some(value) => format!("{name}={value}"),
            None => name.to_owned(),
        });
        own.chain(self.url).chain(flags).collect()
    }

    /// Drops options that were typed.
    #[must_use]
    pub(super) fn without(mut self, names: &[&str]) -> Self {
        self.flags.retain(|flag| !names.contains(&flag.name));
        self
    }
}

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mcp-oauth {}", self.verb)?;
        for argument in self.server.iter().chain(&self.url) {
            write!(f, " {}", quoted(argument))?;
        }
        for Flag { name, value } in self.flags.iter().chain(&self.global) {
            match value {
                Some(value) if value.starts_with('-') => write!(f, " {name}={}", quoted(value))?,
                Some(value) => write!(f, " {name} {}", quoted(value))?,
                None => write!(f, " {name}")?,
            }
        }
        Ok(())
    }
}

impl Flag {
    pub(super) fn valued(name: &'static str, value: impl Into<String>) -> Self {
        let value = Some(value.into());
        Self { name, value }
    }
}
