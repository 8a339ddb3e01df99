//! The care for the files of applications.

use serde_json::Value;

use crate::support::{Home, snapshot};

const INSTALL: [&str; 4] = ["install", "--app", "zed", "notes"];
const UNINSTALL: [&str; 4] = ["uninstall", "--app", "zed", "notes"];

fn with<'a>(typed: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [typed, more].concat()
}

#[tokio::test]
async fn a_file_that_does_not_parse_is_left_unchanged() {
    let home = Home::logged_in().await;
    for (app, text, position) in [
        ("zed", "{ // mine\n  \"a\": 'b'\n}", "on line 2 column 8"),
        ("codex", "a = 1\nb = \"c\n", "on line 2 column 7"),
        ("goose", "a: 1\nb: [\n", "on line 3 column 1"),
    ] {
        let file = home.file("settings", text);
        let before = snapshot(&home.path(""));
        let install = ["install", "--app", app, "notes", "--file", &file];
        home.run(&install)
            .await
            .ended(1)
            .says(&format!("{file} (left unchanged)"))
            .says(position)
            .says("--print");
        let uninstall = ["uninstall", "--app", app, "notes", "--file", &file];
        home.run(&uninstall).await.ended(1).says(position);
        assert_eq!(snapshot(&home.path("")), before);
    }
    let file = home.file("settings", b"{\n \"\xff\": 1 }");
    let refused = home.run(&with(&INSTALL, &["--file", &file])).await.ended(1);
    refused
        .says("(left unchanged)")
        .says("not UTF-8 on line 2 column 3");
}

#[tokio::test]
async fn comments_indentation_and_line_ends_stay() {
    let home = Home::logged_in().await;
    let before = "\u{feff}{\r\n\t// mine\r\n\t\"theme\": \"x\",\r\n}";
    let file = home.file("settings.json", before);
    home.run(&with(&INSTALL, &["--file", &file]))
        .await
        .succeeded();
    let text = std::fs::read_to_string(&file).unwrap();
    let start = before.strip_suffix("\r\n}").unwrap();
    assert!(text.starts_with(start), "{text}");
    let added = "\r\n\t\"context_servers\": {\r\n\t\t\"notes\": {\r\n";
    assert!(text[start.len()..].starts_with(added), "{text}");
    assert_eq!(text.matches('\n').count(), text.matches("\r\n").count());
}

#[tokio::test]
async fn an_entry_that_runs_something_else_is_kept_unless_overwritten() {
    let home = Home::logged_in().await;
    let before = r#"{ "context_servers": { "notes": { "command": "npx", "env": { "KEY": "x" }, "mine": 1 } } }"#;
    let file = home.file("settings.json", before);
    let install = with(&INSTALL, &["--file", &file]);
    let refused = home.run(&install).await.ended(1);
    refused.says("does not run mcp-oauth").says("--overwrite");
    let uninstall = with(&UNINSTALL, &["--file", &file]);
    home.run(&uninstall)
        .await
        .ended(1)
        .says("does not run mcp-oauth");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), before);
    home.run(&with(&install, &["--overwrite"]))
        .await
        .succeeded()
        .says("Updated");
    let written: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let entry = &written["context_servers"]["notes"];
    assert_eq!(entry["mine"], 1);
    assert!(entry["command"].as_str().unwrap().ends_with("mcp-oauth"));
    assert!(entry["env"].get("KEY").is_none(), "{entry}");
    home.run(&uninstall).await.succeeded().says("Removed");
}

#[tokio::test]
async fn two_urls_of_one_host_do_not_replace_each_other() {
    let home = Home::new().await;
    let file = home.path("mcp.json").display().to_string();
    for app in ["generic", "opencode"] {
        let file = format!("{file}-{app}");
        let typed = |path| ["install", "--app", app, path, "--file", &file].map(str::to_owned);
        let run = async |typed: &[String]| {
            let typed: Vec<&str> = typed.iter().map(String::as_str).collect();
            home.run(&typed).await
        };
        let (first, second) = (
            typed("https://mcp.example.com/a"),
            typed("https://mcp.example.com/b"),
        );
        run(&first).await.succeeded().says("Added example");
        run(&first).await.succeeded().says("nothing to change");
        let refused = run(&second).await.ended(1);
        refused.says("for another URL").says("mcp-oauth login NAME");
        let forced = [&second[..], &["--overwrite".to_owned()]].concat();
        run(&forced).await.succeeded().says("Updated example");
    }
}

