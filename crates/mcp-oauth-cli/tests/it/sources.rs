//! `env:NAME` and `cmd:PROGRAM`: the sources of a workload JWT.

use mcp_oauth_testbed::Testbed;
use serde_json::json;

use crate::support::Home;

async fn cluster() -> Home {
    Home::with(Testbed::builder().workload_issuer("https://cluster.example")).await
}

fn jwt(home: &Home) -> String {
    home.testbed.workload_jwt(&json!({})).unwrap()
}

#[tokio::test]
async fn a_jwt_in_a_variable_is_read_again_at_each_refresh() {
    let home = cluster().await;
    let url = home.url();
    let typed = ["login", "job", &url, "--workload-token", "env:JOB_JWT"];
    home.run(&typed).await.ended(1).says("JOB_JWT");
    home.run_with("JOB_JWT", &jwt(&home), &typed)
        .await
        .succeeded();
    // The server accepts each JWT once.
    for _ in 0..2 {
        home.run_with("JOB_JWT", &jwt(&home), &["refresh", "job", "-vv"])
            .await
            .succeeded();
    }
    let spent = jwt(&home);
    let again = ["refresh", "job", "-vv"];
    home.run_with("JOB_JWT", &spent, &again).await.succeeded();
    for output in home.outputs() {
        assert!(!output.stderr.contains(&spent) && !output.stdout.contains(&spent));
    }
}

/// Returns a program that prints a JWT, and writes its environment and arguments to a file.
#[cfg(unix)]
fn program(home: &Home) -> String {
    use std::os::unix::fs::PermissionsExt as _;

    let script = "#!/bin/sh\nenv > \"$1\"\necho \"$2\" >> \"$1\"\ncat \"$3\"\n";
    let file = home.file("print-jwt", script);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o700)).unwrap();
    file
}

/// `docs/hostile.md` H152: the program does not inherit secrets of the environment.
#[cfg(unix)]
#[tokio::test]
async fn a_program_that_prints_a_jwt_gets_no_secret_in_its_environment() {
    let home = cluster().await;
    let url = home.url();
    home.file("jwt", jwt(&home));
    let path = |name: &str| home.path(name).display().to_string();
    let (seen, token) = (path("seen"), path("jwt"));
    let source = format!("cmd:{} {seen} $HOME {token}", program(&home));
    let typed = ["login", "job", &url, "--workload-token", &source, "-vv"];
    let secrets = [
        "MCP_OAUTH_PASSWORD",
        "MCP_OAUTH_CLIENT_SECRET",
        "MCP_OAUTH_IDP_CLIENT_SECRET",
        "VAULT_TOKEN",
        "VAULT_SECRET_ID",
    ];
    let mut variables = secrets.map(|name| (name, "planted")).to_vec();
    variables.extend([("PATH", "/usr/bin:/bin"), ("REGION", "here")]);
    home.run_in(&variables, &typed).await.succeeded();
    home.file("jwt", jwt(&home));
    home.run_in(&variables, &["refresh", "job"])
        .await
        .succeeded();
    let seen = std::fs::read_to_string(seen).unwrap();
    assert!(!seen.contains("planted"), "{seen}");
    assert!(seen.contains("REGION=here"), "{seen}");
    assert!(seen.ends_with("$HOME\n"), "there is no shell: {seen}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_failing_program_is_named_without_its_output() {
    let home = cluster().await;
    let url = home.url();
    for (source, message) in [
        (
            "cmd:/bin/false planted",
            "the command `/bin/false`: it failed",
        ),
        ("cmd:/no/such/program planted", "cannot run it"),
        ("cmd:/bin/echo planted", "not a JWT"),
    ] {
        let typed = ["login", "job", &url, "--workload-token", source, "-vv"];
        let failed = home.run(&typed).await.ended(1);
        failed.says(message);
        assert!(!failed.stderr.contains("planted"), "{failed:?}");
    }
}
