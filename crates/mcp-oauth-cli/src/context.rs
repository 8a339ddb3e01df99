//! What every command works with: configuration, network, store, names, and the server it is about.

use std::{io::IsTerminal as _, sync::Arc};

use mcp_client_oauth::{
    ServerUrl, Session, TokenStore,
    error::{AuthorizationError, ServerUrlError},
    platform::{Browser, Platform, ReqwestClient, SystemClock},
    store::{LoginKey, SelectionReason},
};

use crate::{
    args::TargetArgs,
    config::Config,
    error::Failure,
    hints::{Subject, similar},
    non_interactive::with_grant,
    servers::{Server, Servers},
    shell::quoted,
    store::Opened,
    ui::Ui,
};

/// Holds what every command works with. Nothing is opened before it is needed.
pub(crate) struct Context {
    pub(crate) ui: Ui,
    pub(crate) config: Config,
    pub(crate) platform: Platform,
    /// Holds what the platform sends by.
    pub(crate) network: Arc<ReqwestClient>,
    pub(crate) opened: Opened,
    /// Holds what was typed, for hints.
    pub(crate) subject: Subject,
}

/// The server that a command is about.
#[derive(Debug)]
pub(crate) struct Target {
    /// As it was typed.
    pub(crate) typed: String,
    pub(crate) key: LoginKey,
    /// Holds what the name stands for, if it is one.
    pub(crate) server: Option<Server>,
}

impl Context {
    pub(crate) fn new(
        ui: Ui,
        config: Config,
        network: ReqwestClient,
        opened: Opened,
        subject: Subject,
    ) -> Self {
        let network = Arc::new(network);
        let (clock, browser) = (SystemClock::default(), Browser::default());
        Self {
            ui,
            config,
            platform: Platform::new(network.clone(), Arc::new(clock), Arc::new(browser)),
            network,
            opened,
            subject,
        }
    }

    /// Returns the store, for what is there: nothing is made by opening it.
    pub(crate) async fn store(&self) -> Result<TokenStore, Failure> {
        let store = crate::store::open(&self.config).await?;
        Ok(self.opened.keep(store))
    }

    /// Returns the store, made if need be, and ready for what a login brings. If it is sealed more weakly
    /// than it might be, that is said now, once: the store keeps the kind of key that it has.
    pub(crate) async fn ready_store(&self) -> Result<TokenStore, Failure> {
        let (store, choice) = crate::store::choose(&self.config).await?;
        let store = self.opened.keep(store);
        store.check_writable().await?;
        if let Some(choice) = choice
            && let SelectionReason::NoKeychain(_) = choice.reason
        {
            self.ui.say(crate::store::weaker(&choice));
        }
        Ok(store)
    }

    pub(crate) fn servers(&self) -> Result<Servers, Failure> {
        Servers::read(self.config.names()?)
    }

    /// TargetArgs tokens are meant by a name or URL.
    pub(crate) fn target(&self, whose: &TargetArgs) -> Result<Target, Failure> {
        let typed = whose.server.clone();
        let server = if is_url(&typed) {
            None
        } else {
            let servers = self.servers()?;
            Some(
                servers
                    .find(&typed)
                    .cloned()
                    .ok_or_else(|| unknown_name(&typed, &servers))?,
            )
        };
        let key = match &server {
            Some(server) => server.key(),
            None => LoginKey::new(parse_url(&typed)?),
        };
        let key = match &whose.account {
            Some(account) => LoginKey::from(key.server()).with_account(account),
            None => key,
        };
        Ok(Target { typed, key, server })
    }

