// Generated from the documents by `documents.rs`.

#![allow(
    unused,
    clippy::all,
    clippy::pedantic,
    clippy::print_stdout,
    reason = "the code is that of the documents"
)]

use mcp_client_oauth::{Client, Session};

use super::BlockError;

pub(super) async fn run(name: &str, client: Client, session: Session, url: &str) -> Result<(), BlockError> {
    match name {
        "readme_1" => readme_1(client, session, url).await,
        "guide_1" => guide_1(client, session, url).await,
        "guide_2" => guide_2(client, session, url).await,
        "guide_3" => guide_3(client, session, url).await,
        "guide_4" => guide_4(client, session, url).await,
        "guide_5" => guide_5(client, session, url).await,
        "guide_6" => guide_6(client, session, url).await,
        "guide_7" => guide_7(client, session, url).await,
        "guide_8" => guide_8(client, session, url).await,
        "guide_9" => guide_9(client, session, url).await,
        "guide_10" => guide_10(client, session, url).await,
        "guide_11" => guide_11(client, session, url).await,
        "guide_12" => guide_12(client, session, url).await,
        "guide_13" => guide_13(client, session, url).await,
        "guide_14" => guide_14(client, session, url).await,
        "guide_15" => guide_15(client, session, url).await,
        "guide_16" => guide_16(client, session, url).await,
        "guide_17" => guide_17(client, session, url).await,
        "guide_18" => guide_18(client, session, url).await,
        "guide_19" => guide_19(client, session, url).await,
        "guide_20" => guide_20(client, session, url).await,
        "guide_21" => guide_21(client, session, url).await,
        other => Err(format!("no block {other}").into()),
    }
}

async fn readme_1(client: Client, session: Session, url: &str) -> Result<(), BlockError> {
    let client = Client::new().await?;
    let session = client.login(url).await?;
    let notes = session.get("notes").send().await?; // refreshes and retries on 401
    Ok(())
}

async fn guide_1(client: Client, session: Session, url: &str) -> Result<(), BlockError> {
    use mcp_client_oauth::Client;
    
    let client = Client::new().await?;
    let session = client.login(url).await?;
    let response = session.get("notes").send().await?;
    println!("{}: {}", response.status, String::from_utf8_lossy(&response.body));
    Ok(())
}

async fn guide_2(client: Client, session: Session, url: &str) -> Result<(), BlockError> {
    use mcp_client_oauth::{Client, TokenStore};
    
    let store = TokenStore::memory(); // or TokenStore::open("file:/var/lib/app/tokens")?
    let client = Client::builder().store(store).client_name("My App").build().await?;
    Ok(())
}

async fn guide_3(client: Client, session: Session, url: &str) -> Result<(), BlockError> {
    let work = client.login(url).account("work").await?;
    let home = client.login(url).account("home").await?;
    assert_ne!(work.key(), home.key());
    
    for key in client.logins().await? {
        let session = client.session(&key).await?;
        println!("{key}: {:?}", session.record().and_then(|record| record.tokens.expires_at));
    }
    Ok(())
}

async fn guide_4(client: Client, session: Session, url: &str) -> Result<(), BlockError> {
    let session = client.login(url).on_demand().await?; // no browser yet
    let response = session.get("notes").send().await?;  // logs in, if that is necessary
    Ok(())
}

async fn guide_5(client: Client, session: Session, url: &str) -> Result<(), BlockError> {
    use http::Method;
    
    let header = session.header().await?;     // refreshes the token if necessary
    let header = session.cached_header();     // no I/O: `None` if a refresh is necessary
    
    // With a token that is bound to a key (DPoP), each request needs a proof too.
    let (mut headers, endpoint) = (http::HeaderMap::new(), url.parse()?);
    session.credentials(&Method::POST, &endpoint).await?.apply(&mut headers);
    Ok(())
}

async fn guide_6(client: Client, session: Session, url: &str) -> Result<(), BlockError> {
    use http::Method;
    use std::time::Duration;
    
    let note = serde_json::json!({ "text": "tea" });
    let created = session.post("notes").json(&note).timeout(Duration::from_secs(10)).send().await?;
    let notes = session.request(Method::GET, "notes").send().await?;
    assert!(created.status.is_success() && notes.status.is_success());
    Ok(())
}

async fn guide_7(client: Client, session: Session, url: &str) -> Result<(), BlockError> {
    use http::Method;
    
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
    let notes: url::Url = format!("{url}/notes").parse()?;
    let response = session
        .send(&Method::GET, &notes, |credentials| {
            http.get(notes.clone()).headers(credentials.into()).send()
        })
        .await??; // the first `?` is for the token, the second for your client
    assert!(response.status().is_success());
    Ok(())
}

async fn guide_8(client: Client, session: Session, url: &str) -> Result<(), BlockError> {
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
    let notes = format!("{url}/notes");
    
    let header = session.header().await?;
    let mut response = http.get(&notes).header("authorization", header.clone()).send().await?;
    if response.status() == 401 {
        let (status, headers) = (response.status(), response.headers());
        let header = session.header_after_rejection(&header, status, headers).await?;
        response = http.get(&notes).header("authorization", header).send().await?;
    }
    assert!(response.status().is_success());
    Ok(())
}

