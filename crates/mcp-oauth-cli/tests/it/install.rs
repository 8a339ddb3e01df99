//! `install`: the entry of each application, and what it carries.

use mcp_oauth_testbed::{DpopPolicy, Testbed};
use serde_json::{Value, json};

use crate::{
    proxy::{App, add, sum},
    support::{Does, Home},
};

mod bundle;
mod files;
mod old_form;

const AUTHORITY: &str =
    include_str!("../../../mcp-client-oauth/tests/it/fixtures/sha1/authority.pem");

/// The applications with a JSON file: the member of the servers, and the file in a home where
/// `XDG_CONFIG_HOME` is the home too.
const JSON_APPS: [(&str, &str, &str); 10] = [
    ("claude-code", "mcpServers", ".claude.json"),
    (
        "claude-desktop",
        "mcpServers",
        "Claude/claude_desktop_config.json",
    ),
    ("copilot", "mcpServers", ".copilot/mcp-config.json"),
    ("cursor", "mcpServers", ".cursor/mcp.json"),
    ("gemini", "mcpServers", ".gemini/settings.json"),
    ("opencode", "mcp", "opencode/opencode.jsonc"),
    ("qwen", "mcpServers", ".qwen/settings.json"),
    ("vscode", "servers", "Code/User/mcp.json"),
    (
        "windsurf",
        "mcpServers",
        ".codeium/windsurf/mcp_config.json",
    ),
    ("zed", "context_servers", "zed/settings.json"),
];

/// Returns the arguments of the proxy: the data directory of the test's environment is among them.
fn arguments(home: &Home, more: &[&str]) -> Value {
    let data = home.data().display().to_string();
    json!([&["proxy", "notes", "--data-dir", &data], more].concat())
}

/// Returns the words of the command of an entry.
fn words(entry: &Value) -> Vec<String> {
    let command = match &entry["command"] {
        Value::Array(words) => words.clone(),
        program => vec![program.clone()],
    };
    let none = Vec::new();
    let arguments = entry["args"].as_array().unwrap_or(&none);
    let all = command.iter().chain(arguments);
    all.map(|text| text.as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn each_application_gets_an_entry_that_runs_the_proxy() {
    let home = Home::logged_in().await;
    for (app, member, _) in JSON_APPS.into_iter().chain([("generic", "mcpServers", "")]) {
        let typed = ["install", "--app", app, "notes", "--print"];
        let printed = home.run(&typed).await.succeeded();
        let words = words(&printed.json()[member]["notes"]);
        assert!(words[0].ends_with("mcp-oauth"), "{app}: {words:?}");
        assert_eq!(json!(words[1..]), arguments(&home, &[]), "{app}");
    }
    for (app, says) in [
        ("codex", "[mcp_servers.notes]\n"),
        ("goose", "extensions:\n  notes:\n"),
    ] {
        let typed = ["install", "--app", app, "notes", "--print"];
        let printed = home.run(&typed).await.succeeded();
        printed
            .says(says)
            .says("[\"proxy\", \"notes\", \"--data-dir\", ");
    }
    let nothing = home.run(&["list", "--json"]).await.succeeded();
    assert!(!nothing.stdout.contains(".bak"));
}

/// Returns the file of an application. On macOS, Claude and VS Code use another directory.
#[cfg(any(target_os = "linux", target_os = "macos"))]
fn default_file(home: &Home, file: &str) -> std::path::PathBuf {
    if cfg!(target_os = "macos") {
        if file.starts_with("zed/") {
            return home.path(".config").join(file);
        }
        if !file.starts_with('.') && !file.starts_with("opencode/") {
            return home.path("Library/Application Support").join(file);
        }
    }
    home.path(file)
}

#[cfg(any(target_os = "linux", target_os = "macos"))]
#[tokio::test]
async fn an_entry_is_written_once_and_removed_again() {
    let home = Home::logged_in().await;
    for (app, member, file) in JSON_APPS {
        let file = default_file(&home, file);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        let before = format!("{{\"z\": 1.50,\n \"{member}\": {{\n  \"b\": {{}}\n }}, \"a\": 1}}\n");
        home.file(&file, &before);
        let install = ["install", "--app", app, "notes"];
        let added = home.run(&install).await.succeeded();
        added.says(&format!(
            "Added notes to {}; the old file is ",
            file.display()
        ));
        let text = std::fs::read_to_string(&file).unwrap();
        let written: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            json!(words(&written[member]["notes"])[1..]),
            arguments(&home, &[])
        );
        assert!(
            text.starts_with("{\"z\": 1.50,\n") && text.ends_with("}, \"a\": 1}\n"),
            "{text}"
        );
        let backup = format!("{}.bak", file.display());
        assert_eq!(std::fs::read_to_string(backup).unwrap(), before);
        let again = home.run(&install).await.succeeded();
        again.says("already: nothing to change");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
        assert!(!again.stdout.contains(".bak"), "{}", again.stdout);
        let uninstall = ["uninstall", "--app", app, "notes"];
        home.run(&uninstall)
            .await
            .succeeded()
            .says("Removed notes from ");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), before, "{app}");
        home.run(&uninstall)
            .await
            .succeeded()
            .says("nothing to remove");
    }
}

