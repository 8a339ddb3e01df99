//! Records what a server sends during a login, a refresh and a logout, without secrets, in the
//! format of `crates/mcp-client-oauth/tests/it/replay/README.md`.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use http::{Method, header};
use serde_json::{Map, Value, json};
use test_support::form_browser::Decision::Approve;
use url::Url;

use crate::{
    command::Home,
    server::{Description, Refresh, Revokes, Server},
    wire::{Exchange, lock},
};

const FOLDER: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../mcp-client-oauth/tests/it/replay/servers"
);
const COMMAND: &str = "MCP_OAUTH_TEST_WRITE_TRANSCRIPTS=1 scripts/check servers";
/// The headers that the client reads.
const HEADERS: [header::HeaderName; 2] = [header::CONTENT_TYPE, header::WWW_AUTHENTICATE];

/// Writes the transcript of a run of its own, if the environment requests it. The format cannot
/// express a server that refuses the refresh token that it issued.
#[expect(
    clippy::disallowed_methods,
    reason = "a file of the repository, not a secret"
)]
pub(crate) async fn record_if_requested(name: &str, description: &Description, server: &Server) {
    let is_requested = crate::variable("MCP_OAUTH_TEST_WRITE_TRANSCRIPTS").is_some();
    if !is_requested || description.refresh == Refresh::Refused {
        return;
    }
    let mark = server.wire.mark();
    let home = Home::new().await;
    let consent = description.consent.as_ref();
    let mut login = vec!["login", "work", server.url.as_str()];
    login.extend(description.flags.iter().map(String::as_str));
    home.run(&login, consent, Approve).await.ended(0);
    if description.refresh != Refresh::None {
        home.run(&["refresh", "work"], consent, Approve)
            .await
            .ended(0);
    }
    home.run(&["logout", "work"], consent, Approve).await;
    let client = server.wire.since(mark);
    let transcript = Transcript::new(server, mark, &client);
    let mut text =
        serde_json::to_string_pretty(&transcript.case(description, server, &client)).unwrap();
    text.push('\n');
    std::fs::create_dir_all(FOLDER).unwrap();
    std::fs::write(Path::new(FOLDER).join(format!("{name}.json")), text).unwrap();
}

/// The placeholders for secrets, and for URLs that differ from run to run.
struct Transcript {
    /// From the longest to the shortest.
    names: Vec<(String, String)>,
    issuer_of_callback: Option<String>,
}