async fn guide_9(client: Client, session: Session, url: &str) -> Result<(), BlockError> {
    use mcp_oauth_adapters::{reqwest_middleware::AuthorizedMiddleware, tower::AuthorizedLayer};
    
    let layer = AuthorizedLayer::new(session.clone());
    
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
    let http = reqwest_middleware::ClientBuilder::new(http)
        .with(AuthorizedMiddleware::new(session.clone()))
        .build();
    let response = http.get(format!("{url}/notes")).send().await?;
    assert!(response.status().is_success());
    Ok(())
}

async fn guide_10(client: Client, session: Session, url: &str) -> Result<(), BlockError> {
    let mcp = session.mcp().await?; // negotiates the protocol version
    for tool in mcp.list_all_tools().await? {
        println!("{}", tool.name);
    }
    Ok(())
}

async fn guide_11(client: Client, session: Session, url: &str) -> Result<(), BlockError> {
    use mcp_client_oauth::Grant;
    
    let session = client.login(url).grant(Grant::PreferDeviceCode).await?;
    Ok(())
}

async fn guide_12(client: Client, session: Session, url: &str) -> Result<(), BlockError> {
    use mcp_client_oauth::{Grant, Secret};
    
    let secret = Secret::new(std::fs::read_to_string("/run/secrets/service")?);
    let session = client
        .login(url)
        .grant(Grant::ClientCredentials)
        .client_id("service")
        .client_secret(secret)
        .await?;
    Ok(())
}

async fn guide_13(client: Client, session: Session, url: &str) -> Result<(), BlockError> {
    use mcp_client_oauth::{AssertionSource, Grant};
    
    let assertion = AssertionSource::File("/var/run/secrets/tokens/mcp".into());
    let session = client.login(url).grant(Grant::WorkloadIdentity { assertion }).await?;
    Ok(())
}

async fn guide_14(client: Client, session: Session, url: &str) -> Result<(), BlockError> {
    use mcp_client_oauth::flow::Quirks;
    
    let mut quirks = Quirks::default();
    quirks.authorization_params.insert("audience", "https://api.example.com")?;
    quirks.authorization_params.insert("login_hint", "me@example.com")?;
    let session = client.login(url).quirks(quirks).force().await?;
    Ok(())
}

async fn guide_15(client: Client, session: Session, url: &str) -> Result<(), BlockError> {
    use mcp_client_oauth::{Error, Remedy};
    
    fn advice(error: &Error) -> &'static str {
        match error.remedy() {
            Remedy::LogIn => "log in again",
            Remedy::Retry => "try again later",
            Remedy::ContactServerOperator => "contact the operator of the server",
            _ => "change the settings",
        }
    }
    
    if let Err(error) = client.session(url).await {
        println!("{error}: {}", advice(&error));
    }
    Ok(())
}

async fn guide_16(client: Client, session: Session, url: &str) -> Result<(), BlockError> {
    let logout = session.logout().await?;
    println!("removed: {}, at the server: {:?}", logout.removed, logout.remote);
    Ok(())
}

async fn guide_17(client: Client, session: Session, url: &str) -> Result<(), BlockError> {
    use mcp_client_oauth::{
        ServerUrl,
        flow::{DiscoveryOptions, discover},
        platform::Platform,
    };
    
    let server: ServerUrl = url.parse()?;
    let discovery = discover(&Platform::default(), &server, &DiscoveryOptions::default()).await?;
    println!("issuer {}", discovery.issuer());
    println!("scopes {:?}", discovery.listed_scope);
    Ok(())
}

async fn guide_18(client: Client, session: Session, url: &str) -> Result<(), BlockError> {
    let begun = client
        .login(url)
        .account("user-42")                                    // from your own session
        .redirect_uri("https://app.example/callback".parse()?)
        .return_to("/settings")
        .begin()
        .await?;
    let location = begun.url;
    let cookie = format!(
        "mcp_login={}; Max-Age=600; Path=/callback; Secure; HttpOnly; SameSite=Lax",
        begun.browser_secret.expose(),
    );
    Ok(())
}

async fn guide_19(client: Client, session: Session, url: &str) -> Result<(), BlockError> {
    use mcp_client_oauth::Secret;
    
    let callback = "https://app.example/callback?code=…&state=…&iss=…".parse()?;
    let cookie = Secret::new("…".to_owned());
    let session = client.finish(&callback, &cookie).await?;
    let location = session.return_to().unwrap_or("/");
    println!("connected {}", session.key());
    Ok(())
}

async fn guide_20(client: Client, session: Session, url: &str) -> Result<(), BlockError> {
    use mcp_client_oauth::flow::client_metadata_document;
    
    let id = "https://app.example/client.json".parse()?;
    let callback = "https://app.example/callback".parse()?;
    let document = client_metadata_document(&id, "My App", &[callback], None)?;   // serve it at `id`
    let login = client.login(url).client_metadata_url(id, None);
    Ok(())
}

async fn guide_21(client: Client, session: Session, url: &str) -> Result<(), BlockError> {
    use mcp_client_oauth::{Client, TokenStore};
    
    let client = Client::builder()
        .store(TokenStore::memory())
        .public_networks_only()
        .build()
        .await?;
    let error = client.login("https://169.254.169.254/latest").await.unwrap_err();
    assert!(error.to_string().contains("169.254.169.254 is a link-local address"));
    Ok(())
}