#[cfg(any(target_os = "linux", target_os = "macos"))]
#[tokio::test]
async fn codex_and_goose_get_their_own_formats() {
    let home = Home::new().await;
    home.login(&["My.notes", &home.url()]).await.succeeded();
    for (app, file, header) in [
        ("codex", ".codex/config.toml", "[mcp_servers.My-notes]\n"),
        ("goose", "goose/config.yaml", "  my.notes:\n"),
    ] {
        let file = home.path(file);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        let before = match app {
            "codex" => "# mine\r\nmodel = \"o\" # yes\r\n",
            _ => "# mine\r\nextensions: # all\r\n  a:\r\n    type: builtin\r\n",
        };
        home.file(&file, before);
        let typed = ["install", "--app", app, "My.notes"];
        home.run(&typed).await.succeeded().says("Added ");
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.starts_with(before), "{text}");
        let lines = text.replace("\r\n", "\n");
        assert!(
            lines.contains(header) && lines.contains("[\"proxy\", \"My.notes\", "),
            "{text}"
        );
        assert_eq!(text.matches('\n').count(), text.matches("\r\n").count());
        home.run(&typed).await.succeeded().says("nothing to change");
        let typed = ["uninstall", "--app", app, "My.notes"];
        home.run(&typed).await.succeeded().says("Removed ");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), before);
    }
}

#[tokio::test]
async fn the_variables_of_an_application_move_its_file() {
    let home = Home::logged_in().await;
    for (app, variable, file) in [
        ("claude-code", "CLAUDE_CONFIG_DIR", ".claude.json"),
        ("codex", "CODEX_HOME", "config.toml"),
        ("copilot", "COPILOT_HOME", "mcp-config.json"),
        ("gemini", "GEMINI_CLI_HOME", ".gemini/settings.json"),
        ("goose", "GOOSE_PATH_ROOT", "config/config.yaml"),
        ("qwen", "QWEN_HOME", "settings.json"),
    ] {
        let moved = home.path(app).display().to_string();
        let typed = ["install", "--app", app, "notes"];
        let run = home.run_with(variable, &moved, &typed).await.succeeded();
        let file = home.path(app).join(file);
        run.says(&format!("Added notes to {}", file.display()));
        assert!(file.exists());
    }
}

