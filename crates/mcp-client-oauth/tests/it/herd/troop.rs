//! The herd as its parent sees it: a testbed, a store, and the members.

use std::time::Duration;

use http::{Method, header};
use mcp_client_oauth::{
    TokenStore,
    platform::{AddressSpace, Request},
};
use mcp_oauth_testbed::{Peer, Recorded, Testbed};

use super::{
    member::{SENDER, at, member},
    place::Place,
    process::Process,
};
use crate::support::{Fixture, bounded};

/// How long an access token lives.
const LIFE: Duration = Duration::from_secs(1);

/// What is wrong with the token that everybody has.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trouble {
    /// Its time is over, and everybody knows.
    Expired,
    /// It still looks good, and the server does not take it.
    Refused,
}

pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) process: Process,
    /// It has not said yet that it is there.
    is_new: bool,
}

pub(crate) struct Herd {
    pub(crate) fixture: Fixture,
    pub(crate) members: Vec<Member>,
    place: Place,
    /// What everybody has.
    token: String,
    seconds: u64,
    born: usize,
}

impl Herd {
    /// Somebody logs in, and as many processes as asked for open what was stored.
    pub(crate) async fn gather(size: usize, place: Place) -> Self {
        let builder = Testbed::builder()
            .access_token_lifetime(LIFE)
            .clock_stands_still(true);
        let mut fixture = Fixture::with(builder).await;
        fixture.store = place.store();
        let mut herd = Self {
            fixture,
            members: Vec::new(),
            place,
            token: String::new(),
            seconds: 0,
            born: 0,
        };
        herd.token = herd.log_in().await;
        herd.fixture.testbed.forget_requests();
        for _ in 0..size {
            herd.bear();
        }
        herd.awake().await;
        herd
    }

    /// Another member is on its way.
    pub(crate) fn bear(&mut self) {
        self.born += 1;
        let name = format!("member-{}", self.born);
        let mut command = member(&name, self.fixture.server.as_str());
        self.place.tell(&mut command);
        let process = Process::start(command);
        self.members.push(Member {
            name,
            process,
            is_new: true,
        });
    }

    /// Waits for those that were born since the last time.
    pub(crate) async fn awake(&mut self) {
        for member in &mut self.members {
            if member.is_new {
                assert_eq!(member.process.hear().await.as_deref(), Some("ready"));
                member.is_new = false;
            }
        }
    }

    /// The new login is for everybody. What it brings.
    pub(crate) async fn log_in(&self) -> String {
        let session = self.fixture.login().await.unwrap();
        self.fixture.store.flush().await;
        session.record().tokens.access_token.expose().to_owned()
    }

    /// The store, with nothing remembered of it.
    pub(crate) fn store(&self) -> TokenStore {
        self.place.store()
    }

    /// The token of everybody becomes bad, and everybody is told to get a good one.
    pub(crate) async fn meet(&mut self, trouble: Trouble) {
        match trouble {
            Trouble::Expired => {
                self.seconds += LIFE.as_secs();
                self.fixture.clock.set(at(self.seconds));
                self.fixture.testbed.advance(LIFE);
                self.tell("token").await;
            }
            Trouble::Refused => {
                self.fixture.testbed.revoke_access_tokens();
                self.tell("replace").await;
            }
        }
    }

    /// Everybody hears the same before anybody is listened to.
    pub(crate) async fn tell(&mut self, verb: &str) {
        let order = format!("{verb} {}", self.seconds);
        for member in &mut self.members {
            member.process.tell(&order).await;
        }
    }

    /// What each of them says, as far as they live.
    pub(crate) async fn answers(&mut self) -> Vec<String> {
        let mut answers = Vec::new();
        for member in &mut self.members {
            answers.extend(member.process.hear().await);
        }
        answers
    }

    /// All have the same token, it is a new one, and the server takes it.
    pub(crate) async fn assert_agreed(&mut self, answers: &[String]) {
        let first = answers.first().expect("somebody lives");
        let token = first.strip_prefix("token ").expect(first).to_owned();
        for response in answers {
            assert_eq!(response, first, "they do not agree");
        }
        assert_ne!(token, self.token, "this is the token that was no good");
        assert!(
            is_good(&self.fixture, &token).await,
            "the server does not take it"
        );
        assert!(self.fixture.testbed.families().last().unwrap().alive);
        self.token = token;
    }

    /// One round in which nobody is disturbed.
    pub(crate) async fn renews_once(&mut self, trouble: Trouble) {
        self.meet(trouble).await;
        let answers = self.answers().await;
        assert_eq!(answers.len(), self.members.len());
        self.assert_agreed(&answers).await;
        assert_eq!(self.fixture.refreshes(), 1, "one token request for all");
        assert_eq!(self.fixture.testbed.families().len(), 1);
        assert_eq!(
            self.fixture.person.opened().len(),
            1,
            "nobody logs in again"
        );
        self.fixture.testbed.forget_requests();
    }

    /// The refreshes of this round, in the order of their arrival.
    pub(crate) fn refreshes(&self) -> Vec<Recorded> {
        let requests = self.fixture.testbed.requests().into_iter();
        requests
            .filter(|request| request.path == "/token" && request.form("refresh_token").is_some())
            .collect()
    }

    /// Waits until somebody sends a refresh: which member that is.
    pub(crate) async fn sender(&self) -> usize {
        let server = Peer::AuthorizationServer;
        bounded(self.fixture.testbed.arrived(server, "POST", "/token", 1)).await;
        let refreshes = self.refreshes();
        let name = sender_of(refreshes.last().unwrap());
        let found = self.members.iter().position(|member| member.name == name);
        found.expect("only members refresh")
    }
}

pub(crate) fn sender_of(request: &Recorded) -> &str {
    request.header(SENDER).expect("members sign what they send")
}

/// Whether the server takes an access token.
pub(crate) async fn is_good(fixture: &Fixture, token: &str) -> bool {
    let notes = fixture.server.as_url().join("/mcp/notes").unwrap();
    let mut request = Request::json(notes, AddressSpace::Loopback, String::new());
    request.method = Method::GET;
    let bearer = format!("Bearer {token}").parse().unwrap();
    request.headers.insert(header::AUTHORIZATION, bearer);
    let response = bounded(fixture.platform.http.send(request)).await;
    response.unwrap().status == 200
}
