//! `bundle`: the archive for Claude Desktop.

use std::io::{Cursor, Read as _};

use serde_json::Value;

use crate::support::Home;

/// A file of an archive: its name and its mode.
type Entry = (String, Option<u32>);

/// Returns the manifest, the files, and the program.
fn unpacked(bytes: Vec<u8>) -> (Value, Vec<Entry>, Vec<u8>) {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
    let mut files = Vec::new();
    let mut contents = Vec::new();
    for index in 0..archive.len() {
        let mut file = archive.by_index(index).unwrap();
        files.push((
            file.name().unwrap().into_owned(),
            file.unix_mode().map(|mode| mode & 0o777),
        ));
        let mut content = Vec::new();
        file.read_to_end(&mut content).unwrap();
        contents.push(content);
    }
    let program = contents.pop().unwrap();
    let manifest = serde_json::from_slice(&contents[0]).unwrap();
    (manifest, files, program)
}

#[cfg(unix)]
#[tokio::test]
async fn a_bundle_has_the_program_and_the_url_and_no_secret() {
    let home = Home::logged_in().await;
    let set = [
        ("MCP_OAUTH_PASSWORD", "planted"),
        ("NO_PROXY", "localhost"),
        ("XDG_RUNTIME_DIR", "/run/mine"),
    ];
    let output = home.path("notes.mcpb").display().to_string();
    let typed = ["bundle", "notes", "-o", &output];
    let run = home.run_in(&set, &typed).await.succeeded();
    run.says(&format!("Wrote {output}"));
    let (manifest, files, program) = unpacked(std::fs::read(&output).unwrap());
    let expected = [("manifest.json", 0o644), ("server/mcp-oauth", 0o755)];
    assert_eq!(
        files,
        expected.map(|(name, mode)| (name.to_owned(), Some(mode)))
    );
    assert!(program == std::fs::read(env!("CARGO_BIN_EXE_mcp-oauth")).unwrap());
    let server = &manifest["server"];
    assert_eq!(
        server["mcp_config"]["command"],
        "${__dirname}/server/mcp-oauth"
    );
    let arguments = server["mcp_config"]["args"].as_array().unwrap();
    assert_eq!(arguments[..2], ["proxy".into(), Value::from(home.url())]);
    let settings = &manifest["user_config"];
    assert_eq!(
        settings["MCP_OAUTH_DATA_DIR"]["default"],
        home.data().to_str().unwrap()
    );
    assert_eq!(settings["NO_PROXY"]["default"], "localhost");
    assert_eq!(settings["MCP_OAUTH_PASSWORD"]["sensitive"], true);
    assert!(settings["MCP_OAUTH_PASSWORD"]["default"].is_null());
    assert!(settings["XDG_RUNTIME_DIR"].is_null());
    let text = manifest.to_string();
    let token = home.run(&["token", "notes"]).await.succeeded().stdout;
    assert!(
        !text.contains("planted") && !text.contains(token.trim()),
        "{text}"
    );
}

#[tokio::test]
async fn a_bundle_is_for_a_known_name_or_an_allowed_url() {
    let home = Home::new().await;
    let plain = ["bundle", "http://mcp.example.com/mcp"];
    home.run(&plain).await.ended(2).says("--allow-http");
    home.run(&["bundle", "unknown"]).await.ended(2);
}
