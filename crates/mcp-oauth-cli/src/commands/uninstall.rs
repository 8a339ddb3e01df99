//! `uninstall`: removes the entry of a server from the file of an application, if it runs mcp-oauth.

use crate::{
    apps::{EntryFile, file_of, is_own},
    args::Uninstall,
    context::{Context, is_url, parse_url},
    error::{Exit, Failure},
    servers::name_for,
};

pub(super) fn run(context: &Context, typed: &Uninstall) -> Result<Exit, Failure> {
    let (app, ui) = (typed.app, &context.ui);
    let name = app.server_name(&if is_url(&typed.server) {
        name_for(&parse_url(&typed.server)?)
    } else {
        typed.server.clone()
    });
    let path = match &typed.file {
        Some(path) => path.clone(),
        None => file_of(app)?.ok_or_else(|| {
            Failure::usage("there is no usual file of this application", "--file FILE")
        })?,
    };
    let mut file = EntryFile::open(app, &name, &path)?;
    let path = path.display();
    match file.existing() {
        Some(there) if !is_own(there) => {
            let message = format!("`{name}` in {path} does not run mcp-oauth (left unchanged)");
            let hint = format!("remove it with {}", app.title());
            return Err(Failure::other("conflict", message, Some(hint)));
        }
        Some(_) => {
            file.remove()?;
            let sentence = format!("Removed {name} from {path}");
            file.finish(ui, ("removed", &sentence), typed.dry_run)?;
            if !typed.dry_run {
                ui.progress(format_args!("restart {} if it runs", app.title()));
            }
        }
        None => {
            let sentence = format!("{name} is not in {path}: nothing to remove");
            file.finish(ui, ("unchanged", &sentence), typed.dry_run)?;
        }
    }
    Ok(Exit::Done)
}
