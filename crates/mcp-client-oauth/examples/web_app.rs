//! A web application: its users sign in, connect MCP servers, list the tools, and log out.
//!
//! It runs offline: `cargo run --example web_app --all-features`, then open <http://localhost:8080>. Replicas
//! behind a proxy share `--url`, `--store` and `--cookie-key`: each finishes the logins that another has begun.

use std::{
    collections::BTreeMap, error::Error as StdError, fs, net::SocketAddr, path::PathBuf, sync::Arc,
    time::Duration,
};

use axum::{
    Form, Router,
    extract::{FromRef, FromRequestParts, Path, Request, State},
    http::{HeaderValue, Method, StatusCode, Uri, header, request::Parts},
    middleware::{self, Next},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use axum_extra::extract::{
    CookieJar, SignedCookieJar,
    cookie::{Cookie, Key, SameSite},
};
use clap::Parser;
use maud::{DOCTYPE, Markup, html};
use mcp_client_oauth::{
    Client, Error, LoginKey, Remedy, Secret, ServerUrl, TokenStore, adapters::rmcp::cause_of,
    error::TokenStorageError,
};
use mcp_oauth_testbed::Testbed;
use serde::Deserialize;
use tokio::net::TcpListener;
use url::Url;

/// The cookie of the application's own session: the name of the user, signed.
const SESSION: &str = "session";
/// The cookie of a pending login: the secret that binds the login to this browser.
const LOGIN: &str = "login";
/// The lifetime of a pending login.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(600);

type Failure = Box<dyn StdError + Send + Sync>;

#[derive(Debug, Parser)]
pub(crate) struct Options {
    /// Listen on this address
    #[arg(long, env = "WEB_APP_LISTEN", default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,
    /// Tell browsers this URL of the application
    #[arg(long, env = "WEB_APP_URL", default_value = "http://localhost:8080")]
    url: Url,
    /// Store the logins here: `memory:`, `file:DIRECTORY` or `vault:URL`
    #[arg(long, env = "WEB_APP_STORE", default_value = "memory:")]
    store: String,
    /// Sign session cookies with the 64 random bytes of this file
    #[arg(long, env = "WEB_APP_COOKIE_KEY")]
    cookie_key: Option<PathBuf>,
    /// Offer this MCP server, as NAME=URL; without one, two test servers are started
    #[arg(long = "server", value_parser = named_server)]
    servers: Vec<(String, ServerUrl)>,
}

fn named_server(text: &str) -> Result<(String, ServerUrl), Failure> {
    let (name, url) = text.split_once('=').ok_or("it is not NAME=URL")?;
    Ok((name.to_owned(), url.parse()?))
}

#[derive(Clone)]
struct App {
    client: Client,
    url: Url,
    key: Key,
    servers: Arc<BTreeMap<String, ServerUrl>>,
}

#[cfg_attr(test, expect(dead_code, reason = "tests call `serve`"))]
#[tokio::main]
pub(crate) async fn main() -> Result<(), Failure> {
    tracing_subscriber::fmt().init();
    let mut options = Options::parse();
    let (notes, tasks) = (Testbed::start().await?, Testbed::start().await?);
    if options.servers.is_empty() {
        let named = |name: &str, testbed: &Testbed| {
            named_server(&format!("{name}={}", testbed.server_url()))
        };
        options.servers = vec![named("notes", &notes)?, named("tasks", &tasks)?];
    }
    let listener = TcpListener::bind(options.listen).await?;
    serve(options, listener).await
}

/// Serves until Ctrl-C, and then waits until every login that has begun to finish is stored.
pub(crate) async fn serve(options: Options, listener: TcpListener) -> Result<(), Failure> {
    let key = match options.cookie_key {
        Some(path) => Key::try_from(fs::read(path)?.as_slice())?,
        None => Key::generate(),
    };
    // If users may type the URL of a server, add `public_networks_only()`.
    let client = Client::builder()
        .store(open_store(&options.store)?)
        .client_name("Example application")
        .build()
        .await?;
    let app = App {
        client: client.clone(),
        url: options.url,
        key,
        servers: Arc::new(options.servers.into_iter().collect()),
    };
    axum::serve(listener, router(app))
        .with_graceful_shutdown(async { drop(tokio::signal::ctrl_c().await) })
        .await?;
    client.flush().await;
    Ok(())
}

fn open_store(spec: &str) -> Result<TokenStore, TokenStorageError> {
    if spec.starts_with("vault:") {
        return mcp_oauth_vault::open(spec);
    }
    TokenStore::open(spec)
}

fn router(app: App) -> Router {
    Router::new()
        .route("/", get(home))
        .route("/sign-in", post(sign_in))
        .route("/sign-out", post(sign_out))
        .route("/servers/{name}", get(tools))
        .route("/servers/{name}/connect", post(connect))
        .route("/servers/{name}/log-out", post(log_out))
        .route("/callback/{name}", get(callback))
        .route("/failed/{remedy}", get(failed))
        .layer(middleware::from_fn_with_state(app.clone(), protect))
        .with_state(app)
}

/// Sends the browser to the authorization server. The login waits in the store, and its secret in a cookie.
async fn connect(
    State(app): State<App>,
    User(user): User,
    Path(name): Path<String>,
    cookies: CookieJar,
) -> Result<(CookieJar, Redirect), Refusal> {
    let begun = app
        .client
        .login(app.server(&name)?)
        .account(user)
        .redirect_uri(app.page(&callback_path(&name)))
        .return_to(format!("/servers/{name}"))
        .timeout(LOGIN_TIMEOUT)
        .begin()
        .await?;
    let mut cookie = app.login_cookie(&name, begun.browser_secret.expose().clone());
    cookie.set_max_age(LOGIN_TIMEOUT.try_into().ok());
    Ok((cookies.add(cookie), Redirect::to(begun.url.as_str())))
}

/// Finishes the login, and redirects also after an error: the code must not stay in the address bar.
async fn callback(
    State(app): State<App>,
    Path(name): Path<String>,
    uri: Uri,
    cookies: CookieJar,
) -> Result<(CookieJar, Redirect), Refusal> {
    let secret = cookies.get(LOGIN).map(Cookie::value).unwrap_or_default();
    let secret = Secret::new(secret.to_owned());
    let callback = app.page(&uri.to_string());
    let session = app.client.finish(&callback, &secret).await?;
    let cookies = cookies.remove(app.login_cookie(&name, String::new()));
    Ok((cookies, Redirect::to(session.return_to().unwrap_or("/"))))
}

async fn tools(
    State(app): State<App>,
    User(user): User,
    Path(name): Path<String>,
) -> Result<Markup, Refusal> {
    let server = app.server(&name)?;
    let session = app.client.session(account(server, &user)).await?;
    let refused = |error: &(dyn StdError + 'static)| match cause_of(error, server) {
        Some(error) => Refusal::from(error),
        None => Refusal::Remedy(Remedy::ContactServerOperator),
    };
    let mcp = session.mcp().await.map_err(|error| refused(&error))?;
    let tools = mcp.list_all_tools().await.map_err(|error| refused(&error));
    drop(mcp.cancel().await);
    Ok(page(
        &format!("Tools of {name}"),
        &html! {
            ul { @for tool in tools? { li { (tool.name) } } }
            (button(&format!("/servers/{name}/log-out"), "Log out"))
            p { a href="/" { "All servers" } }
        },
    ))
}

/// Removes the tokens of one server, and revokes them there.
async fn log_out(
    State(app): State<App>,
    User(user): User,
    Path(name): Path<String>,
) -> Result<Redirect, Refusal> {
    let key = account(app.server(&name)?, &user);
    app.client.logout(key).await?;
    Ok(Redirect::to("/"))
}

async fn home(State(app): State<App>, user: Result<User, Redirect>) -> Markup {
    let Ok(User(user)) = user else {
        let form = html! {
            form method="post" action="/sign-in" {
                label { "User " input name="user" required autocomplete="username"; }
                button { "Sign in" }
            }
        };
        return page("Sign in", &form);
    };
    let mut servers = Vec::new();
    for (name, server) in &*app.servers {
        let session = app.client.session(account(server, &user)).await;
        servers.push((name, session.is_ok()));
    }
    page(
        &format!("Servers of {user}"),
        &html! {
            ul {
                @for (name, is_connected) in servers {
                    li {
                        (name) " "
                        @if is_connected {
                            a href=(format!("/servers/{name}")) { "Tools of " (name) }
                        } @else {
                            (button(&format!("/servers/{name}/connect"), &format!("Connect {name}")))
                        }
                    }
                }
            }
            (button("/sign-out", "Sign out"))
        },
    )
}

#[derive(Deserialize)]
struct SignIn {
    user: String,
}

/// Signs in without a password: an application authenticates its users here.
async fn sign_in(
    State(app): State<App>,
    cookies: SignedCookieJar,
    Form(form): Form<SignIn>,
) -> impl IntoResponse {
    let cookie = app.cookie(SESSION, form.user, "/".to_owned());
    (cookies.add(cookie), Redirect::to("/"))
}

async fn sign_out(State(app): State<App>, cookies: SignedCookieJar) -> impl IntoResponse {
    let cookie = app.cookie(SESSION, String::new(), "/".to_owned());
    (cookies.remove(cookie), Redirect::to("/"))
}

async fn failed(Path(remedy): Path<String>) -> (StatusCode, Markup) {
    let (status, text) = match remedy.as_str() {
        "connect" => (
            StatusCode::OK,
            "The server is not connected. Connect it again.",
        ),
        "retry" => (
            StatusCode::SERVICE_UNAVAILABLE,
            "That did not work. Try it again in a minute.",
        ),
        _ => (
            StatusCode::BAD_GATEWAY,
            "That did not work. Contact the operator of this application.",
        ),
    };
    let link = html! { p { (text) } p { a href="/" { "All servers" } } };
    (status, page("Not connected", &link))
}

/// The signed-in user. Any other browser is sent to the start page.
struct User(String);

impl FromRequestParts<App> for User {
    type Rejection = Redirect;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Redirect> {
        let cookies = SignedCookieJar::from_headers(&parts.headers, app.key.clone());
        let session = cookies.get(SESSION).ok_or(Redirect::to("/"))?;
        Ok(Self(session.value().to_owned()))
    }
}

impl FromRef<App> for Key {
    fn from_ref(app: &App) -> Self {
        app.key.clone()
    }
}

impl App {
    fn server(&self, name: &str) -> Result<&ServerUrl, Refusal> {
        self.servers.get(name).ok_or(Refusal::UnknownServer)
    }

    /// Returns the URL of a page of this application.
    fn page(&self, path: &str) -> Url {
        let mut url = self.url.clone();
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        url.set_path(path);
        url.set_query(Some(query).filter(|query| !query.is_empty()));
        url
    }

    /// Returns a cookie that no script reads, and that other sites cannot make the browser send in a form.
    fn cookie(&self, name: &'static str, value: String, path: String) -> Cookie<'static> {
        Cookie::build((name, value))
            .path(path)
            .http_only(true)
            .same_site(SameSite::Lax)
            .secure(self.url.scheme() == "https")
            .build()
    }

    /// Each server has a callback and a cookie of its own, so that several logins can be open in a browser.
    fn login_cookie(&self, server: &str, secret: String) -> Cookie<'static> {
        self.cookie(LOGIN, secret, callback_path(server))
    }
}

fn callback_path(server: &str) -> String {
    format!("/callback/{server}")
}

fn account(server: &ServerUrl, user: &str) -> LoginKey {
    LoginKey::from(server).with_account(user)
}

/// The reason why a page is not shown.
enum Refusal {
    UnknownServer,
    Remedy(Remedy),
}

/// The log gets the error. It can name addresses of your network, so the user sees only what to do.
impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        tracing::warn!("{error}");
        Self::Remedy(error.remedy())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let page = match self {
            Self::UnknownServer => return StatusCode::NOT_FOUND.into_response(),
            Self::Remedy(Remedy::LogIn) => "/failed/connect",
            Self::Remedy(Remedy::Retry) => "/failed/retry",
            Self::Remedy(_) => "/failed/operator",
        };
        Redirect::to(page).into_response()
    }
}

/// Refuses a form of another site (CSRF): browsers send the origin of the page with each form.
async fn protect(State(app): State<App>, request: Request, next: Next) -> Response {
    let origin = request.headers().get(header::ORIGIN);
    let own = app.url.origin().ascii_serialization();
    if request.method() != Method::GET && origin.is_none_or(|origin| *origin != own) {
        return StatusCode::FORBIDDEN.into_response();
    }
    let mut response = next.run(request).await;
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ),
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    response
}

/// `html!` escapes every value.
fn page(title: &str, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head { meta charset="utf-8"; title { (title) } }
            body { h1 { (title) } (content) }
        }
    }
}

fn button(action: &str, text: &str) -> Markup {
    html! { form method="post" action=(action) { button { (text) } } }
}
