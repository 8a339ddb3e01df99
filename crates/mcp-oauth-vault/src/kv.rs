//! A KV version 2 engine: documents with versions, written by check-and-set.
//! <https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2>

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::StatusCode;
use mcp_client_oauth::{
    error::{TokenStorageError, UntrustedText},
    platform::{Clock, HttpClient},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::sync::OnceCell;

use crate::{
    auth::Credential,
    error::VaultError,
    http::{Call, Server, VaultResponse},
    options::VaultOptions,
};

/// Part of the message of HTTP 400 when the version is not the expected one.
const CONFLICT: &str = "check-and-set parameter did not match";
/// Part of the message of HTTP 404 when no engine is mounted there, and not only the secret is missing.
const NO_MOUNT: &str = "no handler for route";
/// The largest size of the JSON around a document, or of a small document.
const ENVELOPE: usize = 4 * 1024;

/// A mounted engine, and the token for it.
pub(super) struct Kv {
    pub(super) server: Server,
    credential: Credential,
    mount: String,
    prefix: String,
    /// Set once the mount is known to be a KV version 2 engine.
    checked: OnceCell<()>,
}

/// The content of a path.
#[derive(Debug)]
pub(super) struct Found<T> {
    /// Its newest version, whether deleted or not; 0 if there never was one.
    pub(super) version: u64,
    /// The time when that version was written, by the server's clock.
    pub(super) written: Option<SystemTime>,
    /// The time when it was read, by the server's clock.
    pub(super) read: Option<SystemTime>,
    /// The document.
    pub(super) content: Content<T>,
}

impl<T> Found<T> {
    /// Returns the time when this was read, by the server's clock; by `clock` if the server has not said it.
    pub(super) fn read_at(&self, clock: &dyn Clock) -> SystemTime {
        self.read.unwrap_or_else(|| clock.now())
    }
}

#[derive(Debug)]
pub(super) enum Content<T> {
    /// There is none, or it was deleted.
    Absent,
    /// It is not a document of this client.
    Unrecognized,
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

    /// Writes a document over the version `over` (0: none), and returns its version, or `None` if there is
    /// another version. `capacity` is the largest size of the document as JSON, without its envelope.
    pub(super) async fn write<T>(
        &self,
        path: &str,
        over: u64,
        document: &T,
        capacity: usize,
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
        let call = Call::post(self.path("data", path), &write, capacity + ENVELOPE);
        let response = self.call(&call).await?;
        match response.status {
            StatusCode::OK => match response.parse::<Data<Version>>() {
                Some(written) => Ok(Some(written.data.version)),
                None => Err(self.server.malformed("a write without a version")),
            },
            StatusCode::BAD_REQUEST if response.message_contains(CONFLICT) => {
                if response.in_doubt {
                    self.written_before(path, over, document).await
                } else {
                    Ok(None)
                }
            }
            _ => Err(self.unexpected(&call, &response)),
        }
    }

    /// Returns the version of an earlier write of `document`, after a conflict that it may have caused: its
    /// response was lost.
    async fn written_before<T: DeserializeOwned + PartialEq>(
        &self,
        path: &str,
        over: u64,
        document: &T,
    ) -> Result<Option<u64>, TokenStorageError> {
        let found = self.read::<T>(path).await?;
        let is_own = matches!(&found.content, Content::Present(there) if there == document);
        Ok(Some(found.version).filter(|version| is_own && *version == over + 1))
    }

    /// Configures the engine to delete each version when the next one is written, and after `lifetime`. It
    /// keeps ten otherwise, with tokens that were used up or revoked.
    pub(super) async fn keep_newest_only(
        &self,
        path: &str,
        lifetime: Option<Duration>,
    ) -> Result<(), TokenStorageError> {
        #[derive(Serialize)]
        struct Settings {
            max_versions: u64,
            delete_version_after: String,
        }
        self.check().await?;
        // Zero seconds mean that the engine deletes nothing.
        let seconds = lifetime.map_or(0, |lifetime| lifetime.as_secs() + 1);
        let settings = Settings {
            max_versions: 1,
            delete_version_after: format!("{seconds}s"),
        };
        let call = Call::post(self.path("metadata", path), &settings, ENVELOPE);
        let response = self.call(&call).await?;
        if response.status.is_success() {
            return Ok(());
        }
        Err(self.unexpected(&call, &response))
    }

    /// Removes a secret with its versions and their numbers, if there is one. Returns false if the policy does
    /// not allow it.
    pub(super) async fn remove(&self, path: &str) -> Result<bool, TokenStorageError> {
        self.check().await?;
        let call = Call::delete(self.path("metadata", path));
        let response = self.call(&call).await?;
        match response.status {
            StatusCode::OK | StatusCode::NO_CONTENT => Ok(true),
            StatusCode::FORBIDDEN => Ok(false),
            _ => Err(self.unexpected(&call, &response)),
        }
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

    /// Sends a call with the token, and again with another one if the token is refused and there is another.
    async fn call(&self, call: &Call) -> Result<VaultResponse, TokenStorageError> {
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

    /// Checks that the mount has versions, before anything is written: KV version 1 accepts every write
    /// as a plain secret and compares nothing.
    async fn check(&self) -> Result<(), TokenStorageError> {
        self.checked
            .get_or_try_init(|| self.look_up_mount())
            .await?;
        Ok(())
    }

    async fn look_up_mount(&self) -> Result<(), TokenStorageError> {
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
            return self.probe_data_path().await;
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

    /// Reads a secret to find out whether the mount exists: a token without access to the mount has no other
    /// way to learn that.
    async fn probe_data_path(&self) -> Result<(), TokenStorageError> {
        let call = Call::get(self.path("data", "records"));
        let response = self.call(&call).await?;
        self.mounted(&response)?;
        let path = format!("{}/", self.mount);
        match response.status {
            StatusCode::FORBIDDEN => Err(self.server.denied(&path)),
            _ => Err(self.server.refused(&response)),
        }
    }

    fn mounted(&self, response: &VaultResponse) -> Result<(), TokenStorageError> {
        if response.status == StatusCode::NOT_FOUND && response.message_contains(NO_MOUNT) {
            return Err(self.no_mount());
        }
        Ok(())
    }

    fn no_mount(&self) -> TokenStorageError {
        let mount = format!("{}/", self.mount);
        self.server.fault(VaultError::NoMount(mount))
    }

    fn not_kv2(&self, found: &str) -> TokenStorageError {
        self.server.fault(VaultError::NotKv2 {
            mount: format!("{}/", self.mount),
            found: UntrustedText::new(found),
        })
    }

    fn unexpected(&self, call: &Call, response: &VaultResponse) -> TokenStorageError {
        if let Err(error) = self.mounted(response) {
            return error;
        }
        match response.status {
            StatusCode::FORBIDDEN => self.server.denied(&call.path),
            _ => self.server.refused(response),
        }
    }
}

fn content<T: DeserializeOwned>(response: &VaultResponse) -> Content<T> {
    match response.parse::<Data<Secret<T>>>() {
        Some(Data {
            data: Secret { data: Some(found) },
        }) => Content::Present(found),
        Some(_) => Content::Absent,
        None => Content::Unrecognized,
    }
}
