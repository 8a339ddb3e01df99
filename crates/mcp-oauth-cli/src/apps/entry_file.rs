//! One entry in the file of an application: found, changed, and written or shown.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{
    file::Edit,
    text::{EditError, Slot},
};
use crate::{args::App, error::Failure, ui::Ui};

/// The file of an application, and the entry of one name in it.
#[derive(Debug)]
pub(crate) struct EntryFile {
    app: App,
    name: String,
    path: PathBuf,
    edit: Edit,
    existing: Option<Value>,
}

impl EntryFile {
    /// Reads the file. One that cannot be parsed is an error.
    pub(crate) fn open(app: App, name: &str, path: &Path) -> Result<Self, Failure> {
        let mut file = Self {
            app,
            name: name.to_owned(),
            path: path.to_owned(),
            edit: Edit::read(path)?,
            existing: None,
        };
        let existing = app.format().find(file.edit.text(), file.slot());
        file.existing = existing.map_err(|reason| file.unchanged(&reason))?;
        Ok(file)
    }

    /// Returns the entry as it is in the file.
    pub(crate) fn existing(&self) -> Option<&Value> {
        self.existing.as_ref()
    }

    /// Sets the entry.
    pub(crate) fn set(&mut self, entry: &Value) -> Result<(), Failure> {
        let text = self.app.format().set(self.edit.text(), self.slot(), entry);
        let text = text.map_err(|reason| self.unchanged(&reason))?;
        self.edit.set(text);
        Ok(())
    }

    /// Removes the entry.
    pub(crate) fn remove(&mut self) -> Result<(), Failure> {
        let text = self.app.format().remove(self.edit.text(), self.slot());
        let text = text.map_err(|reason| self.unchanged(&reason))?;
        self.edit.set(text);
        Ok(())
    }

    /// Writes the file if it is changed, and reports that: the `action` for programs, the `sentence` for
    /// users. With `dry_run` it shows the change as a diff instead.
    pub(crate) fn finish(
        &self,
        ui: &Ui,
        (action, sentence): (&'static str, &str),
        dry_run: bool,
    ) -> Result<(), Failure> {
        let mut document = json!({
            "app": self.app.title(), "name": self.name, "file": self.path, "action": action,
        });
        if dry_run {
            let diff = self.edit.diff();
            document["dry_run"] = true.into();
            document["diff"] = diff.as_str().into();
            ui.result(&document, || match diff.trim_end() {
                "" => sentence.to_owned(),
                diff => diff.to_owned(),
            });
            return Ok(());
        }
        let backup = if self.edit.is_change() {
            self.edit.write()?
        } else {
            None
        };
        document["backup"] = json!(backup);
        ui.result(&document, || match backup {
            Some(backup) => format!("{sentence}; the old file is {}", backup.display()),
            None => sentence.to_owned(),
        });
        Ok(())
    }

    fn slot(&self) -> Slot<'_> {
        Slot {
            member: self.app.member(),
            name: &self.name,
        }
    }

    fn unchanged(&self, reason: &EditError) -> Failure {
        let path = self.path.display();
        let message = format!("cannot change {path} (left unchanged): {reason}");
        let hint = "fix the file; `mcp-oauth install` with --print prints the entry";
        Failure::other("file", message, Some(hint.to_owned()))
    }
}

/// Returns a whole file with this entry, as text and as JSON.
pub(crate) fn printed(app: App, name: &str, entry: &Value) -> Result<(String, Value), Failure> {
    let slot = Slot {
        member: app.member(),
        name,
    };
    let text = app.format().set("", slot, entry);
    let text = text.map_err(|reason| Failure::other("install", reason.to_string(), None))?;
    Ok((text, json!({ slot.member: { name: entry } })))
}
