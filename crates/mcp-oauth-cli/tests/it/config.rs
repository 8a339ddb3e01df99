//! `config`: the configuration of applications, and their files.

use serde_json::{Value, json};

use crate::{
    proxy::{App, add, sum},
    support::{Does, Home, snapshot},
};

const AUTHORITY: &str =
    include_str!("../../../mcp-client-oauth/tests/it/fixtures/sha1/authority.pem");
const JSON_APPS: [(&str, &str, &str); 6] = [
    (
        "claude-desktop",
        "mcpServers",
        "Claude/claude_desktop_config.json",
    ),
    ("cursor", "mcpServers", ".cursor/mcp.json"),
    ("vscode", "servers", "Code/User/mcp.json"),
    (
        "windsurf",
        "mcpServers",
        ".codeium/windsurf/mcp_config.json",
    ),
    ("zed", "context_servers", ".config/zed/settings.json"),
    ("gemini", "mcpServers", ".gemini/settings.json"),
];

/// Returns the arguments of the proxy: the data directory of the test's environment is among them.
fn arguments(home: &Home, more: &[&str]) -> Value {
    let data = home.data().display().to_string();
    json!([&["proxy", "notes", "--data-dir", &data], more].concat())
}

#[tokio::test]
async fn each_application_gets_a_server_that_runs() {
    let home = Home::logged_in().await;
    for (app, member, _) in JSON_APPS {
        let printed = home
            .run(&["config", "notes", "--for", app])
            .await
            .succeeded();
        let server = &printed.json()[member]["notes"];
        assert!(
            server["command"].as_str().unwrap().ends_with("mcp-oauth"),
            "{app}"
        );
        assert_eq!(server["args"], arguments(&home, &[]), "{app}");
    }
    let printed = home
        .run(&["config", "notes", "--for", "codex"])
        .await
        .succeeded();
    printed
        .says("[mcp_servers.notes]\n")
        .says("args = [\"proxy\", \"notes\", \"--data-dir\", ");
}

/// Returns the file of an application. On macOS, Claude and VS Code use another directory.
#[cfg(any(target_os = "linux", target_os = "macos"))]
fn default_file(home: &Home, file: &str) -> std::path::PathBuf {
    let is_in_home = file.starts_with('.');
    if cfg!(target_os = "macos") && !is_in_home {
        return home.path("Library/Application Support").join(file);
    }
    home.path(file)
}

