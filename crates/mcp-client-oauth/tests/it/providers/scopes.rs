//! Long lists of scopes, and scopes that are granted with another spelling.

use super::*;
use crate::leaks::CapturedOutput;

const PRM: &str = "https://mcp.example.com/.well-known/oauth-protected-resource/mcp";

/// Returns servers with these scopes in the resource metadata and in the server metadata.
fn listing(by_resource: &[String], by_server: &[String], granted: Option<&str>) -> Servers {
    let mut prm = resource("https://mcp.example.com/mcp", "https://as.example.com");
    prm["scopes_supported"] = json!(by_resource);
    let mut document = metadata("https://as.example.com", "https://as.example.com");
    document["scopes_supported"] = json!(by_server);
    let mut issued = tokens();
    issued["scope"] = json!(granted);
    Servers::at("https://mcp.example.com/mcp", &challenge(PRM))
        .document(PRM, &prm)
        .document(
            "https://as.example.com/.well-known/oauth-authorization-server",
            &document,
        )
        .post("https://as.example.com/register", 201, &registered())
        .post("https://as.example.com/token", 200, &issued)
}

fn named(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("s{n:03}:read")).collect()
}

/// `PagerDuty` lists 82 scopes, and `PostHog` 171; names as long as those of Google make 4.2 KiB of 55.
#[tokio::test]
async fn every_scope_that_a_server_lists_is_requested() {
    let long = (0..55).map(|n| {
        format!("https://www.googleapis.com/auth/some.quite.long.scope.name.of.a.provider.{n:02}")
    });
    for listed in [named(82), named(171), long.collect(), named(1024)] {
        let scripted = Scripted::new(listing(&listed, &[], None));
        let session = scripted.login().await.unwrap();
        assert_eq!(scripted.requested("scope"), listed.join(" "));
        assert_eq!(session.record().unwrap().discovery.scopes_left_out, 0);
    }
}

#[tokio::test]
async fn offline_access_is_found_in_either_scope_list() {
    for before in [99, 5000] {
        let mut by_server = named(before);
        by_server.push("offline_access".to_owned());
        let scripted = Scripted::new(listing(&["s000:read".to_owned()], &by_server, None));
        scripted.login().await.unwrap();
        assert_eq!(scripted.requested("scope"), "s000:read offline_access");
    }
}

#[tokio::test]
async fn a_scope_list_above_the_limits_is_an_error() {
    let (paper, _guard) = CapturedOutput::capture();
    let scripted = Scripted::new(listing(&named(1500), &[], None));
    let session = scripted.login().await.unwrap();
    assert_eq!(scripted.requested("scope"), named(1024).join(" "));
    assert_eq!(session.record().unwrap().discovery.scopes_left_out, 476);
    assert!(paper.text().contains("left_out=476"));
    // The stored record can be read again.
    let key = session.key();
    assert!(scripted.store.load(&key).await.unwrap().is_some());
}

/// `GitHub` and Slack separate the scopes that they granted by commas; Microsoft Entra responds to
/// `…/.default` with the scopes that it stands for, as for Azure DevOps.
#[tokio::test]
async fn a_granted_scope_with_another_spelling_is_not_missing() {
    for (requested, granted, missing) in [
        (
            "channels:history chat:write",
            "channels:history,chat:write",
            None,
        ),
        (
            "channels:history chat:write",
            "channels:history",
            Some("chat:write"),
        ),
        (
            "https://mcp.dev.azure.com/.default offline_access",
            "https://mcp.dev.azure.com/Ado.Mcp.Tools",
            None,
        ),
    ] {
        let scripted = Scripted::new(listing(&[], &[], Some(granted)));
        let session = scripted.login_with(|login| login.scope(requested));
        let session = session.await.unwrap();
        let found = session
            .record()
            .unwrap()
            .missing_scope()
            .map(|scope| scope.to_string());
        assert_eq!(found.as_deref(), missing, "{granted}");
    }
}
