//! A whole older file that somebody put back, or a restored backup: it is genuine, and nothing in
//! it says that there was a later one (H143, SECURITY.md). What it costs is a login at most.

use std::sync::Arc;

use mcp_client_oauth::{
    Error, Remedy, Session, TokenSource as _, TokenStore, error::TokenRefreshError,
};

use super::*;
use crate::support::Fixture;

/// A login in sealed files, renewed since its file was copied.
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

    fn put_back(&self) {
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
        let Fixture {
            platform, store, ..
        } = &self.fixture;
        let session = Session::open(platform.clone(), store.clone(), self.fixture.key()).await;
        session.unwrap().unwrap()
    }
}

/// The server takes a refresh token that was spent for stolen, and ends the login: the person is
/// asked again, and what is stored then is what they got.
#[tokio::test]
async fn an_older_record_that_was_put_back_costs_a_login_and_nothing_else() {
    let rolled = RolledBack::new().await;
    rolled.put_back();
    let session = rolled.opened().await;
    let error = session.refresh().await.unwrap_err();
    assert_eq!(error.remedy(), Remedy::LogIn, "{error}");
    assert!(
        matches!(error, Error::TokenRefresh(TokenRefreshError::Answer { .. })),
        "{error}"
    );
    rolled.fixture.assert_nothing_is_stored().await;
    let refreshes = rolled.fixture.refreshes();
    session.refresh().await.unwrap_err();
    assert_eq!(rolled.fixture.refreshes(), refreshes, "a loop began");

    let session = rolled.fixture.login().await.unwrap();
    session.refresh().await.unwrap();
    let stored = rolled.fixture.record().await.unwrap();
    assert_eq!(stored.tokens.access_token, session.token().await.unwrap());
}

/// Its access token is read as it was, and sent to nobody but its server, which says whether it is
/// good still.
#[tokio::test]
async fn an_older_record_is_read_as_what_it_was() {
    let rolled = RolledBack::new().await;
    let newest = rolled.session.token().await.unwrap();
    rolled.put_back();
    let session = rolled.opened().await;
    let token = session.token().await.unwrap();
    assert_ne!(token, newest);
    assert_eq!(session.resource(), rolled.session.resource());
    // Whoever has the newest in memory goes on with it as long as it is good.
    assert_eq!(rolled.session.token().await.unwrap(), newest);
}

/// A restored backup is a store like any other: other records are what they were.
#[tokio::test]
async fn an_older_file_of_one_record_does_not_touch_another() {
    let rolled = RolledBack::new().await;
    let files = rolled.home.open();
    put(&files, "another", None, "content").await.unwrap();
    rolled.put_back();
    let files = rolled.home.open();
    assert_eq!(get(&files, "another").await.unwrap().unwrap(), "content");
    rolled.opened().await.refresh().await.unwrap_err();
    assert_eq!(get(&files, "another").await.unwrap().unwrap(), "content");
}
