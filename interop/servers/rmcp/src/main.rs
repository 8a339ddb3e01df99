//! An MCP server of rmcp that is its own authorization server, like the OAuth example of the Rust
//! SDK: it returns a client secret although `none` was requested, and it identifies the client only by
//! the `client_id` in the form. `../lib/loopback.py` describes the arguments and the messages on stdin
//! and stdout.
//!
//! With `AS_PUBLISHED=1` it is the published example, which implements MCP 2025-03-26: no protected
//! resource metadata, an issuer that is no URL, no refresh and no revocation. Otherwise it has what a
//! user adds to it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Form, Json, Router,
    extract::{Query, Request, State},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{Html, IntoResponse, Redirect, Response},
    routing::{get, post},
};
use rmcp::{
    handler::server::wrapper::Parameters,
    schemars, tool, tool_handler, tool_router,
    transport::{
        StreamableHttpServerConfig, StreamableHttpService,
        auth::{AuthorizationMetadata, ClientRegistrationResponse},
        streamable_http_server::session::local::LocalSessionManager,
    },
};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use uuid::Uuid;

type Fields = HashMap<String, String>;

#[derive(Clone)]
struct Server(Arc<Shared>);

struct Shared {
    base: String,
    as_published: bool,
    store: Mutex<Store>,
}

#[derive(Default)]
struct Store {
    /// Redirect URIs by client.
    clients: HashMap<String, Vec<String>>,
    /// The client and the scope that a code was issued for.
    codes: HashMap<String, (String, String)>,
    access: HashMap<String, Grant>,
    refresh: HashMap<String, Grant>,
}

#[derive(Clone)]
struct Grant {
    login: Uuid,
    client: String,
    scope: String,
}

impl Server {
    fn store(&self) -> MutexGuard<'_, Store> {
        self.0.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn knows(&self, fields: &Fields) -> bool {
        let client = fields.get("client_id").map_or("", String::as_str);
        let redirect_uri = fields.get("redirect_uri").cloned().unwrap_or_default();
        let store = self.store();
        store
            .clients
            .get(client)
            .is_some_and(|uris| uris.contains(&redirect_uri))
    }

    fn issue(&self, grant: Grant) -> Response {
        let [access, refresh] =
            ["access", "refresh"].map(|kind| format!("mcp-{kind}-{}", Uuid::new_v4()));
        let scope = grant.scope.clone();
        let mut store = self.store();
        store.access.insert(access.clone(), grant.clone());
        store.refresh.insert(refresh.clone(), grant);
        Json(
            json!({"access_token": access, "token_type": "Bearer", "expires_in": 3600,
            "refresh_token": refresh, "scope": scope}),
        )
        .into_response()
    }
}

fn refused(error: &str, description: &str) -> Response {
    let body = json!({"error": error, "error_description": description});
    (StatusCode::BAD_REQUEST, Json(body)).into_response()
}

async fn metadata(State(server): State<Server>) -> Json<AuthorizationMetadata> {
    let base = &server.0.base;
    let mut metadata = AuthorizationMetadata::default();
    metadata.issuer = Some(base.clone());
    metadata.authorization_endpoint = format!("{base}/oauth/authorize");
    metadata.token_endpoint = format!("{base}/oauth/token");
    metadata.registration_endpoint = Some(format!("{base}/oauth/register"));
    metadata.scopes_supported = Some(vec!["profile".to_owned(), "email".to_owned()]);
    metadata.response_types_supported = Some(vec!["code".to_owned()]);
    metadata.code_challenge_methods_supported = Some(vec!["S256".to_owned()]);
    if server.0.as_published {
        metadata.issuer = base.strip_prefix("http://").map(str::to_owned);
        metadata.jwks_uri = Some(format!("{base}/oauth/jwks"));
    } else {
        let endpoint = format!("{base}/oauth/revoke").into();
        metadata
            .additional_fields
            .insert("revocation_endpoint".to_owned(), endpoint);
    }
    Json(metadata)
}

async fn resource_metadata(State(server): State<Server>) -> Json<Value> {
    let base = &server.0.base;
    Json(
        json!({"resource": format!("{base}/mcp"), "authorization_servers": [base],
        "scopes_supported": ["profile"]}),
    )
}