#[tokio::test]
async fn options_and_variables_are_part_of_the_entry() {
    let home = Home::logged_in().await;
    let authority = home.file("authority.pem", AUTHORITY);
    let network = ["--ca-cert", &authority];
    let typed = [
        &["install", "--app", "cursor", "notes", "--print"],
        &network[..],
    ]
    .concat();
    let printed = home.run(&typed).await.succeeded().json();
    let carried = &printed["mcpServers"]["notes"]["args"];
    assert_eq!(*carried, arguments(&home, &network));
    let set = [
        ("MCP_OAUTH_PASSWORD", "planted"),
        ("HTTPS_PROXY", "http://127.0.0.1:1"),
        ("ALL_PROXY", "http://user:planted@127.0.0.1:1"),
    ];
    let print = async |app| {
        let typed = ["install", "--app", app, "notes", "--print"];
        let run = home.run_in(&set, &typed).await.succeeded();
        assert!(!run.stdout.contains("planted"), "{app}");
        run
    };
    let names = "MCP_OAUTH_PASSWORD, ALL_PROXY";
    for app in ["cursor", "claude-code", "zed"] {
        let warned = print(app).await;
        warned.says(&format!(
            "in its environment, as they are set here: {names}"
        ));
        warned.says("http://127.0.0.1:1");
    }
    print("claude-desktop")
        .await
        .says("passes no such variables");
    let gemini = print("gemini").await.json();
    let variables = &gemini["mcpServers"]["notes"]["env"];
    assert_eq!(variables["MCP_OAUTH_PASSWORD"], "${MCP_OAUTH_PASSWORD}");
    for (app, list) in [
        ("codex", r#"env_vars = ["MCP_OAUTH_PASSWORD", "ALL_PROXY""#),
        ("goose", r#"env_keys: ["MCP_OAUTH_PASSWORD", "ALL_PROXY"]"#),
    ] {
        let run = print(app).await;
        run.says(list);
        assert!(!run.stderr.contains("these variables"), "{}", run.stderr);
    }
    let unknown = ["install", "--app", "cursor", "unknown"];
    home.run(&unknown).await.ended(2);
}

#[tokio::test]
async fn a_server_without_a_login_is_installed_with_the_next_step() {
    let home = Home::logged_in().await;
    let file = home.path("mcp.json").display().to_string();
    let install = |server: &str| {
        let typed = ["install", "--app", "generic", server, "--file", &file];
        typed.map(str::to_owned)
    };
    let first = install("notes");
    let run = home.run(&first.each_ref().map(String::as_str)).await;
    assert!(!run.succeeded().stderr.contains("not logged in"));
    home.run(&["logout", "notes"]).await.succeeded();
    for (server, says) in [
        ("notes", "mcp-oauth login notes"),
        (
            "https://mcp.example.com/mcp",
            "mcp-oauth login https://mcp.example.com/mcp",
        ),
    ] {
        let typed = install(server);
        let run = home.run(&typed.each_ref().map(String::as_str)).await;
        run.succeeded().says("not logged in yet").says(says);
    }
    let written: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let entry = &written["mcpServers"]["example"];
    assert_eq!(entry["args"][1], "https://mcp.example.com/mcp");
    let typed = [
        "uninstall",
        "--app",
        "generic",
        "https://mcp.example.com/mcp",
        "--file",
        &file,
    ];
    home.run(&typed).await.succeeded().says("Removed example");
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
    let mut install = home.command(&["install", "--app", "cursor", "notes", "--print"]);
    in_them(&mut install);
    let printed = home.finish(&["install"], install).await.succeeded().json();
    let entry = &printed["mcpServers"]["notes"];
    let words = words(entry);
    let mut proxy = home.program(&words[0]);
    proxy.env_clear().env("HOME", home.path(""));
    for (name, value) in entry["env"].as_object().unwrap() {
        proxy.env(name, value.as_str().unwrap());
    }
    proxy.args(&words[1..]);
    let mut app = App::run(proxy);
    app.handshake().await;
    assert_eq!(sum(&app.request(&add(1)).await), Some(2));
}

#[tokio::test]
async fn headers_are_installed_for_claude_code_and_codex() {
    let home = Home::logged_in().await;
    let url = home.url();
    let typed = [
        "install",
        "--app",
        "claude-code",
        "notes",
        "--via",
        "headers",
        "--print",
    ];
    let claude = home.run(&typed).await.succeeded().json();
    let entry = &claude["mcpServers"]["notes"];
    assert_eq!(entry["type"], "http");
    assert_eq!(entry["url"], *url);
    let line = entry["headersHelper"].as_str().unwrap();
    let data = home.data().display().to_string();
    assert!(
        line.contains("mcp-oauth headers notes --data-dir ") && line.contains(&data),
        "{line}"
    );
    let typed = [
        "install", "--app", "codex", "notes", "--via", "headers", "--print",
    ];
    let codex = home.run(&typed).await.succeeded();
    codex
        .says("[mcp_servers.notes]\n")
        .says(&format!("url = \"{url}\"\n"));
    codex.says("http_headers_helper = ");
    let typed = [
        "install", "--app", "zed", "notes", "--via", "headers", "--print",
    ];
    home.run(&typed)
        .await
        .ended(2)
        .says("claude-code and codex");
    let typed = [
        "install", "--app", "codex", "notes", "--via", "headers", "--print",
    ];
    let password = home.run_with("MCP_OAUTH_PASSWORD", "planted", &typed).await;
    password
        .ended(2)
        .says("MCP_OAUTH_PASSWORD")
        .says("--password-file");
}

#[tokio::test]
async fn an_entry_changes_between_proxy_and_headers() {
    let home = Home::logged_in().await;
    let file = home.path("claude.json").display().to_string();
    let install = ["install", "--app", "claude-code", "notes", "--file", &file];
    let headers = [&install[..], &["--via", "headers"]].concat();
    home.run(&install).await.succeeded().says("Added");
    home.run(&headers).await.succeeded().says("Updated");
    let read = || -> Value { serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap() };
    let keys = |value: &Value| -> Vec<String> {
        let entry = value["mcpServers"]["notes"].as_object().unwrap();
        entry.keys().cloned().collect()
    };
    assert_eq!(keys(&read()), ["headersHelper", "type", "url"]);
    home.run(&headers)
        .await
        .succeeded()
        .says("nothing to change");
    home.run(&install).await.succeeded().says("Updated");
    let after = keys(&read());
    assert!(!after.contains(&"url".to_owned()) && after.contains(&"command".to_owned()));
    let typed = [
        "uninstall",
        "--app",
        "claude-code",
        "notes",
        "--file",
        &file,
    ];
    home.run(&headers).await.succeeded();
    home.run(&typed).await.succeeded().says("Removed");
}

/// A proof is for one request, and a helper runs once for many (RFC 9449 §4.2).
#[tokio::test]
async fn headers_of_tokens_that_are_bound_to_a_key_are_refused() {
    let home = Home::with(Testbed::builder().dpop(DpopPolicy::Offered)).await;
    home.login(&["notes", &home.url(), "--dpop"])
        .await
        .succeeded();
    let typed = [
        "install", "--app", "codex", "notes", "--via", "headers", "--print",
    ];
    home.run(&typed).await.ended(2).says("DPoP");
}
