//! A KV version 2 engine: documents with versions, written by check-and-set.
//! <https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2>

use std::{sync::Arc, time::SystemTime};

use http::StatusCode;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::sync::OnceCell;

use super::{
    credential::Credential,
    options::VaultOptions,
    server::{Answer, Call, Server},
};
use crate::{
    error::{TokenStorageError, VaultErrorKind},
    platform::{Clock, HttpClient},
    proto::untrusted_text::UntrustedText,
};

/// Holds what HTTP 400 says when the version is another one than was expected.
const CONFLICT: &str = "check-and-set parameter did not match";
/// Holds what HTTP 404 says when nothing is mounted there, and not only no secret.
const NO_MOUNT: &str = "no handler for route";
/// The JSON around a document, and that of small documents with it.
const ROOM: usize = 4 * 1024;

/// A mounted engine, and the token for it.
pub(super) struct Kv {
    pub(super) server: Server,
    credential: Credential,
    mount: String,
    prefix: String,
    /// That the mount is what it has to be: asked once.
    checked: OnceCell<()>,
}

/// Holds what is at a path.
#[derive(Debug)]
pub(super) struct Found<T> {
    /// Its newest version, whether deleted or not; 0 if there never was one.
    pub(super) version: u64,
    /// When that version was written, by the server's clock.
    pub(super) written: Option<SystemTime>,
    /// When it was read, by the server's clock.
    pub(super) read: Option<SystemTime>,
    /// The document.
    pub(super) content: Content<T>,
}

#[derive(Debug)]
pub(super) enum Content<T> {
    /// Nothing, or it was deleted.
    Absent,
    /// Something else than we write.
    Foreign,
    Present(T),
}

#[derive(Deserialize)]
struct Data<T> {
    data: T,
}

#[derive(Deserialize)]
struct Secret<T> {
    data: Option<T>,
}

#[derive(Deserialize)]
struct Versioned {
    metadata: Version,
}

#[derive(Deserialize)]
struct Version {
    version: u64,
    created_time: String,
}

impl Kv {
    pub(super) fn new(
        options: &VaultOptions,
        http: Arc<dyn HttpClient>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, TokenStorageError> {
        Ok(Self {
            server: Server::new(options, http, clock)?,
            credential: Credential::new(options.auth.clone()),
            mount: options.mount.clone(),
            prefix: options.prefix.clone(),
            checked: OnceCell::new(),
        })
    }

    pub(super) async fn read<T: DeserializeOwned>(
        &self,
        path: &str,
    ) -> Result<Found<T>, TokenStorageError> {
        self.check().await?;
        let call = Call::get(self.path("data", path));
        let response = self.call(&call).await?;
        let version = response
            .parse::<Data<Versioned>>()
            .map(|found| found.data.metadata);
        match (response.status, version) {
            // A deleted secret is a 404 with a body: the versions go on after it.
            (StatusCode::OK | StatusCode::NOT_FOUND, Some(version)) => Ok(Found {
                version: version.version,
                written: humantime::parse_rfc3339(&version.created_time).ok(),
                read: response.date,
                content: content(&response),
            }),
            (StatusCode::NOT_FOUND, None) => {
                self.mounted(&response)?;
                Ok(Found {
                    version: 0,
                    written: None,
                    read: response.date,
                    content: Content::Absent,
                })
            }
            (StatusCode::OK, None) => Err(self.server.malformed("a secret without a version")),
            _ => Err(self.unexpected(&call, &response)),
        }
    }

    /// Writes a document over the version `over` (0: none), and gives its version; none if another
    /// version is there. `room` is what the document needs at most, beyond a little.
    pub(super) async fn write<T>(
        &self,
        path: &str,
        over: u64,
        document: &T,
        room: usize,
    ) -> Result<Option<u64>, TokenStorageError>
    where
        T: Serialize + DeserializeOwned + PartialEq,
    {
        #[derive(Serialize)]
        struct Write<'a, T> {
            options: Options,
            data: &'a T,
        }
        #[derive(Serialize)]
        struct Options {
            cas: u64,
        }
        self.check().await?;
        let write = Write {
            options: Options { cas: over },
            data: document,
        };
        let call = Call::post(self.path("data", path), &write, room + ROOM);
        let response = self.call(&call).await?;
        match response.status {
            StatusCode::OK => match response.parse::<Data<Version>>() {
                Some(written) => Ok(Some(written.data.version)),
                None => Err(self.server.malformed("a write without a version")),
            },
            StatusCode::BAD_REQUEST if response.says(CONFLICT) => {
                if response.in_doubt {
                    self.written_before(path, over, document).await
                } else {
                    Ok(None)
                }
            }
            _ => Err(self.unexpected(&call, &response)),
        }
    }

    /// After a conflict with what may be our own write, whose answer was lost.
    async fn written_before<T: DeserializeOwned + PartialEq>(
        &self,
        path: &str,
        over: u64,
        document: &T,
    ) -> Result<Option<u64>, TokenStorageError> {
        let found = self.read::<T>(path).await?;
        let is_ours = matches!(&found.content, Content::Present(there) if there == document);
        Ok(Some(found.version).filter(|version| is_ours && *version == over + 1))
    }

