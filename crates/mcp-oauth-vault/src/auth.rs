//! The token of each request: read or requested, renewed after half of its lifetime, and replaced when it
//! is refused. All of that happens when a request needs it: nothing runs in the background.

use std::{
    io::Read as _,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::StatusCode;
use mcp_client_oauth::{Secret, error::TokenStorageError};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use crate::{
    error::VaultError,
    http::{Call, Server, VaultResponse},
    options::VaultAuth,
};

/// The shortest time between two renewals, so that a token that is about to expire is not renewed in a loop.
const SHORTEST: Duration = Duration::from_secs(1);
/// The size of the largest token file.
const LONGEST_TOKEN: u64 = 16 * 1024;
/// The size of the largest request in this module.
const MAX_BODY: usize = 4 * 1024;

/// The auth method, and the current token.
pub(super) struct Credential {
    auth: VaultAuth,
    /// Held while the token is fetched or renewed, so that many tasks cause one request.
    login: Mutex<Option<Login>>,
}

#[derive(Clone)]
struct Login {
    token: Secret<String>,
    /// The time of the next renewal, or `None` if it is not renewable.
    renewal: Option<SystemTime>,
}

impl Credential {
    pub(super) fn new(auth: VaultAuth) -> Self {
        Self {
            auth,
            login: Mutex::default(),
        }
    }

    /// Returns the token, and renews it first if half of its lifetime is over.
    pub(super) async fn token(&self, server: &Server) -> Result<Secret<String>, TokenStorageError> {
        let mut current = self.login.lock().await;
        let mut login = match &*current {
            Some(login) => login.clone(),
            None => self.log_in(server).await?,
        };
        if login
            .renewal
            .is_some_and(|renewal| renewal <= server.clock.now())
        {
            renew(server, &mut login).await;
        }
        let token = login.token.clone();
        *current = Some(login);
        Ok(token)
    }

    /// Returns another token than `refused`, or `None` if there is no other. If the token of many tasks is
    /// refused, the first one gets a new token, and the others use it.
    pub(super) async fn replace(
        &self,
        server: &Server,
        refused: &Secret<String>,
    ) -> Result<Option<Secret<String>>, TokenStorageError> {
        let mut current = self.login.lock().await;
        if let Some(login) = current.as_ref().filter(|login| login.token != *refused) {
            return Ok(Some(login.token.clone()));
        }
        if matches!(self.auth, VaultAuth::Token(_)) {
            return Ok(None);
        }
        let login = self.log_in(server).await?;
        let token = login.token.clone();
        *current = Some(login);
        Ok(Some(token).filter(|token| token != refused))
    }

    async fn log_in(&self, server: &Server) -> Result<Login, TokenStorageError> {
        match &self.auth {
            VaultAuth::Token(token) => look_up(server, token.clone()).await,
            VaultAuth::TokenFile(path) => look_up(server, read(server, path).await?).await,
            VaultAuth::AppRole {
                role_id,
                secret_id,
                mount,
            } => app_role(server, role_id, secret_id, mount).await,
        }
    }
}

/// Looks up the lifetime of a token. A token without the default policy may not do that: it is used as long
/// as it is accepted.
async fn look_up(server: &Server, token: Secret<String>) -> Result<Login, TokenStorageError> {
    #[derive(Deserialize)]
    struct Found {
        data: Life,
    }
    #[derive(Deserialize)]
    struct Life {
        ttl: u64,
        creation_ttl: u64,
        renewable: bool,
    }
    let call = Call::get("auth/token/lookup-self".to_owned());
    let response = server.send(&call, Some(&token)).await?;
    let life = response.parse::<Found>().map(|found| found.data);
    let renewal = life.filter(|life| life.renewable).map(|life| {
        let half = Duration::from_secs(life.creation_ttl / 2);
        server.clock.now() + Duration::from_secs(life.ttl).saturating_sub(half)
    });
    Ok(Login { token, renewal })
}

/// Renews a token. A refusal is no error here: the request that follows will fail.
async fn renew(server: &Server, login: &mut Login) {
    let call = Call::post("auth/token/renew-self".to_owned(), &Nothing {}, MAX_BODY);
    match server.send(&call, Some(&login.token)).await {
        Ok(response) => {
            login.renewal = granted(server, &response).and_then(|granted| granted.renewal);
        }
        Err(error) => tracing::warn!(%error, "the token could not be renewed"),
    }
}

/// Logs in by AppRole
/// (<https://developer.hashicorp.com/vault/api-docs/auth/approle#login-with-approle>). The request is not
/// retried: a secret ID may be valid for one login only.
async fn app_role(
    server: &Server,
    role_id: &str,
    secret_id: &Secret<String>,
    mount: &str,
) -> Result<Login, TokenStorageError> {
    #[derive(Serialize)]
    struct Body<'a> {
        role_id: &'a str,
        secret_id: &'a Secret<String>,
    }
    let body = Body { role_id, secret_id };
    let call = Call::post(format!("auth/{mount}/login"), &body, MAX_BODY).once();
    let response = server.send(&call, None).await?;
    if response.status != StatusCode::OK {
        return Err(server.fault(VaultError::AppRole {
            mount: mount.to_owned(),
            message: response.message(),
        }));
    }
    granted(server, &response).ok_or_else(|| server.malformed("a login without a token"))
}

/// Returns the token of a login or renewal response.
fn granted(server: &Server, response: &VaultResponse) -> Option<Login> {
    #[derive(Deserialize)]
    struct Granted {
        auth: Auth,
    }
    #[derive(Deserialize)]
    struct Auth {
        client_token: Secret<String>,
        lease_duration: u64,
        renewable: bool,
    }
    let auth = response.parse::<Granted>()?.auth;
    let half = Duration::from_secs(auth.lease_duration / 2).max(SHORTEST);
    Some(Login {
        token: auth.client_token,
        renewal: auth.renewable.then(|| server.clock.now() + half),
    })
}

#[derive(Serialize)]
struct Nothing {}

async fn read(server: &Server, path: &Path) -> Result<Secret<String>, TokenStorageError> {
    let file = path.to_owned();
    let read = tokio::task::spawn_blocking(move || {
        // The buffer never grows, which would leave a copy of the token in memory.
        let mut text = Zeroizing::new(String::with_capacity(16 * 1024));
        let file = std::fs::File::open(file)?;
        file.take(LONGEST_TOKEN).read_to_string(&mut text)?;
        Ok(text)
    });
    let read = read
        .await
        .unwrap_or_else(|stopped| Err(std::io::Error::other(stopped)));
    let text = read.map_err(|source| TokenStorageError::Io {
        action: "read the Vault token in",
        path: path.to_owned(),
        source: Arc::new(source),
    })?;
    let token = text.trim();
    if token.is_empty() {
        return Err(server.fault(VaultError::Token("file is empty")));
    }
    Ok(Secret::new(token.to_owned()))
}