#[tokio::test]
async fn a_dry_run_prints_the_change_and_writes_nothing() {
    let home = Home::logged_in().await;
    let file = home.file("settings.json", "{\n  // mine\n  \"theme\": \"x\"\n}\n");
    let before = snapshot(&home.path(""));
    let install = with(&INSTALL, &["--file", &file]);
    let dry = home.run(&with(&install, &["--dry-run"])).await.succeeded();
    let header = format!("--- {file}\n+++ {file}\n@@ ");
    dry.says(&header)
        .says("-  \"theme\": \"x\"\n")
        .says("+  \"theme\": \"x\",\n");
    dry.says("+    \"notes\": {\n");
    assert!(!dry.stdout.contains("// mine\n+"), "{}", dry.stdout);
    let json = home
        .run(&with(&install, &["--dry-run", "--json"]))
        .await
        .succeeded()
        .json();
    assert_eq!(
        (&json["action"], &json["dry_run"]),
        (&"added".into(), &true.into())
    );
    assert_eq!(snapshot(&home.path("")), before);
    let new = home.path("new/settings.json").display().to_string();
    let dry = home
        .run(&with(&INSTALL, &["--file", &new, "--dry-run"]))
        .await;
    dry.succeeded().says("--- /dev/null\n");
    assert!(!home.path("new").exists());
    home.run(&install).await.succeeded();
    let before = snapshot(&home.path(""));
    home.run(&with(&install, &["--dry-run"]))
        .await
        .succeeded()
        .says("nothing to change");
    let uninstall = with(&UNINSTALL, &["--file", &file, "--dry-run"]);
    home.run(&uninstall)
        .await
        .succeeded()
        .says("-    \"notes\": {\n");
    assert_eq!(snapshot(&home.path("")), before);
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_is_followed_and_the_permissions_stay() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let home = Home::logged_in().await;
    std::fs::create_dir(home.path("dotfiles")).unwrap();
    let real = home.path("dotfiles/settings.json");
    home.file("dotfiles/settings.json", "{}");
    std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o640)).unwrap();
    symlink("dotfiles/settings.json", home.path("link.json")).unwrap();
    let link = home.path("link.json").display().to_string();
    home.run(&with(&INSTALL, &["--file", &link]))
        .await
        .succeeded();
    assert!(home.path("link.json").is_symlink());
    let written = std::fs::read_to_string(&real).unwrap();
    assert!(written.contains("\"notes\""), "{written}");
    let mode = |path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&real), 0o640);
    assert_eq!(mode(&home.path("dotfiles/settings.json.bak")), 0o640);
    // A link to a file that does not exist yet, as a tool for dotfiles may make it.
    symlink("dotfiles/new.json", home.path("next.json")).unwrap();
    let next = home.path("next.json").display().to_string();
    home.run(&with(&INSTALL, &["--file", &next]))
        .await
        .succeeded();
    assert!(home.path("next.json").is_symlink() && home.path("dotfiles/new.json").exists());
}

#[tokio::test]
async fn an_application_without_a_usual_file_needs_one() {
    let home = Home::logged_in().await;
    let typed = ["uninstall", "--app", "generic", "notes"];
    home.run(&typed).await.ended(2).says("--file FILE");
    // `install` prints the entry then.
    let before = snapshot(&home.path(""));
    let printed = home
        .run(&["install", "--app", "generic", "notes"])
        .await
        .succeeded();
    assert!(printed.json()["mcpServers"]["notes"].is_object());
    assert_eq!(snapshot(&home.path("")), before);
}

#[cfg(unix)]
#[tokio::test]
async fn a_program_in_the_cache_of_a_runner_is_not_installed() {
    let home = Home::logged_in().await;
    let own = env!("CARGO_BIN_EXE_mcp-oauth");
    for (cache, hint) in [
        (
            ".npm/_npx/4f1/node_modules/.bin",
            "npm install --global mcp-client-oauth",
        ),
        (
            ".cache/uv/archive-v0/x/bin",
            "uv tool install mcp-client-oauth",
        ),
    ] {
        let directory = home.path("run").join(cache);
        std::fs::create_dir_all(&directory).unwrap();
        let program = directory.join("mcp-oauth");
        std::fs::hard_link(own, &program)
            .or_else(|_| std::fs::copy(own, &program).map(drop))
            .unwrap();
        let mut command = home.program(program.to_str().unwrap());
        command.args(["install", "--app", "cursor", "notes"]);
        let refused = home.finish(&["install"], command).await.ended(2);
        refused.says(hint);
        assert!(!home.path(".cursor").exists());
    }
}

#[cfg(unix)]
#[tokio::test]
async fn the_path_of_a_link_in_path_is_written() {
    let home = Home::logged_in().await;
    let own = env!("CARGO_BIN_EXE_mcp-oauth");
    let directory = home.path("opt/bin");
    std::fs::create_dir_all(&directory).unwrap();
    std::os::unix::fs::symlink(own, directory.join("mcp-oauth")).unwrap();
    let mut command = home.command(&["install", "--app", "cursor", "notes", "--print"]);
    command.env("PATH", &directory);
    let printed = home.finish(&["install"], command).await.ended(0).json();
    assert_eq!(
        printed["mcpServers"]["notes"]["command"],
        directory.join("mcp-oauth").to_str().unwrap()
    );
}
