//! Runs the testbed for a harness in another language. Prints its URLs as a line of JSON, then reads
//! commands from stdin, and responds to each with a line of JSON. Ends with stdin.
//!
//! | command | |
//! |---|---|
//! | `expire SECONDS` | moves the clock of the servers forward |
//! | `revoke-access` | revokes every access token |
//! | `revoke-all` | revokes every token |
//! | `hold token`, `hold mcp` | processes requests to the token endpoint or the MCP server, and does not respond |
//! | `release` | sends the responses that were held, and holds no more |
//! | `issued` | counts the access tokens that were issued |
//! | `require TOOL SCOPE` | makes a tool require a scope |
//! | `redirect URL` | makes the MCP server redirect every request |
//! | `requests` | lists the requests: server, method, path, status, JSON-RPC method, and more |
//! | `secrets` | lists the tokens, codes and other values that only client and server may know |
//!
//! `cargo run -p mcp-oauth-testbed --example control -- LIFETIME [dpop|device]`. The lifetime of an access token
//! is in seconds; with `dpop`, tokens must be bound to a key, and the MCP server requires a nonce in each
//! proof; with `device`, the server issues device codes.

#![allow(clippy::print_stdout, reason = "the harness reads stdout")]

use std::{
    io::{self, BufRead as _},
    time::Duration,
};

use mcp_oauth_testbed::{Corruption, DpopPolicy, Endpoint, Fault, Peer, RecordedRequest, Testbed};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let mut args = std::env::args().skip(1);
    let lifetime = args.next().unwrap_or_default();
    let lifetime = Duration::from_secs(lifetime.parse().map_err(io::Error::other)?);
    let mut builder = Testbed::builder()
        .access_token_lifetime(lifetime)
        .step_up(true);
    match args.next().as_deref() {
        None => {}
        Some("dpop") => {
            builder = builder.dpop(DpopPolicy::Required).dpop_nonces_at(Peer::Mcp);
        }
        Some("device") => builder = builder.device_authorization(true),
        Some(option) => return Err(io::Error::other(format!("unknown option {option}"))),
    }
    let testbed = builder.start().await?;
    println!(
        "{}",
        json!({ "server": testbed.server_url().as_str(), "issuer": testbed.issuer() })
    );
    let (sender, mut commands) = tokio::sync::mpsc::channel(1);
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    while let Some(command) = commands.recv().await {
        println!("{}", run(&testbed, &command));
    }
    Ok(())
}

fn run(testbed: &Testbed, command: &str) -> Value {
    let words: Vec<&str> = command.split_whitespace().collect();
    match words[..] {
        ["expire", seconds] => match seconds.parse() {
            Ok(seconds) => testbed.advance(Duration::from_secs(seconds)),
            Err(_) => return json!({ "error": "no number of seconds" }),
        },
        ["revoke-access"] => testbed.revoke_access_tokens(),
        ["revoke-all"] => testbed.revoke_all_tokens(),
        ["hold", "token"] => hold(testbed, Endpoint::Token),
        ["hold", "mcp"] => hold(testbed, Endpoint::Mcp),
        ["release"] => testbed.release(),
        ["issued"] => return testbed.issued_tokens().len().into(),
        ["require", tool, scope] => testbed.require_scope(tool, scope),
        ["redirect", url] => {
            let redirect = Corruption::RedirectTo(url.to_owned());
            testbed.set_fault(Fault::Corrupt(Endpoint::Mcp, redirect));
        }
        ["requests"] => return testbed.requests().iter().map(summary).collect(),
        ["secrets"] => return secrets(testbed),
        _ => return json!({ "error": format!("unknown command {command}") }),
    }
    json!({})
}

fn summary(request: &RecordedRequest) -> Value {
    let to = match request.to {
        Peer::Mcp => "mcp",
        _ => "authorization",
    };
    json!({
        "to": to,
        "method": request.method,
        "path": request.path,
        "status": request.status,
        "rpc": request.json().and_then(|body| body.get("method").cloned()),
        "grant": request.form("grant_type"),
        "has_token": request.header("authorization").is_some(),
        "user_agent": request.header("user-agent"),
    })
}

fn secrets(testbed: &Testbed) -> Value {
    let requests = testbed.requests();
    let sent = requests.iter().flat_map(|request| {
        let query = ["state", "nonce", "code_challenge"].map(|name| request.query(name));
        let form = ["code", "code_verifier", "refresh_token", "token", "ticket"]
            .map(|name| request.form(name));
        query.into_iter().chain(form).flatten()
    });
    let tokens = testbed.issued_tokens().into_iter();
    let issued = tokens.map(|issued| issued.access_token);
    issued.chain(sent).collect()
}

fn hold(testbed: &Testbed, endpoint: Endpoint) {
    testbed.set_fault(Fault::Corrupt(endpoint, Corruption::Held));
}
