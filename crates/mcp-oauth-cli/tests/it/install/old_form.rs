//! `config NAME --for APP [--write]`, an older form of `install`.

use serde_json::Value;

use crate::support::Home;

#[tokio::test]
async fn config_prints_the_entry_or_writes_it() {
    let home = Home::logged_in().await;
    for app in ["cursor", "vscode", "codex", "claude-desktop"] {
        let old = home
            .run(&["config", "notes", "--for", app])
            .await
            .succeeded();
        let typed = ["install", "--app", app, "notes", "--print"];
        let new = home.run(&typed).await.succeeded();
        assert_eq!(old.stdout, new.stdout);
    }
    assert!(!home.path(".cursor").exists());
    let file = home.file(
        "mcp.json",
        r#"{"mcpServers":{"notes":{"url":"u","mine":1}}}"#,
    );
    let typed = [
        "config", "notes", "--for", "cursor", "--write", "--file", &file,
    ];
    let written = home.run(&typed).await.succeeded();
    written.says("notes").says(&file).says(".bak");
    let read: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let entry = &read["mcpServers"]["notes"];
    assert_eq!(entry["mine"], 1);
    assert!(
        entry["url"].is_null() && entry["args"][0] == "proxy",
        "{entry}"
    );
    let again = home.run(&typed).await.succeeded();
    assert!(!again.stdout.contains(".bak"), "{}", again.stdout);
    let unwritten = ["config", "notes", "--for", "cursor", "--file", &file];
    home.run(&unwritten).await.ended(2).says("--write");
}
