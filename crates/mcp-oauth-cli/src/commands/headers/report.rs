//! What the process in the background reports to the command that has started it: a line of JSON each.

use serde::{Deserialize, Serialize};

use crate::error::{Exit, Failure, RenderedError};

/// A report. No token is in it: the store has the token.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Report {
    /// A browser was opened for a login.
    LoginOpened,
    /// Another process has a login in progress.
    LoginElsewhere,
    /// The store has a valid token.
    Renewed,
    /// There is no token.
    Failed {
        exit: u8,
        code: String,
        message: String,
        hint: Option<String>,
    },
}

impl From<RenderedError> for Report {
    fn from(error: RenderedError) -> Self {
        Self::Failed {
            exit: error.exit as u8,
            code: error.code.to_owned(),
            message: error.message,
            hint: error.hint,
        }
    }
}

/// Returns a reported failure as one of this process.
pub(super) fn failure(exit: u8, code: String, message: String, hint: Option<String>) -> Failure {
    let exits = [Exit::Usage, Exit::LogIn, Exit::Later];
    let exit = exits.into_iter().find(|known| *known as u8 == exit);
    Failure::Other {
        // Once: the process ends with it.
        code: code.leak(),
        message,
        hint,
        exit: exit.unwrap_or(Exit::Failed),
    }
}
