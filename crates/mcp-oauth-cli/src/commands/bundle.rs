//! `bundle`: a bundle for Claude Desktop (MCPB), with a copy of this program in it.

use std::{
    io::{self, Cursor, Write as _},
    path::PathBuf,
};

use mcp_oauth_support::atomic_file::WriteOptions;
use serde_json::{Map, Value, json};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use crate::{
    apps::copied_path,
    args::{Bundle, TargetArgs},
    config::ForwardedEnv,
    context::{Context, allowed_url, is_url},
    error::{Exit, Failure},
    servers::{Server, name_for},
};

mod arguments;

/// The program in the bundle. Claude Desktop adds no `.exe`.
const PROGRAM: &str = if cfg!(windows) {
    "server/mcp-oauth.exe"
} else {
    "server/mcp-oauth"
};

/// The version of the manifest format.
const MANIFEST_VERSION: &str = "0.3";

/// Variables of this session, which another session does not have.
const OF_THIS_SESSION: [&str; 2] = ["XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"];

pub(super) fn run(context: &Context, typed: &Bundle) -> Result<Exit, Failure> {
    let target = context.target(&TargetArgs {
        server: typed.server.clone(),
        account: None,
    })?;
    if is_url(&typed.server) {
        allowed_url(&typed.server, typed.allow_http, &context.servers()?)?;
    }
    let server = target
        .server
        .unwrap_or_else(|| Server::new(target.key.server().clone()));
    let name = if is_url(&typed.server) {
        name_for(&server.url)
    } else {
        typed.server.clone()
    };
    let forwarded = &context.config.forwarded;
    if let Some(flag) = forwarded.lost.first() {
        return Err(Failure::usage(
            format!("cannot write the value of {flag}: it is not UTF-8"),
            "rename the file or directory",
        ));
    }
    let manifest = manifest(&name, &server, &arguments::of(&server, &name)?, forwarded);
    let program = copied_path()?;
    let program =
        std::fs::read(&program).map_err(|error| Failure::file("read", &program, &error))?;
    let bytes = zipped(&manifest, &program).map_err(|error| {
        Failure::other("bundle", format!("cannot make the bundle: {error}"), None)
    })?;
    let output = typed.output.clone();
    let output = output.unwrap_or_else(|| PathBuf::from(format!("{name}.mcpb")));
    let written = options().write(&output, &bytes);
    written.map_err(|error| Failure::file("write", &output, &error))?;
    let document = json!({ "file": output, "name": name, "manifest": manifest });
    context
        .ui
        .result(&document, || format!("Wrote {}", output.display()));
    context.ui.progress(format_args!(
        "open it with Claude Desktop; it has no token: each user logs in on the first use"
    ));
    Ok(Exit::Done)
}

fn manifest(name: &str, server: &Server, arguments: &[String], forwarded: &ForwardedEnv) -> Value {
    let url = server.url.to_string();
    let (settings, environment) = settings(forwarded);
    let mut manifest = json!({
        "manifest_version": MANIFEST_VERSION,
        "name": format!("mcp-oauth-{name}"),
        "display_name": name,
        "version": env!("CARGO_PKG_VERSION"),
        "description": format!("{url}, with OAuth by mcp-oauth"),
        "author": { "name": "mcp-client-oauth", "url": env!("CARGO_PKG_REPOSITORY") },
        "repository": { "type": "git", "url": env!("CARGO_PKG_REPOSITORY") },
        "license": env!("CARGO_PKG_LICENSE"),
        "tools_generated": true,
        "prompts_generated": true,
        "compatibility": { "platforms": [platform()] },
        "server": {
            "type": "binary",
            "entry_point": PROGRAM,
            "mcp_config": {
                "command": format!("${{__dirname}}/{PROGRAM}"),
                "args": arguments,
                "env": environment,
            },
        },
    });
    if !settings.is_empty() {
        manifest["user_config"] = Value::Object(settings);
    }
    manifest
}

/// Returns the settings of this command as settings of the bundle, which a user can change, and the
/// variables that pass them to the program. A secret is a setting without a value, which Claude Desktop
/// stores encrypted.
fn settings(forwarded: &ForwardedEnv) -> (Map<String, Value>, Map<String, Value>) {
    let flags = forwarded.arguments.chunks_exact(2);
    let flags = flags.filter_map(|pair| Some((variable(&pair[0])?, Some(pair[1].as_str()))));
    let values = forwarded.environment.iter();
    let values = values
        .filter(|(name, _)| !OF_THIS_SESSION.contains(name))
        .map(|(name, value)| (*name, Some(value.as_str())));
    let secrets = forwarded.variables.iter().map(|name| (*name, None));
    let (mut settings, mut environment) = (Map::new(), Map::new());
    for (name, value) in flags.chain(values).chain(secrets) {
        let mut setting = json!({
            "type": "string",
            "title": name,
            "description": format!("The variable {name} of mcp-oauth"),
            "required": value.is_none(),
        });
        match value {
            Some(value) => setting["default"] = value.into(),
            None => setting["sensitive"] = true.into(),
        }
        settings.insert(name.to_owned(), setting);
        environment.insert(name.to_owned(), format!("${{user_config.{name}}}").into());
    }
    (settings, environment)
}

/// Returns the variable that is the same as a flag of every command.
fn variable(flag: &str) -> Option<&'static str> {
    let known = [
        ("--store", "MCP_OAUTH_STORE"),
        ("--data-dir", "MCP_OAUTH_DATA_DIR"),
        ("--password-file", "MCP_OAUTH_PASSWORD_FILE"),
        ("--ca-cert", "MCP_OAUTH_CA_CERT"),
        ("--client-cert", "MCP_OAUTH_CLIENT_CERT"),
        ("--client-key", "MCP_OAUTH_CLIENT_KEY"),
    ];
    let mut known = known.into_iter();
    known
        .find(|(name, _)| *name == flag)
        .map(|(_, variable)| variable)
}

/// Returns the name of this system in a manifest.
fn platform() -> &'static str {
    match std::env::consts::OS {
        "macos" => "darwin",
        "windows" => "win32",
        other => other,
    }
}

/// Returns the options of the file. It has no secret, so others may read it.
fn options() -> WriteOptions {
    let options = WriteOptions::default();
    #[cfg(unix)]
    let options = options.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644));
    options
}

/// Returns the archive. It has no times, so that the same input makes the same bytes.
fn zipped(manifest: &Value, program: &[u8]) -> io::Result<Vec<u8>> {
    // A debug build is large, and only tests make a bundle of it.
    let level = if cfg!(debug_assertions) { 1 } else { 9 };
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(level));
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    archive.start_file("manifest.json", options.unix_permissions(0o644))?;
    archive.write_all(format!("{manifest:#}\n").as_bytes())?;
    archive.start_file(PROGRAM, options.unix_permissions(0o755))?;
    archive.write_all(program)?;
    Ok(archive.finish()?.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_input_makes_the_same_bytes() {
        let server = Server::new("https://mcp.example.com/mcp".parse().unwrap());
        let words = arguments::of(&server, "notes").unwrap();
        let forwarded = ForwardedEnv::default();
        let manifest = manifest("notes", &server, &words, &forwarded);
        assert!(manifest["user_config"].is_null());
        let once = zipped(&manifest, b"program").unwrap();
        assert_eq!(once, zipped(&manifest, b"program").unwrap());
        // The date of each file is the first one that the format has, 1980-01-01.
        assert_eq!(once[10..14], [0, 0, 0x21, 0]);
    }
}
