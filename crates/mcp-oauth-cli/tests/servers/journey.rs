//! The steps that run at every server, and the assertions about them.

use std::sync::Arc;

use serde_json::json;
use test_support::form_browser::{
    Decision::{self, Approve, Deny},
    USER_AGENT,
};

use crate::{
    command::{Home, Output},
    leniency,
    server::{Description, Refresh, Revokes, Server},
    table::{BOTH_DEAD, Row},
    wire::{self, Exchange},
};

/// The name of the logins.
const NAME: &str = "work";

/// A server, the command, and the current login.
struct Journey {
    description: Description,
    server: Server,
    home: Home,
}

/// Runs the whole journey at one server.
pub(crate) async fn run(name: &str) -> Row {
    let mut description = Description::of(name);
    let server = Server::start(name, &mut description).await;
    let home = Home::new().await;
    let mut journey = Journey {
        description,
        server,
        home,
    };
    let mut row = Row::new(&journey.description, &journey.server.version);
    crate::transcript::record_if_requested(name, &journey.description, &journey.server).await;
    row.cell("login", journey.first_login().await);
    row.cell("again", journey.second_login().await);
    row.cell("tools", journey.tools().await);
    row.cell("call", journey.call().await);
    row.cell("expired", journey.expired_token().await);
    row.cell("refresh", journey.refresh().await);
    row.cell("denied", journey.denied().await);
    row.cell("logout", journey.logout().await);
    let all = journey.server.wire.since(0);
    row.needed(&leniency::needed(all.iter().map(|exchange| &**exchange)));
    row
}

/// The form of an ordinary run: the row says `yes`.
fn yes() -> String {
    "yes".to_owned()
}

impl Journey {
    async fn run(&self, arguments: &[&str]) -> Output {
        self.home
            .run(arguments, self.description.consent.as_ref(), Approve)
            .await
    }

    async fn login(&self, more: &[&str], decision: Decision) -> Output {
        let flags = self.description.flags.iter().map(String::as_str);
        let mut arguments = vec!["login", NAME, self.server.url.as_str()];
        arguments.extend(flags.chain(more.iter().copied()));
        self.home
            .run(&arguments, self.description.consent.as_ref(), decision)
            .await
    }

    fn access_token(&self) -> String {
        let tokens = self.server.wire.last_tokens().expect("a token response");
        tokens.member("access_token").unwrap()
    }

    fn refresh_token(&self) -> Option<String> {
        let all = self.server.wire.since(0);
        let granted = all.iter().rev().filter(|exchange| {
            exchange.form("grant_type").is_some() && exchange.status.is_success()
        });
        granted
            .into_iter()
            .find_map(|exchange| exchange.member("refresh_token"))
    }

    /// The refresh requests since the mark.
    fn refreshes(&self, mark: usize) -> Vec<Arc<Exchange>> {
        let mut all = self.server.wire.since(mark);
        all.retain(|exchange| exchange.form("grant_type").as_deref() == Some("refresh_token"));
        all
    }

    async fn first_login(&mut self) -> String {
        let output = self.login(&[], Approve).await.ended(0);
        assert_eq!(output.opened, 1, "{output}");
        let token = self.access_token();
        assert!(
            self.server.says_active(&token).await,
            "the token is not active: {output}"
        );
        yes()
    }

    /// A valid login is reused; `--force` opens the browser again.
    async fn second_login(&mut self) -> String {
        let mark = self.server.wire.mark();
        let output = self.run(&["login", NAME]).await.ended(0);
        assert_eq!(output.opened, 0, "{output}");
        let all = self.server.wire.since(mark);
        assert!(
            all.iter()
                .all(|exchange| exchange.form("grant_type").is_none())
        );
        let output = self.login(&["--force"], Approve).await.ended(0);
        assert_eq!(output.opened, 1, "{output}");
        yes()
    }

    async fn tools(&self) -> String {
        let output = self.run(&["tools", NAME]).await.ended(0);
        assert!(output.says(&self.description.tool.name), "{output}");
        self.run(&["test", NAME]).await.ended(0);
        yes()
    }

    async fn call(&self) -> String {
        let tool = &self.description.tool;
        let response = self
            .home
            .call(NAME, &tool.name, json!(tool.arguments))
            .await;
        let text = response["result"]["content"][0]["text"]
            .as_str()
            .unwrap_or_default();
        assert!(text.contains(&tool.result), "{response}");
        yes()
    }

    /// The server rejects a token that the client treats as valid.
    async fn expired_token(&mut self) -> String {
        if !self.description.expires {
            return "cannot be set".to_owned();
        }
        let old = self.access_token();
        self.server.expire(&old).await;
        assert!(!self.server.says_active(&old).await, "it has not expired");
        let mark = self.server.wire.mark();
        let output = self.run(&["tools", NAME]).await;
        if matches!(self.description.refresh, Refresh::None | Refresh::Refused) {
            output.ended(3);
            self.login(&["--force"], Approve).await.ended(0);
            return "login needed".to_owned();
        }
        let output = output.ended(0);
        assert!(output.says(&self.description.tool.name), "{output}");
        assert_eq!(self.refreshes(mark).len(), 1, "one refresh");
        assert!(self.server.says_active(&self.access_token()).await);
        yes()
    }