/// `token_endpoint_auth_method` is ignored, and a secret is returned to every client.
async fn register(State(server): State<Server>, Json(request): Json<Value>) -> Response {
    let uris = request["redirect_uris"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let uris: Vec<_> = uris
        .iter()
        .filter_map(|uri| Some(uri.as_str()?.to_owned()))
        .collect();
    let client = format!("client-{}", Uuid::new_v4());
    server.store().clients.insert(client.clone(), uris.clone());
    let mut response = ClientRegistrationResponse::new(client, uris);
    response.client_secret = Some(Uuid::new_v4().to_string());
    response.client_name = request["client_name"].as_str().map(str::to_owned);
    (StatusCode::CREATED, Json(response)).into_response()
}

async fn authorize(State(server): State<Server>, Query(query): Query<Fields>) -> Response {
    if !server.knows(&query) {
        return refused("invalid_request", "invalid client id or redirect uri");
    }
    let hidden = ["client_id", "redirect_uri", "scope", "state"].map(|name| {
        let value = query.get(name).map_or("", String::as_str);
        format!(
            r#"<input type="hidden" name="{name}" value="{}">"#,
            value.replace('"', "&quot;")
        )
    });
    Html(format!(
        r#"<form action="/oauth/approve" method="post">{}
        <button type="submit" name="approved" value="true">Approve</button>
        <button type="submit" name="approved" value="false">Reject</button></form>"#,
        hidden.concat()
    ))
    .into_response()
}

async fn approve(State(server): State<Server>, Form(form): Form<Fields>) -> Response {
    if !server.knows(&form) {
        return refused("invalid_request", "invalid client id or redirect uri");
    }
    let outcome = if form["approved"] == "true" {
        let code = format!("mcp-code-{}", Uuid::new_v4());
        let grant = (form["client_id"].clone(), form["scope"].clone());
        server.store().codes.insert(code.clone(), grant);
        format!("code={code}")
    } else {
        "error=access_denied".to_owned()
    };
    Redirect::to(&format!(
        "{}?{outcome}&state={}",
        form["redirect_uri"], form["state"]
    ))
    .into_response()
}

async fn token(State(server): State<Server>, Form(form): Form<Fields>) -> Response {
    let value = |name: &str| form.get(name).cloned().unwrap_or_default();
    let client = value("client_id");
    if !server.store().clients.contains_key(&client) {
        return refused("invalid_client", "invalid client id or redirect uri");
    }
    match value("grant_type").as_str() {
        "authorization_code" => {
            let code = server.store().codes.remove(&value("code"));
            match code {
                Some((owner, scope)) if owner == client && server.knows(&form) => {
                    server.issue(Grant {
                        login: Uuid::new_v4(),
                        client,
                        scope,
                    })
                }
                _ => refused("invalid_grant", "invalid authorization code"),
            }
        }
        "refresh_token" if !server.0.as_published => {
            let spent = server.store().refresh.remove(&value("refresh_token"));
            match spent {
                Some(grant) if grant.client == client => server.issue(grant),
                _ => refused("invalid_grant", "invalid refresh token"),
            }
        }
        _ => refused(
            "unsupported_grant_type",
            "only authorization_code is supported",
        ),
    }
}

/// Revokes the whole login (RFC 7009 §2.1).
async fn revoke(State(server): State<Server>, Form(form): Form<Fields>) -> Response {
    let mut store = server.store();
    let token = &form["token"];
    let grant = store
        .access
        .get(token)
        .or_else(|| store.refresh.get(token))
        .cloned();
    if let Some(grant) = grant.filter(|grant| form.get("client_id") == Some(&grant.client)) {
        store.access.retain(|_, other| other.login != grant.login);
        store.refresh.retain(|_, other| other.login != grant.login);
    }
    StatusCode::OK.into_response()
}

async fn check(State(server): State<Server>, request: Request, next: Next) -> Response {
    let sent = request.headers().get(header::AUTHORIZATION);
    let token = sent.and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    if token.is_some_and(|token| server.store().access.contains_key(token)) {
        return next.run(request).await;
    }
    if server.0.as_published {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let url = format!("{}/.well-known/oauth-protected-resource/mcp", server.0.base);
    let challenge = format!(r#"Bearer resource_metadata="{url}""#);
    (
        StatusCode::UNAUTHORIZED,
        [(header::WWW_AUTHENTICATE, challenge)],
    )
        .into_response()
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Sum {
    a: i64,
    b: i64,
}

struct Tools;

#[tool_router]
impl Tools {
    #[tool(description = "Adds two numbers")]
    fn add(&self, Parameters(Sum { a, b }): Parameters<Sum>) -> String {
        (a + b).to_string()
    }
}

#[tool_handler]
impl rmcp::ServerHandler for Tools {}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let ports: Vec<u16> = std::env::args()
        .skip(1)
        .map(|port| port.parse().unwrap())
        .collect();
    let as_published = std::env::var_os("AS_PUBLISHED").is_some();
    let base = format!("http://127.0.0.1:{}", ports[1]);
    let server = Server(Arc::new(Shared {
        base,
        as_published,
        store: Mutex::default(),
    }));
    let tools: StreamableHttpService<Tools, LocalSessionManager> = StreamableHttpService::new(
        || Ok(Tools),
        LocalSessionManager::default().into(),
        StreamableHttpServerConfig::default(),
    );
    let mut app = Router::new()
        .nest_service("/mcp", tools)
        .layer(middleware::from_fn_with_state(server.clone(), check))
        .route("/.well-known/oauth-authorization-server", get(metadata))
        .route("/oauth/register", post(register))
        .route("/oauth/authorize", get(authorize))
        .route("/oauth/approve", post(approve))
        .route("/oauth/token", post(token));
    if !as_published {
        app = app
            .route(
                "/.well-known/oauth-protected-resource/mcp",
                get(resource_metadata),
            )
            .route("/oauth/revoke", post(revoke));
    }
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", ports[0]))
        .await
        .unwrap();
    tokio::spawn(axum::serve(listener, app.with_state(server.clone())).into_future());
    println!(
        "{}",
        json!({"version": format!("rmcp {}", env!("RMCP_VERSION"))})
    );
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let request: Value = serde_json::from_str(&line).unwrap();
        let mut store = server.store();
        let response = if let Some(token) = request["active"].as_str() {
            json!({"active": store.access.contains_key(token) || store.refresh.contains_key(token)})
        } else {
            let expired = store.access.len();
            store.access.clear();
            json!({"expired": expired})
        };
        println!("{response}");
    }
}
