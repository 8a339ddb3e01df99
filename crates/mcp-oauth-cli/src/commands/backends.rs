//! `backends`: which kinds of store this build has, which one is used, where, and why.

use std::path::Path;

use mcp_client_oauth::store::{BACKENDS, KeyKind, SealedFiles};
use serde_json::json;

use super::Context;
use crate::{
    config::{Password, Place},
    exit::{Exit, Failure},
    ui::{BAD, GOOD, SOFT, fields},
};

/// The kind of a back end, in words.
fn about(name: &str) -> &'static str {
    match name {
        "file" => "files on this machine, sealed with AES-256-GCM",
        "memory" => "nothing is kept when the command ends",
        _ => "",
    }
}

/// Says what there is. A store that cannot be used is told, not opened.
pub(super) fn run(context: &Context) -> Exit {
    let config = &context.config;
    let (chosen, directory) = match &config.place {
        Place::Files(directory) => ("file", directory.as_deref()),
        Place::Other(spec) => (spec.split(':').next().unwrap_or_default(), None),
    };
    let sealed = directory
        .map(|directory| sealed(directory, &config.password))
        .transpose();
    // A damaged store is told like everything else that is known of it.
    let (sealed, problem) = match sealed {
        Ok(sealed) => (sealed, None),
        Err(failure) => (None, Some(failure.told(None).message)),
    };
    let names: Vec<&str> = BACKENDS.iter().map(|(name, _)| *name).collect();
    let place = directory.map(|directory| directory.display().to_string());
    let document = json!({
        "backends": names.iter().map(|name| json!({ "name": name, "about": about(name) }))
            .collect::<Vec<_>>(),
        "chosen": chosen,
        "why": config.why,
        "directory": place,
        "sealed": sealed,
        "problem": problem,
        "names": config.names().ok().map(|file| file.display().to_string()),
    });
    context.ui.result(&document, || {
        let mut lines: Vec<String> = names
            .iter()
            .map(|name| line(name, *name == chosen))
            .collect();
        let mut rows = vec![("chosen", format!("{chosen} ({})", config.why))];
        rows.extend(place.map(|place| ("directory", place)));
        rows.extend(sealed.map(|sealed| ("sealed", sealed)));
        rows.extend(problem.map(|problem| ("problem", format!("{BAD}{problem}{BAD:#}"))));
        rows.extend(
            config
                .names()
                .ok()
                .map(|file| ("names", file.display().to_string())),
        );
        lines.extend([String::new(), fields(&rows)]);
        lines.join("\n")
    });
    Exit::Done
}

fn line(name: &str, chosen: bool) -> String {
    let mark = if chosen {
        format!("{GOOD}*{GOOD:#}")
    } else {
        " ".to_owned()
    };
    format!("{mark} {name:8}{SOFT}{}{SOFT:#}", about(name))
}

/// How the files are sealed, or will be.
fn sealed(directory: &Path, password: &Password) -> Result<String, Failure> {
    let given = !matches!(password, Password::Ask);
    Ok(match SealedFiles::key_kind(directory)? {
        Some(kind @ KeyKind::KeyFile) => {
            format!("with a {kind}: {}", directory.join("key").display())
        }
        Some(kind) => format!("with a {kind}"),
        None if given => "not made yet; it will be sealed with your password".to_owned(),
        None => "not made yet; it will be sealed with a key file (give a password for more: \
                 --password-file FILE)"
            .to_owned(),
    })
}
