//! `uninstall`: removes the entry of a server from the file of an application, if it runs mcp-oauth.

use serde_json::json;

use crate::{
    apps::{Edit, EditError, Slot, file_of, is_own},
    args::Uninstall,
    context::{Context, is_url, parse_url},
    error::{Exit, Failure},
    servers::name_for,
};

pub(super) fn run(context: &Context, typed: &Uninstall) -> Result<Exit, Failure> {
    let name = typed.app.server_name(&if is_url(&typed.server) {
        name_for(&parse_url(&typed.server)?)
    } else {
        typed.server.clone()
    });
    let path = match &typed.file {
        Some(path) => path.clone(),
        None => file_of(typed.app)?.ok_or_else(|| {
            Failure::usage("there is no usual file of this application", "--file FILE")
        })?,
    };
    let slot = Slot {
        member: typed.app.member(),
        name: &name,
    };
    let unchanged = |reason: EditError| {
        let message = format!(
            "cannot change {} (left unchanged): {reason}",
            path.display()
        );
        Failure::other("file", message, None)
    };
    let format = typed.app.format();
    let mut edit = Edit::read(&path)?;
    let existing = format.find(edit.text(), slot).map_err(unchanged)?;
    match &existing {
        Some(there) if !is_own(there) => {
            let message = format!(
                "`{name}` in {} does not run mcp-oauth (left unchanged)",
                path.display()
            );
            let hint = format!("remove it with {}", typed.app.title());
            return Err(Failure::other("conflict", message, Some(hint)));
        }
        Some(_) => {
            let text = format.remove(edit.text(), slot).map_err(unchanged)?;
            edit.set(text);
        }
        None => {}
    }
    let action = if existing.is_some() {
        "removed"
    } else {
        "unchanged"
    };
    let absent = || format!("{name} is not in {}: nothing to remove", path.display());
    if typed.dry_run {
        let diff = edit.diff();
        let document = json!({
            "app": typed.app.title(), "name": name, "file": path, "action": action,
            "diff": diff, "dry_run": true,
        });
        context.ui.result(&document, || {
            existing.map_or_else(absent, |_| diff.trim_end().to_owned())
        });
        return Ok(Exit::Done);
    }
    let backup = if edit.is_change() {
        edit.write()?
    } else {
        None
    };
    let document = json!({
        "app": typed.app.title(), "name": name, "file": path, "backup": backup, "action": action,
    });
    context.ui.result(&document, || {
        let copy = backup.map(|backup| format!("; the old file is {}", backup.display()));
        existing.as_ref().map_or_else(absent, |_| {
            format!(
                "Removed {name} from {}{}",
                path.display(),
                copy.unwrap_or_default()
            )
        })
    });
    if existing.is_some() {
        context
            .ui
            .progress(format_args!("restart {} if it runs", typed.app.title()));
    }
    Ok(Exit::Done)
}