impl Transcript {
    fn new(server: &Server, mark: usize, client: &[Arc<Exchange>]) -> Self {
        let mut names = BTreeMap::new();
        let mut name = |value: Option<String>, as_what: String| {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                names.entry(value).or_insert(as_what);
            }
        };
        let mut granted = 0;
        for exchange in client {
            if exchange.form("grant_type").is_some() && exchange.status.is_success() {
                granted += 1;
                name(exchange.member("access_token"), format!("at-{granted}"));
                name(exchange.member("refresh_token"), format!("rt-{granted}"));
                name(exchange.member("id_token"), "__ID_TOKEN__".to_owned());
            }
            if exchange.is_registration() {
                name(exchange.member("client_secret"), "secret-1".to_owned());
                name(
                    exchange.member("registration_access_token"),
                    "secret-2".to_owned(),
                );
                name(exchange.member("client_id"), "client-1".to_owned());
            }
            name(exchange.form("code"), "__CODE__".to_owned());
            name(exchange.form("redirect_uri"), "__REDIRECT_URI__".to_owned());
        }
        let [mcp, authorization] = server.ports;
        for (port, fixed) in [(mcp, "8001"), (authorization, "8002")] {
            name(Some(format!(":{port}")), format!(":{fixed}"));
        }
        let mut names: Vec<_> = names.into_iter().collect();
        names.sort_by_key(|(value, _)| std::cmp::Reverse(value.len()));
        Self {
            names,
            issuer_of_callback: issuer_of_callback(server, mark),
        }
    }

    fn redact(&self, text: &str) -> String {
        let names = self.names.iter();
        names.fold(text.to_owned(), |text, (value, name)| {
            text.replace(value, name)
        })
    }

    fn redact_json(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.redact(text)),
            Value::Array(items) => items.iter().map(|item| self.redact_json(item)).collect(),
            Value::Object(members) => members
                .iter()
                .filter_map(|(name, value)| Some((name.clone(), self.redact_member(name, value)?)))
                .collect::<Map<_, _>>()
                .into(),
            other => other.clone(),
        }
    }

    /// Times differ from run to run: one is left out, and the other is in the far future.
    fn redact_member(&self, name: &str, value: &Value) -> Option<Value> {
        match name {
            "client_id_issued_at" => None,
            "client_secret_expires_at" if value != 0 => Some(4_000_000_000_u64.into()),
            _ => Some(self.redact_json(value)),
        }
    }

    fn case(&self, description: &Description, server: &Server, client: &[Arc<Exchange>]) -> Value {
        let is_probe = |exchange: &&Arc<Exchange>| {
            exchange.url == server.url
                && !exchange.request_headers.contains_key(header::AUTHORIZATION)
        };
        let probe = client
            .iter()
            .find(is_probe)
            .expect("a request without a token");
        let (mut routes, mut posts) = (Map::new(), BTreeMap::<String, Vec<Value>>::new());
        for exchange in client.iter().filter(|exchange| exchange.url != server.url) {
            let url = self.redact(exchange.url.as_str());
            if exchange.method == Method::POST {
                let mut response = self.response(exchange);
                response["expects"] = self.expects(exchange);
                posts
                    .entry(format!("POST {url}"))
                    .or_default()
                    .push(response);
            } else if exchange.status.is_success() {
                routes.insert(url, self.body(exchange));
            } else if exchange.status != http::StatusCode::NOT_FOUND {
                routes.insert(url, self.response(exchange));
            }
        }
        routes.extend(
            posts
                .into_iter()
                .map(|(url, responses)| (url, responses.into())),
        );
        let logout = match description.revokes {
            Revokes::Both => "revoked",
            Revokes::RefreshOnly => "access-token-lives",
            Revokes::Refused => "failed",
            Revokes::Nothing => "not-offered",
        };
        let expect = if description.refresh == Refresh::None {
            "no-refresh-token"
        } else {
            "refreshed"
        };
        json!({
            "name": description.title,
            "version": server.version,
            "recorded": {"date": crate::today(), "command": COMMAND},
            "server": self.redact(server.url.as_str()),
            "probe": self.response(probe),
            "routes": routes,
            "callback_iss": self.issuer_of_callback.as_ref().map(|issuer| self.redact(issuer)),
            "options": options(&description.flags),
            "expect": expect,
            "logout": logout,
        })
    }

    fn response(&self, exchange: &Exchange) -> Value {
        let named = HEADERS.iter().filter_map(|name| {
            let value = exchange.headers.get(name)?.to_str().ok()?;
            Some((name.to_string(), Value::String(self.redact(value))))
        });
        let headers: Map<_, _> = named.collect();
        json!({"status": exchange.status.as_u16(), "headers": headers, "body": self.body(exchange)})
    }

    fn body(&self, exchange: &Exchange) -> Value {
        let text = String::from_utf8_lossy(&lock(&exchange.body)).into_owned();
        match serde_json::from_str::<Value>(&text) {
            Ok(body) => self.redact_json(&body),
            Err(_) => self.redact(&text).into(),
        }
    }

    /// Returns the expected request, so that a replay fails if the client sends something else.
    fn expects(&self, exchange: &Exchange) -> Value {
        let scheme = exchange.request_headers.get(header::AUTHORIZATION);
        let scheme = scheme.and_then(|value| value.to_str().ok()?.split(' ').next());
        if let Value::Object(sent) = exchange.sent_json() {
            let kept = ["token_endpoint_auth_method", "scope"].into_iter();
            let kept: Map<_, _> = kept
                .filter_map(|name| Some((name.to_owned(), sent.get(name)?.clone())))
                .collect();
            return json!({"authorization": scheme, "json": kept});
        }
        let mut form: Map<_, _> = url::form_urlencoded::parse(&exchange.request_body)
            .map(|(name, value)| {
                let value = if name == "code_verifier" {
                    "*".to_owned()
                } else {
                    self.redact(&value)
                };
                let value = if name == "client_id" {
                    "__CLIENT_ID__".to_owned()
                } else {
                    value
                };
                (name.into_owned(), Value::String(value))
            })
            .collect();
        for credential in ["client_id", "client_secret"] {
            form.entry(credential).or_insert(Value::Null);
        }
        json!({"authorization": scheme, "form": form})
    }
}

/// The `iss` of the authorization response (RFC 9207), which the server sends by way of the browser.
fn issuer_of_callback(server: &Server, mark: usize) -> Option<String> {
    let redirects = server.wire.redirects_since(mark);
    let callback = redirects
        .iter()
        .filter_map(|to| Url::parse(to).ok())
        .find(|to| {
            to.port().is_none_or(|port| !server.ports.contains(&port))
                && to.query_pairs().any(|(name, _)| name == "code")
        })?;
    let issuer = callback.query_pairs().find(|(name, _)| name == "iss")?;
    Some(issuer.1.into_owned())
}

/// Returns the options of the transcript for the flags of the command.
fn options(flags: &[String]) -> Value {
    let mut options = Map::new();
    let mut flags = flags.iter();
    while let Some(flag) = flags.next() {
        match flag.as_str() {
            "--legacy" => drop(options.insert("legacy".to_owned(), true.into())),
            "--accept-issuer" => {
                let quirks = json!({"issuers": [flags.next()]});
                options.insert("quirks".to_owned(), quirks);
            }
            name => {
                let name = name.trim_start_matches('-').replace('-', "_");
                options.insert(name, flags.next().cloned().into());
            }
        }
    }
    options.into()
}