#[cfg(any(target_os = "linux", target_os = "macos"))]
#[tokio::test]
async fn a_configuration_is_written_and_the_old_file_is_kept_as_backup() {
    let home = Home::logged_in().await;
    for (app, member, file) in JSON_APPS {
        let file = default_file(&home, file);
        let typed = ["config", "notes", "--for", app, "--write"];
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        let before = format!(r#"{{"z": 1.50, "{member}": {{"b": {{}}}}, "a": 1}}"#);
        home.file(&file, &before);
        home.run(&typed).await.succeeded();
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(
            text.contains("\"z\": 1.50") && text.find("\"z\"") < text.find("\"a\""),
            "{text}"
        );
        let written: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(written[member]["notes"]["args"], arguments(&home, &[]));
        assert_eq!(written[member]["b"], json!({}));
        let backup = format!("{}.bak", file.display());
        assert_eq!(std::fs::read_to_string(backup).unwrap(), before);
        // Writing it again changes nothing, so there is no new backup.
        let again = home.run(&typed).await.succeeded();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
        assert!(!again.stdout.contains(".bak"), "{}", again.stdout);
    }
    home.run(&["config", "notes", "--for", "codex", "--write"])
        .await
        .succeeded();
    let written = std::fs::read_to_string(home.path(".codex/config.toml")).unwrap();
    assert!(written.contains("[mcp_servers.notes]"), "{written}");
}

#[tokio::test]
async fn codex_gets_a_name_that_it_accepts() {
    let home = Home::new().await;
    home.login(&["my.notes", &home.url()]).await.succeeded();
    let typed = ["config", "my.notes", "--for", "codex"];
    let printed = home.run(&typed).await.succeeded();
    printed
        .says("[mcp_servers.my-notes]\n")
        .says("args = [\"proxy\", \"my.notes\", ");
}

#[tokio::test]
async fn a_configuration_that_does_not_parse_is_left_unchanged() {
    let home = Home::logged_in().await;
    let file = home.file("settings.json", "{ // mine\n  \"a\": 'b'\n}");
    let before = snapshot(&home.path(""));
    let typed = [
        "config", "notes", "--for", "zed", "--write", "--file", &file,
    ];
    home.run(&typed)
        .await
        .ended(1)
        .says(&format!("{file} (left unchanged)"))
        .says("on line 2 column 8")
        .says("without --write");
    assert_eq!(snapshot(&home.path("")), before);
}

#[tokio::test]
async fn comments_in_a_file_stay() {
    let home = Home::logged_in().await;
    let before = "\u{feff}{\r\n\t// mine\r\n\t\"theme\": \"x\",\r\n}";
    let file = home.file("settings.json", before);
    let typed = [
        "config", "notes", "--for", "zed", "--write", "--file", &file,
    ];
    home.run(&typed).await.succeeded();
    let text = std::fs::read_to_string(&file).unwrap();
    let start = before.strip_suffix("\r\n}").unwrap();
    assert!(text.starts_with(start), "{text}");
    let added = "\r\n\t\"context_servers\": {\r\n\t\t\"notes\": {\r\n";
    assert!(text[start.len()..].starts_with(added), "{text}");
    assert_eq!(text.matches('\n').count(), text.matches("\r\n").count());
}

#[tokio::test]
async fn options_and_variables_are_copied_to_the_configuration() {
    let home = Home::logged_in().await;
    let authority = home.file("authority.pem", AUTHORITY);
    let network = ["--ca-cert", &authority];
    let typed = [&["config", "notes", "--for", "cursor"], &network[..]].concat();
    let printed = home.run(&typed).await.succeeded().json();
    let carried = &printed["mcpServers"]["notes"]["args"];
    assert_eq!(*carried, arguments(&home, &network));
    let set = [
        ("MCP_OAUTH_PASSWORD", "planted"),
        ("HTTPS_PROXY", "http://127.0.0.1:1"),
        ("ALL_PROXY", "http://user:planted@127.0.0.1:1"),
    ];
    let warned = home.run_in(&set, &typed[..4]).await.succeeded();
    warned.says(
        "these variables in its environment, as they are set here: MCP_OAUTH_PASSWORD, ALL_PROXY",
    );
    assert!(!warned.stdout.contains("planted"));
    let entry = &warned.json()["mcpServers"]["notes"];
    assert_eq!(entry["env"]["HTTPS_PROXY"], "http://127.0.0.1:1");
    let codex = ["config", "notes", "--for", "codex"];
    let named = home.run_in(&set, &codex).await.succeeded();
    named.says(r#"env_vars = ["MCP_OAUTH_PASSWORD", "ALL_PROXY"]"#);
    assert!(!named.stdout.contains("planted") && !named.stderr.contains("these variables"));
    home.run(&["config", "unknown", "--for", "cursor"])
        .await
        .ended(2);
}

/// Codex passes `HOME`, `LC_CTYPE` and `PATH` to a server, and the SDKs little more.
#[tokio::test]
async fn a_proxy_finds_its_servers_with_almost_no_environment() {
    let home = Home::new().await;
    let directories = ["XDG_CONFIG_HOME", "XDG_DATA_HOME"].map(|name| (name, home.path(name)));
    let in_them = |command: &mut tokio::process::Command| {
        command.env_remove("MCP_OAUTH_DATA_DIR");
        command.envs(directories.iter().map(|(name, path)| (name, path)));
    };
    let typed = ["login", "notes", &home.url()];
    let mut login = home.command(&typed);
    in_them(&mut login);
    home.attended(&typed, login, Does::Approve, "")
        .await
        .succeeded();
    let mut config = home.command(&["config", "notes", "--for", "cursor"]);
    in_them(&mut config);
    let printed = home.finish(&["config"], config).await.succeeded().json();
    let entry = &printed["mcpServers"]["notes"];
    let texts = |list: &Value| -> Vec<String> {
        let all = list.as_array().unwrap().iter();
        all.map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    let mut proxy = home.program(entry["command"].as_str().unwrap());
    proxy.env_clear().env("HOME", home.path(""));
    for (name, value) in entry["env"].as_object().unwrap() {
        proxy.env(name, value.as_str().unwrap());
    }
    proxy.args(texts(&entry["args"]));
    let mut app = App::run(proxy);
    app.handshake().await;
    assert_eq!(sum(&app.request(&add(1)).await), Some(2));
}