    /// Returns the same where a URL was typed beside the name: it stands in for a name that is not
    /// known, and must be that of one that is.
    pub(crate) fn target_at(
        &self,
        whose: &TargetArgs,
        url: Option<&str>,
    ) -> Result<Target, Failure> {
        let Some(url) = url else {
            return self.target(whose);
        };
        let url = parse_url(url)?;
        let servers = self.servers()?;
        let known = if is_url(&whose.server) {
            Some(parse_url(&whose.server)?)
        } else {
            servers.find(&whose.server).map(|server| server.url.clone())
        };
        match known {
            Some(known) if known == url => self.target(whose),
            // The tokens of one server must not be taken for those of another.
            Some(known) => Err(Failure::usage(
                format!("`{}` is the name of {known}, not of {url}", whose.server),
                format!(
                    "leave out the URL, or give the name to it: mcp-oauth login {} {}",
                    quoted(&whose.server),
                    quoted(url.as_str())
                ),
            )),
            None => self.target(&TargetArgs {
                server: url.to_string(),
                account: whose.account.clone(),
            }),
        }
    }

    /// Returns the login that a command goes on with. Nobody is asked.
    pub(crate) async fn session(&self, target: &Target) -> Result<Session, Failure> {
        let store = self.store().await?;
        let session = Session::open(self.platform.clone(), store, target.key.clone()).await?;
        let session = session.ok_or_else(|| login_required(&target.key))?;
        match self.remembered(target) {
            Some(server) => with_grant(session, &server),
            None => Ok(session),
        }
    }

    /// Returns what is remembered of a login: by the name that was typed, or by another one.
    fn remembered(&self, target: &Target) -> Option<Server> {
        let named = target.server.clone();
        let named = named.filter(|server| server.key() == target.key);
        named.or_else(|| {
            let servers = self.servers().ok()?;
            let mut all = servers.iter().map(|(_, server)| server);
            all.find(|server| server.key() == target.key).cloned()
        })
    }

    /// Returns whether a person sits at the terminal.
    pub(crate) fn is_interactive() -> bool {
        std::io::stdin().is_terminal()
    }
}

pub(crate) fn login_required(key: &LoginKey) -> AuthorizationError {
    AuthorizationError::LoginRequired(key.server().clone())
}

/// Returns whether it is meant as a URL, good or bad.
pub(crate) fn is_url(typed: &str) -> bool {
    typed.contains("://")
}

/// Returns what was typed. Plain http is for `login` to allow; nobody is logged in elsewhere.
pub(crate) fn parse_url(text: &str) -> Result<ServerUrl, Failure> {
    ServerUrl::parse_allow_http(text).map_err(|error| {
        Failure::usage(
            error.to_string(),
            "give the URL of the server's MCP endpoint, such as https://mcp.example.com/mcp",
        )
    })
}

/// Returns the same where a login may follow. Plain http beyond this machine has to be allowed when it is
/// first named, which is before there is a name for it.
pub(crate) fn allowed_url(
    text: &str,
    allow_http: bool,
    servers: &Servers,
) -> Result<ServerUrl, Failure> {
    let url = parse_url(text)?;
    let is_known = || servers.iter().any(|(_, server)| server.url == url);
    if url.is_plaintext() && !allow_http && !is_known() {
        return Err(Failure::lacks(
            ServerUrlError::NotHttps(url.to_string()).to_string(),
            "use https; or, for a server in a network where nobody listens in",
            ("--allow-http", None),
        ));
    }
    Ok(url)
}

pub(crate) fn unknown_name(name: &str, servers: &Servers) -> Failure {
    let known: Vec<&str> = servers.iter().map(|(name, _)| name).collect();
    let near = similar(name, known.iter().copied()).map(str::to_owned);
    let known = if known.is_empty() {
        "no name is known yet".to_owned()
    } else {
        format!("the names are: {}", known.join(", "))
    };
    let suggestion = near.as_ref().map(|near| format!("did you mean `{near}`? "));
    let suggestion = suggestion.unwrap_or_default();
    let shown = mcp_client_oauth::proto::untrusted_text::UntrustedText::new(name);
    Failure::UnknownName {
        message: format!("no server is called `{shown}`; {suggestion}{known}"),
        name: name.to_owned(),
        near,
    }
}

/// Returns the same platform, with a person.
pub(crate) fn with_person(
    platform: &Platform,
    person: Arc<dyn mcp_client_oauth::platform::Interaction>,
) -> Platform {
    platform.clone().with_interaction(person)
}
