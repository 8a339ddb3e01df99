//! A complete older file that was restored, by an attacker or from a backup: it is genuine, and nothing
//! in it shows that a later one existed (docs/hostile.md H143, SECURITY.md). At most it costs a login.

use std::sync::Arc;

use mcp_client_oauth::{
    Error, Remedy, Session, TokenStore, adapters::TokenSource as _, error::TokenRefreshError,
};

use super::*;
use crate::support::Fixture;

/// A login in encrypted files, which was refreshed after its file was copied.
struct RolledBack {
    home: Home,
    fixture: Fixture,
    session: Session,
    copy: Vec<u8>,
}

impl RolledBack {
    async fn new() -> Self {
        let home = Home::new();
        let mut fixture = Fixture::start().await;
        fixture.store = TokenStore::new(Arc::new(home.open()));
        let session = fixture.login().await.unwrap();
        let copy = fs::read(Self::login_file(&home)).unwrap();
        session.refresh().await.unwrap();
        Self {
            home,
            fixture,
            session,
            copy,
        }
    }

    fn restore(&self) {
        overwrite(&Self::login_file(&self.home), &self.copy);
    }

    fn login_file(home: &Home) -> PathBuf {
        let first_line = |path: &PathBuf| {
            let bytes = fs::read(path).unwrap();
            let line = bytes.split(|byte| *byte == b'\n').next().unwrap();
            String::from_utf8(line.to_vec()).unwrap()
        };
        let is_login = |path: &PathBuf| first_line(path).contains("\"login ");
        home.records().into_iter().find(is_login).unwrap()
    }

    async fn opened(&self) -> Session {
        let session = self.fixture.client().session(self.fixture.key()).await;
        session.unwrap()
    }
}

/// The server treats a spent refresh token as stolen and ends the login (RFC 9700 §4.14.2): the user
/// must log in again, and the new tokens are stored.
#[tokio::test]
async fn a_restored_older_record_costs_only_a_login() {
    let rolled = RolledBack::new().await;
    rolled.restore();
    let session = rolled.opened().await;
    let error = session.refresh().await.unwrap_err();
    assert_eq!(error.remedy(), Remedy::LogIn, "{error}");
    assert!(
        matches!(
            error,
            Error::TokenRefresh(TokenRefreshError::Response { .. })
        ),
        "{error}"
    );
    rolled.fixture.assert_nothing_is_stored().await;
    let refreshes = rolled.fixture.refreshes();
    session.refresh().await.unwrap_err();
    assert_eq!(
        rolled.fixture.refreshes(),
        refreshes,
        "a refresh loop started"
    );

    let session = rolled.fixture.login().await.unwrap();
    session.refresh().await.unwrap();
    let stored = rolled.fixture.record().await.unwrap();
    assert_eq!(stored.tokens.access_token, session.token().await.unwrap());
}

/// The access token of the older record is used only for its own server, which accepts or refuses it.
#[tokio::test]
async fn a_restored_older_record_is_read_with_its_old_token() {
    let rolled = RolledBack::new().await;
    let newest = rolled.session.token().await.unwrap();
    rolled.restore();
    let session = rolled.opened().await;
    let token = session.token().await.unwrap();
    assert_ne!(token, newest);
    assert_eq!(session.resource(), rolled.session.resource());
    // A session with the newest token in memory continues to use it.
    assert_eq!(rolled.session.token().await.unwrap(), newest);
}

/// A restored file changes only its own record.
#[tokio::test]
async fn a_restored_file_of_one_record_changes_no_other() {
    let rolled = RolledBack::new().await;
    let files = rolled.home.open();
    put(&files, "another", None, "content").await.unwrap();
    rolled.restore();
    let files = rolled.home.open();
    assert_eq!(get(&files, "another").await.unwrap().unwrap(), "content");
    rolled.opened().await.refresh().await.unwrap_err();
    assert_eq!(get(&files, "another").await.unwrap().unwrap(), "content");
}
