//! The state that every command shares: configuration, network, store, names, and its server.

use std::{io::IsTerminal as _, sync::Arc};

use mcp_client_oauth::{
    Client, ServerUrl, Session, TokenStore,
    error::{AuthorizationError, ServerUrlError},
    platform::{Browser, Platform, ReqwestClient, SystemClock},
    store::{LoginKey, Record},
};
use mcp_oauth_store::SelectionReason;

use crate::{
    args::TargetArgs,
    config::Config,
    error::Failure,
    hints::{Subject, similar},
    login_options::LoginOptions,
    non_interactive::{IdpCredentials, grant},
    servers::{Server, Servers},
    shell::quoted,
    store::Opened,
    ui::Ui,
};

/// The state that every command shares. Nothing is opened before it is needed.
pub(crate) struct Context {
    pub(crate) ui: Ui,
    pub(crate) config: Config,
    pub(crate) platform: Platform,
    /// The HTTP client of the platform.
    pub(crate) network: Arc<ReqwestClient>,
    pub(crate) opened: Opened,
    /// The command line as it was typed, for hints.
    pub(crate) subject: Subject,
}

/// The server that a command is about.
#[derive(Debug)]
pub(crate) struct Target {
    /// The name or URL that was typed.
    pub(crate) typed: String,
    pub(crate) key: LoginKey,
    /// The server of the name, if a name was typed.
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

    /// Opens the store for reading: nothing is created.
    pub(crate) async fn store(&self) -> Result<TokenStore, Failure> {
        let store = crate::store::open(&self.config).await?;
        Ok(self.opened.keep(store))
    }

    /// Opens the store for a login, and creates it if needed. If a new store is encrypted with a weaker key
    /// than a keychain's, this prints a warning, once: the store keeps the kind of key that it has.
    pub(crate) async fn ready_store(&self) -> Result<TokenStore, Failure> {
        let (store, choice) = crate::store::open_for_writing(&self.config).await?;
        let store = self.opened.keep(store);
        store.check_writable().await?;
        if let Some(choice) = choice
            && let SelectionReason::NoKeychain(_) = choice.reason
        {
            self.ui.say(crate::store::weaker_key_warning(&choice));
        }
        Ok(store)
    }

    /// Returns a client over the store.
    pub(crate) fn client(&self, store: TokenStore) -> Client {
        Client::with_platform(self.platform.clone(), store)
    }

    pub(crate) fn servers(&self) -> Result<Servers, Failure> {
        Servers::read(self.config.names_file()?)
    }

    /// Returns the login that a name or a URL stands for.
    pub(crate) fn target(&self, arguments: &TargetArgs) -> Result<Target, Failure> {
        let typed = arguments.server.clone();
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
            None => LoginKey::from(parse_url(&typed)?),
        };
        let key = match &arguments.account {
            Some(account) => LoginKey::from(key.server()).with_account(account),
            None => key,
        };
        Ok(Target { typed, key, server })
    }

    /// Returns the same where a URL was typed after the name: it is used for a name that is not known, and
    /// must be the URL of a name that is.
    pub(crate) fn target_at(
        &self,
        arguments: &TargetArgs,
        url: Option<&str>,
    ) -> Result<Target, Failure> {
        let Some(url) = url else {
            return self.target(arguments);
        };
        let url = parse_url(url)?;
        let servers = self.servers()?;
        let known = if is_url(&arguments.server) {
            Some(parse_url(&arguments.server)?)
        } else {
            let server = servers.find(&arguments.server);
            server.map(|server| server.url.clone())
        };
        match known {
            Some(known) if known == url => self.target(arguments),
            // The tokens of one server must not be used at another.
            Some(known) => Err(Failure::usage(
                format!(
                    "`{}` is the name of {known}, not of {url}",
                    arguments.server
                ),
                format!(
                    "leave out the URL, or give it this name: mcp-oauth login {} {}",
                    quoted(&arguments.server),
                    quoted(url.as_str())
                ),
            )),
            None => self.target(&TargetArgs {
                server: url.to_string(),
                account: arguments.account.clone(),
            }),
        }
    }

    /// Opens the stored login of a command. It never starts a login, but repeats a non-interactive grant.
    pub(crate) async fn session(&self, target: &Target) -> Result<Session, Failure> {
        let client = self.client(self.store().await?);
        let session = client.session(&target.key).await?;
        let Some(server) = self.remembered(target) else {
            return Ok(session);
        };
        let (no_credentials, record) = (IdpCredentials::default(), session.record());
        match grant(&server, no_credentials, record.as_ref())? {
            Some(grant) => {
                let login = LoginOptions::new(server, grant).login(&client);
                Ok(login.stored().await?)
            }
            None => Ok(session),
        }
    }

    /// Returns the stored options of a login: those of the name that was typed, else those of another name
    /// of the same login.
    pub(crate) fn remembered(&self, target: &Target) -> Option<Server> {
        let named = target.server.clone();
        let named = named.filter(|server| server.key() == target.key);
        named.or_else(|| {
            let servers = self.servers().ok()?;
            let mut all = servers.iter().map(|(_, server)| server);
            all.find(|server| server.key() == target.key).cloned()
        })
    }

    /// Returns the subject of hints, with the stored options of the server.
    pub(crate) fn known_subject(&self) -> Subject {
        let subject = self.subject.clone();
        match self.servers() {
            Ok(servers) => subject.knowing(&servers),
            Err(_) => subject,
        }
    }

    /// Returns the command that logs in.
    pub(crate) fn login_command(&self) -> String {
        self.known_subject().login_command()
    }

    /// Returns whether stdin is a terminal.
    pub(crate) fn is_interactive() -> bool {
        std::io::stdin().is_terminal()
    }
}

pub(crate) fn login_required(key: &LoginKey) -> AuthorizationError {
    AuthorizationError::LoginRequired(key.server().clone())
}

/// Returns the record of a session. Each session of this command has one, except before its first login.
pub(crate) fn record(session: &Session) -> Result<Record, AuthorizationError> {
    session
        .record()
        .ok_or_else(|| login_required(&session.key()))
}

/// Returns whether the text has a URL scheme, valid or not: a name has none.
pub(crate) fn is_url(typed: &str) -> bool {
    typed.contains("://")
}

/// Parses a URL that was typed. It allows plain http: only `login` creates a login, and it checks that.
pub(crate) fn parse_url(text: &str) -> Result<ServerUrl, Failure> {
    ServerUrl::parse_allow_http(text).map_err(|error| {
        Failure::usage(
            error.to_string(),
            "give the URL of the MCP endpoint of the server, such as https://mcp.example.com/mcp",
        )
    })
}

/// Parses a URL for a login. Plain http beyond this machine has to be allowed when the URL is first used,
/// which is before it has a name.
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
            "use https; or, for a server in a private network that you trust",
            ("--allow-http", None),
        ));
    }
    Ok(url)
}

pub(crate) fn unknown_name(name: &str, servers: &Servers) -> Failure {
    let known: Vec<&str> = servers.iter().map(|(name, _)| name).collect();
    let near = similar(name, known.iter().copied()).map(str::to_owned);
    let known = if known.is_empty() {
        "there are no names yet".to_owned()
    } else {
        format!("the names are: {}", known.join(", "))
    };
    let suggestion = near.as_ref().map(|near| format!("did you mean `{near}`? "));
    let suggestion = suggestion.unwrap_or_default();
    let shown = mcp_client_oauth::error::UntrustedText::new(name);
    Failure::UnknownName {
        message: format!("no server is named `{shown}`; {suggestion}{known}"),
        name: name.to_owned(),
        near,
    }
}