    /// A refresh, and then a third party that repeats the request.
    async fn refresh(&mut self) -> String {
        let mark = self.server.wire.mark();
        let output = self.run(&["refresh", NAME]).await;
        match self.description.refresh {
            Refresh::None => {
                output.ended(3);
                return "no refresh token".to_owned();
            }
            Refresh::Refused => {
                output.ended(3);
                self.login(&["--force"], Approve).await.ended(0);
                return "the server refuses its own refresh token".to_owned();
            }
            Refresh::Rotates | Refresh::Keeps => {}
        }
        let output = output.ended(0);
        let requests = self.refreshes(mark);
        let [request] = &requests[..] else {
            panic!("{} refreshes: {output}", requests.len())
        };
        let spent = request.form("refresh_token").unwrap();
        let current = self.refresh_token().unwrap();
        if self.description.refresh == Refresh::Keeps {
            assert_eq!(spent, current, "it is rotated");
            return "yes, not rotated".to_owned();
        }
        assert!(spent != current, "it is not rotated");
        let accepted = repeat(request).await;
        let lives = self.server.says_active(&current).await;
        self.the_command_is_truthful_about(lives).await;
        let what = match (accepted, lives) {
            (false, true) => "yes; replay refused",
            (false, false) => "yes; replay refused, and the login ended",
            (true, true) => "yes; replay accepted",
            (true, false) => "yes; replay accepted, and the login ended",
        };
        what.to_owned()
    }

    /// After the replay: a refresh that succeeds brings a token that the server accepts, and one
    /// that fails asks for a login and for nothing else.
    async fn the_command_is_truthful_about(&mut self, lives: bool) {
        let output = self.run(&["refresh", NAME]).await;
        if lives {
            output.ended(0);
            assert!(self.server.says_active(&self.access_token()).await);
        } else {
            let output = output.ended(3);
            assert!(output.says("invalid_grant"), "{output}");
            self.run(&["tools", NAME]).await.ended(3);
            self.login(&[], Approve).await.ended(0);
        }
    }

    /// A refusal ends the login that was requested, and not the one that is stored.
    async fn denied(&mut self) -> String {
        let Some(consent) = &self.description.consent else {
            return "no consent page".to_owned();
        };
        if consent.deny.is_none() {
            return "no way to decline".to_owned();
        }
        let before = self.access_token();
        let output = self.login(&["--force"], Deny).await;
        assert!(output.code == 1 || output.code == 3, "{output}");
        assert!(
            output.opened == 1 && output.says("deni") | output.says("decline"),
            "{output}"
        );
        assert_eq!(self.access_token(), before, "{output}");
        self.run(&["tools", NAME]).await.ended(0);
        yes()
    }

    /// The server rejects the tokens of the login after a logout.
    async fn logout(&mut self) -> String {
        let (access, refresh) = (self.access_token(), self.refresh_token());
        // 4: the tokens are gone here, and the server did not take the revocation.
        let refuses = self.description.revokes == Revokes::Refused;
        let output = self
            .run(&["logout", NAME])
            .await
            .ended(if refuses { 4 } else { 0 });
        for command in ["token", "tools"] {
            self.run(&[command, NAME]).await.ended(3);
        }
        let access = self.server.says_active(&access).await;
        let refresh = match refresh {
            Some(refresh) => self.server.says_active(&refresh).await,
            None => false,
        };
        let by = &self.description.evidence;
        match self.description.revokes {
            Revokes::Both => {
                assert!(!access && !refresh, "a token lives: {output}");
                format!("yes; {BOTH_DEAD} by {by}")
            }
            Revokes::RefreshOnly => {
                assert!(access && !refresh, "{access}, {refresh}: {output}");
                assert!(output.says("expire"), "{output}");
                format!(
                    "yes; refresh token dead by {by}, access token lives on as the command says"
                )
            }
            Revokes::Refused => {
                assert!(access && refresh, "a token is dead: {output}");
                assert!(output.says("expire"), "{output}");
                format!("here only, as the command says: the server refuses it (live by {by})")
            }
            Revokes::Nothing => {
                assert!(access, "the access token is dead: {output}");
                assert!(output.says("expire"), "{output}");
                format!("here only, as the command says: it has no revocation (live by {by})")
            }
        }
    }
}

/// Sends a request of the client once more, as a third party does that has read it. Returns
/// whether the server accepted it.
async fn repeat(request: &Exchange) -> bool {
    let mut headers = request.request_headers.clone();
    headers.insert(http::header::USER_AGENT, USER_AGENT.parse().unwrap());
    headers.remove(http::header::CONTENT_LENGTH);
    let sent = wire::http()
        .post(request.url.clone())
        .headers(headers)
        .body(request.request_body.clone())
        .send()
        .await;
    sent.unwrap().status().is_success()
}