    /// Makes the engine forget each version when the next one is written. It keeps ten otherwise,
    /// and spent tokens, or those of somebody who has logged out, with them.
    pub(super) async fn keep_newest_only(&self, path: &str) -> Result<(), TokenStorageError> {
        #[derive(Serialize)]
        struct Settings {
            max_versions: u64,
        }
        self.check().await?;
        let settings = Settings { max_versions: 1 };
        let call = Call::post(self.path("metadata", path), &settings, ROOM);
        let response = self.call(&call).await?;
        if response.status.is_success() {
            return Ok(());
        }
        Err(self.unexpected(&call, &response))
    }

    /// Returns the last segments of the paths under `path`.
    pub(super) async fn list(&self, path: &str) -> Result<Vec<String>, TokenStorageError> {
        #[derive(Deserialize)]
        struct Keys {
            keys: Vec<String>,
        }
        self.check().await?;
        let call = Call::list(self.path("metadata", path));
        let response = self.call(&call).await?;
        match response.status {
            StatusCode::OK => match response.parse::<Data<Keys>>() {
                Some(found) => Ok(found.data.keys),
                None => Err(self.server.malformed("a list without keys")),
            },
            StatusCode::NOT_FOUND => {
                self.mounted(&response)?;
                Ok(Vec::new())
            }
            _ => Err(self.unexpected(&call, &response)),
        }
    }

    fn path(&self, part: &str, path: &str) -> String {
        format!("{}/{part}/{}/{path}", self.mount, self.prefix)
    }

    /// Sends a call with our token, and again with another one if it is refused and there is one.
    async fn call(&self, call: &Call) -> Result<Answer, TokenStorageError> {
        let token = self.credential.token(&self.server).await?;
        let response = self.server.send(call, Some(&token)).await?;
        if response.status != StatusCode::FORBIDDEN {
            return Ok(response);
        }
        match self.credential.replace(&self.server, &token).await? {
            Some(token) => self.server.send(call, Some(&token)).await,
            None => Ok(response),
        }
    }

    /// Makes sure, before anything is written, that the mount has versions: KV version 1 takes
    /// every write of ours for a plain secret and compares nothing.
    async fn check(&self) -> Result<(), TokenStorageError> {
        self.checked
            .get_or_try_init(|| self.ask_for_mount())
            .await?;
        Ok(())
    }

    async fn ask_for_mount(&self) -> Result<(), TokenStorageError> {
        #[derive(Deserialize)]
        struct Mount {
            path: String,
            #[serde(rename = "type")]
            engine: String,
            options: Option<Options>,
        }
        #[derive(Deserialize)]
        struct Options {
            version: Option<String>,
        }
        let call = Call::get(format!("sys/internal/ui/mounts/{}", self.mount));
        let response = self.call(&call).await?;
        if response.status != StatusCode::OK {
            return self.ask_for_secret().await;
        }
        let found = response.parse::<Data<Mount>>().map(|found| found.data);
        let Some(found) = found else {
            return Err(self.server.malformed("a mount without a type"));
        };
        if found.path.trim_end_matches('/') != self.mount {
            return Err(self.no_mount());
        }
        let version = found.options.and_then(|options| options.version);
        let version = version.unwrap_or_else(|| "1".to_owned());
        match (found.engine.as_str(), version.as_str()) {
            ("kv", "2") => Ok(()),
            ("kv", other) => Err(self.not_kv2(&format!("KV version {other}"))),
            (other, _) => Err(self.not_kv2(&format!("an engine of the type {other}"))),
        }
    }

    /// Who may see nothing of a mount is not told whether there is one, except by a read.
    async fn ask_for_secret(&self) -> Result<(), TokenStorageError> {
        let call = Call::get(self.path("data", "records"));
        let response = self.call(&call).await?;
        self.mounted(&response)?;
        let path = format!("{}/", self.mount);
        match response.status {
            StatusCode::FORBIDDEN => Err(self.server.denied(&path)),
            _ => Err(self.server.refused(&response)),
        }
    }

    fn mounted(&self, response: &Answer) -> Result<(), TokenStorageError> {
        if response.status == StatusCode::NOT_FOUND && response.says(NO_MOUNT) {
            return Err(self.no_mount());
        }
        Ok(())
    }

    fn no_mount(&self) -> TokenStorageError {
        let mount = format!("{}/", self.mount);
        self.server.fault(VaultErrorKind::NoMount(mount))
    }

    fn not_kv2(&self, found: &str) -> TokenStorageError {
        self.server.fault(VaultErrorKind::NotKv2 {
            mount: format!("{}/", self.mount),
            found: UntrustedText::new(found),
        })
    }

    fn unexpected(&self, call: &Call, response: &Answer) -> TokenStorageError {
        if let Err(error) = self.mounted(response) {
            return error;
        }
        match response.status {
            StatusCode::FORBIDDEN => self.server.denied(&call.path),
            _ => self.server.refused(response),
        }
    }
}

fn content<T: DeserializeOwned>(response: &Answer) -> Content<T> {
    match response.parse::<Data<Secret<T>>>() {
        Some(Data {
            data: Secret { data: Some(found) },
        }) => Content::Present(found),
        Some(_) => Content::Absent,
        None => Content::Foreign,
    }
}
