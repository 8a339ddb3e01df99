//! The source of an assertion, as it is typed and as it is stored: `FILE`, `env:NAME` or
//! `cmd:PROGRAM`; and the identity provider that an assertion is for.

use std::path::absolute;

use mcp_client_oauth::{AssertionSource, flow::Issuer};
use serde::{Deserialize, Serialize};
use url::Url;

const VARIABLE: &str = "env:";
const COMMAND: &str = "cmd:";

/// The source of an assertion. It names where the assertion comes from and never holds it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Source(String);

impl Source {
    /// Parses what was typed. The path of a file becomes absolute, because it is read again from other
    /// directories.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text == VARIABLE {
            return Err("expected a variable, as in env:NAME".to_owned());
        }
        let line = text.strip_prefix(COMMAND);
        if line.is_some_and(|line| line.trim().is_empty()) {
            return Err("expected a program, as in cmd:PROGRAM".to_owned());
        }
        if line.is_some() || text.starts_with(VARIABLE) {
            return Ok(Self(text.to_owned()));
        }
        let file = absolute(text).map_err(|error| error.to_string())?;
        let file = file.into_os_string().into_string();
        file.map(Self)
            .map_err(|_| "the path of the file is not UTF-8 text".to_owned())
    }

    /// Returns the source for the library.
    pub(crate) fn to_library(&self) -> AssertionSource {
        if let Some(name) = self.0.strip_prefix(VARIABLE) {
            return AssertionSource::Variable(name.to_owned());
        }
        match self.0.strip_prefix(COMMAND) {
            Some(line) => {
                let words = line.split_whitespace().map(str::to_owned);
                AssertionSource::Command(words.collect())
            }
            None => AssertionSource::File((&*self.0).into()),
        }
    }

    /// Returns the source for a message. The arguments of a program may hold a secret, so they are left
    /// out.
    pub(crate) fn shown(&self) -> String {
        if self.0.starts_with(COMMAND) {
            return "cmd:PROGRAM".to_owned();
        }
        self.0.clone()
    }
}

/// The identity provider of an organization. The secret or key of the client there is in the record.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Idp {
    pub(crate) issuer: Issuer,
    pub(crate) token_endpoint: Url,
    pub(crate) client_id: String,
    /// The source of the ID token; `refresh_token` is the source of a refresh token that is used instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) id_token: Option<Source>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) refresh_token: Option<Source>,
}

impl TryFrom<String> for Source {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl From<Source> for String {
    fn from(source: Source) -> Self {
        source.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assertion_comes_from_a_file_a_variable_or_a_program() {
        let words = ["vault", "read", "-field=jwt"].map(str::to_owned).to_vec();
        for (text, source) in [
            ("env:JWT", AssertionSource::Variable("JWT".to_owned())),
            (
                "cmd: vault read  -field=jwt",
                AssertionSource::Command(words),
            ),
        ] {
            let typed = Source::parse(text).unwrap();
            assert_eq!(typed.to_library(), source, "{text}");
            let remembered = serde_json::to_string(&typed).unwrap();
            assert_eq!(remembered, format!("{text:?}"));
            assert_eq!(serde_json::from_str::<Source>(&remembered).unwrap(), typed);
        }
        let file = Source::parse("token.jwt").unwrap();
        assert!(matches!(file.to_library(), AssertionSource::File(path) if path.is_absolute()));
        assert!(Source::parse("env:").is_err() && Source::parse("cmd: ").is_err());
    }
}
