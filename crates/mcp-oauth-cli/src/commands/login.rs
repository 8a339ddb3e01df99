//! `login`: a person authorizes us in a browser, and the server gets a name.

use std::{io::stdin, path::Path, sync::Arc};

use mcp_client_oauth::{
    ClientIdentity, DpopPolicy, Error, LoginOptions, Preregistered, Secret, ServerUrl, Session,
    Sessions, TokenStore,
    error::{AuthorizationError, RegistrationError},
    grant::Redirect,
    login,
    platform::Platform,
    proto::{private_key::PrivateKey, scope::Scope, server_metadata::Issuer},
    store::Record,
};
use serde_json::json;
use url::Url;

use super::{Context, is_url, parse_url, with_person};
use crate::{
    args::Login,
    config::read_secret,
    exit::{Exit, Failure, quoted},
    key_file,
    person::Terminal,
    servers::{Server, Servers, Way, check_name, name_for},
    status::{Status, moment},
    ui::{GOOD, HEAD, fields},
};

mod without_person;

/// What the library calls the grant that shows a code.
const DEVICE_CODE: &str = "device_code";

pub(super) async fn run(context: &Context, typed: Login) -> Result<Exit, Failure> {
    let mut servers = context.servers()?;
    let (name, mut server) = meant(&typed, &servers)?;
    let store = context.ready_store().await?;
    let options = options(context, &typed, &server, &store).await?;
    let session = authorize(context, &typed, &server.url, &store, &options).await?;
    let before = servers.find(&name).map(|before| before.url.clone());
    if let Some(before) = before.filter(|before| *before != server.url) {
        context
            .ui
            .warn(format_args!("`{name}` stood for {before} until now"));
    }
    server.issuer = issuer_of_own_client(&session);
    servers.remember(&name, server)?;
    report(context, &name, &session);
    Ok(Exit::Done)
}

/// Which server is meant by a name or a URL, what is remembered of it, and how to log in there: for
/// a command that logs in by the way.
pub(super) async fn prepared(
    context: &Context,
    typed: &Login,
    store: &TokenStore,
) -> Result<(Server, LoginOptions), Failure> {
    let (_, server) = meant(typed, &context.servers()?)?;
    let options = options(context, typed, &server, store).await?;
    Ok((server, options))
}

/// Which name, and which server: from what was typed, and what the name stood for before.
fn meant(typed: &Login, servers: &Servers) -> Result<(String, Server), Failure> {
    let (name, url) = match (&typed.url, is_url(&typed.name)) {
        (Some(url), false) => (typed.name.clone(), parse_url(url)?),
        (Some(_), true) => {
            return Err(Failure::usage(
                "the name comes first",
                "mcp-oauth login NAME URL",
            ));
        }
        (None, true) => {
            let url = parse_url(&typed.name)?;
            (free_name(&url, servers), url)
        }
        (None, false) => (typed.name.clone(), known_url(&typed.name, servers)?),
    };
    check_name(&name)?;
    let known = servers.find(&name).filter(|known| known.url == url);
    let known = match known {
        // Everything is typed again: what is remembered is who we are, and no option.
        Some(known) if typed.force && typed.url.is_some() => Server {
            account: known.account.clone(),
            client_id: known.client_id.clone(),
            issuer: known.issuer.clone(),
            ..Server::new(url)
        },
        Some(known) => known.clone(),
        None => Server::new(url),
    };
    let quirks = typed.quirks.over(known.quirks.clone())?;
    Ok((
        name,
        Server {
            quirks,
            ..merged(typed, known)
        },
    ))
}

fn known_url(name: &str, servers: &Servers) -> Result<ServerUrl, Failure> {
    match servers.find(name) {
        Some(server) => Ok(server.url.clone()),
        None => Err(super::unknown_name(name, servers)),
    }
}

/// The name that the URL has already, else one that is made of its host and not taken.
fn free_name(url: &ServerUrl, servers: &Servers) -> String {
    if let Some((name, _)) = servers.iter().find(|(_, server)| server.url == *url) {
        return name.to_owned();
    }
    let name = name_for(url);
    let numbered = (2..).map(|number| format!("{name}-{number}"));
    let mut candidates = std::iter::once(name.clone()).chain(numbered);
    candidates
        .find(|candidate| servers.find(candidate).is_none())
        .unwrap_or(name)
}

/// What is typed now goes before what the name stood for.
fn merged(typed: &Login, known: Server) -> Server {
    let other_client = typed.client_id.is_some() && typed.client_id != known.client_id;
    Server {
        account: typed.account.clone().or(known.account),
        scope: typed.scope.clone().or(known.scope),
        client_id: match typed.client_metadata_url {
            Some(_) => None,
            None => typed.client_id.clone().or(known.client_id),
        },
        issuer: match (&typed.client_metadata_url, other_client) {
            (None, false) => known.issuer,
            _ => None,
        },
        client_metadata_url: match typed.client_id {
            Some(_) => None,
            None => typed
                .client_metadata_url
                .clone()
                .or(known.client_metadata_url),
        },
        port: match typed.redirect_uri {
            Some(_) => None,
            // Port 0 is any port: none is remembered then.
            None => typed.port.or(known.port).filter(|port| *port != 0),
        },
        redirect_uri: match typed.port {
            Some(_) => None,
            None => typed.redirect_uri.clone().or(known.redirect_uri),
        },
        legacy: typed.legacy || known.legacy,
        way: way(typed, known.way),
        dpop: typed.way.dpop || known.dpop,
        share: typed.way.share || known.share,
        quirks: known.quirks,
        url: known.url,
    }
}

/// A redirect that is typed is for a browser.
fn way(typed: &Login, known: Option<Way>) -> Option<Way> {
    if typed.way.device {
        return Some(Way::Device);
    }
    if typed.way.client_credentials {
        return Some(Way::ClientCredentials);
    }
    if typed.way.workload_token.is_some() {
        return Some(Way::Workload);
    }
    if typed.idp.idp.is_some() {
        return Some(Way::Enterprise);
    }
    let redirects = typed.port.is_some() || typed.redirect_uri.is_some() || typed.no_browser;
    known.filter(|_| !redirects)
}

async fn options(
    context: &Context,
    typed: &Login,
    server: &Server,
    store: &TokenStore,
) -> Result<LoginOptions, Failure> {
    let mut options = LoginOptions::default();
    options.account.clone_from(&server.account);
    options.scope.clone_from(&server.scope);
    options.discovery.legacy = server.legacy;
    options.discovery.quirks.clone_from(&server.quirks);
    options
        .identity
        .document
        .clone_from(&server.client_metadata_url);
    options.afresh = typed.force;
    options.share = server.share;
    if server.dpop {
        options.dpop = DpopPolicy::Always;
    }
    match server.way {
        Some(Way::Device) => options.grant = Some(DEVICE_CODE.to_owned()),
        Some(way) => {
            let machine = without_person::grant(context, typed, server, store, way).await?;
            options.machine = Some(machine);
        }
        None => {}
    }
    let key = typed.way.private_key.as_deref();
    let key = key.map(key_file::read).transpose()?;
    if let Some(timeout) = typed.timeout {
        options.timeout = timeout;
    }
    options.redirect = match (server.port, &server.redirect_uri) {
        (_, Some(uri)) => Redirect::Uri(uri.clone()),
        (Some(port), None) => Redirect::Port(port),
        (None, None) => Redirect::AnyPort,
    };
    let given = client_secret(context, typed)?;
    match &server.client_id {
        Some(id) => {
            let client = own_client(store, server, id, given, key).await?;
            options.identity.preregistered = Some(client);
        }
        None if server.client_metadata_url.is_some() => options.identity.document_key = key,
        None if key.is_some() => {
            return Err(Failure::usage(
                "a private key belongs to a client",
                "add --client-id ID, or --client-metadata-url URL",
            ));
        }
        None if typed.client_secret_stdin => {
            return Err(Failure::usage(
                "a client secret belongs to a client id",
                "add --client-id ID",
            ));
        }
        None => {}
    }
    Ok(options)
}

fn client_secret(context: &Context, typed: &Login) -> Result<Option<Secret<String>>, Failure> {
    if !typed.client_secret_stdin {
        return Ok(context.config.client_secret.clone());
    }
    if Context::is_interactive() {
        let secret = rpassword::prompt_password("Client secret: ")
            .map_err(|error| Failure::file("read a secret from", Path::new("stdin"), &error))?;
        return Ok(Some(Secret::new(secret)));
    }
    read_secret(stdin().lock(), Path::new("stdin")).map(Some)
}

/// The client with the secret that it was used with before, unless one is `given`: it is sealed in
/// the record, and nowhere else. Neither is shown to another issuer than the one that the client was
/// used with, by the record or, after a logout, by the name (spec-checklist D13, D14).
async fn own_client(
    store: &TokenStore,
    server: &Server,
    client_id: &str,
    given: Option<Secret<String>>,
    key: Option<PrivateKey>,
) -> Result<Preregistered, Failure> {
    let record = store.load(&server.key()).await?.map(|(record, _)| record);
    let mut client = Preregistered::new(client_id, given);
    client.private_key = key;
    client.issuer.clone_from(&server.issuer);
    if let Some(ClientIdentity::Registered(own)) = record.map(|record| record.identity)
        && own.by_hand
        && own.client_id == client_id
    {
        client.client_secret = client.client_secret.or(own.client_secret);
        client.private_key = client.private_key.or(own.private_key);
        client.issuer = Some(own.issuer);
    }
    Ok(client)
}

/// The issuer that a client registered by hand is bound to from now on.
fn issuer_of_own_client(session: &Session) -> Option<Issuer> {
    match session.record().identity {
        ClientIdentity::Registered(own) if own.by_hand => Some(own.issuer),
        _ => None,
    }
}

/// A login that is under way.
pub(crate) struct Asking<'a> {
    pub(crate) platform: &'a Platform,
    pub(crate) store: &'a TokenStore,
    pub(crate) url: &'a ServerUrl,
    /// Whether a login that is good already does not do.
    pub(crate) anew: bool,
}

impl Asking<'_> {
    /// By whichever way fits, where nothing else was asked for.
    pub(crate) async fn ask_as_it_fits(
        &self,
        options: &LoginOptions,
        browser: bool,
        no_browser: bool,
    ) -> Result<Session, Error> {
        let may_choose = options.grant.is_none()
            && options.machine.is_none()
            && matches!(options.redirect, Redirect::AnyPort);
        if may_choose && !browser && !no_browser {
            self.ask_without_browser(options).await
        } else {
            self.ask(options).await
        }
    }

    async fn ask(&self, options: &LoginOptions) -> Result<Session, Error> {
        if self.anew {
            return login(self.platform, self.store, self.url, options).await;
        }
        Sessions::new(self.platform.clone(), self.store.clone())
            .ensure(self.url, options)
            .await
    }

    /// By a code for another device if the server gives one to us, else by the browser that the
    /// person has somewhere.
    async fn ask_without_browser(&self, options: &LoginOptions) -> Result<Session, Error> {
        let mut by_code = options.clone();
        by_code.grant = Some(DEVICE_CODE.to_owned());
        match self.ask(&by_code).await {
            Err(
                Error::Registration(RegistrationError::Answer { .. })
                | Error::Authorization(
                    AuthorizationError::NoGrant { .. } | AuthorizationError::Device { .. },
                ),
            ) => self.ask(options).await,
            other => other,
        }
    }
}

/// Asks the person, unless the login is good already and nothing else was asked for.
async fn authorize(
    context: &Context,
    typed: &Login,
    url: &ServerUrl,
    store: &TokenStore,
    options: &LoginOptions,
) -> Result<Session, Failure> {
    let browser = context.config.has_browser && !typed.no_browser;
    let person = Arc::new(Terminal::new(context.ui.clone(), browser));
    let platform = with_person(&context.platform, person.clone());
    let other_client = typed.client_id.is_some() || typed.client_metadata_url.is_some();
    let asking = Asking {
        platform: &platform,
        store,
        url,
        anew: other_client
            || typed.legacy
            || typed.way.private_key.is_some()
            || typed.idp.idp.is_some(),
    };
    let session = asking
        .ask_as_it_fits(options, browser, typed.no_browser)
        .await;
    person.rest();
    Ok(session?)
}

fn report(context: &Context, name: &str, session: &Session) {
    let record = session.record();
    let status = Status::of(&record, context.platform.clock.now());
    let scope = record.tokens.scope.as_ref().or(record.requested.as_ref());
    let missing = session.missing_scope();
    let extra = extra_scope(&record);
    warn_of_scope(context, missing.as_ref(), extra.as_ref());
    let endpoint = foreign_endpoint(&record);
    let document = json!({
        "name": name,
        "server": record.discovery.server.as_str(),
        "account": session.key().account(),
        "issuer": record.discovery.issuer().as_str(),
        "token_endpoint": record.discovery.metadata.token_endpoint.as_url().as_str(),
        "status": status.word(),
        "expires_at": record.tokens.expires_at.map(moment),
        "scope": scope.map(ToString::to_string),
        "missing_scope": missing.as_ref().map(ToString::to_string),
        "extra_scope": extra.as_ref().map(ToString::to_string),
    });
    context.ui.result(&document, || {
        let head = format!("{GOOD}Logged in{GOOD:#} to {HEAD}{name}{HEAD:#}");
        let mut rows = vec![
            ("server", record.discovery.server.to_string()),
            (
                "scope",
                scope.map_or_else(|| "not named".to_owned(), ToString::to_string),
            ),
            ("token", status.colored()),
        ];
        rows.extend(endpoint.map(|host| ("tokens from", host)));
        format!("{head}\n{}", fields(&rows))
    });
    let command = format!("mcp-oauth tools {}", quoted(name));
    context
        .ui
        .progress(format_args!("\n{HEAD}next:{HEAD:#} {command}"));
}

fn warn_of_scope(context: &Context, missing: Option<&Scope>, extra: Option<&Scope>) {
    if let Some(missing) = missing {
        context.ui.warn(format_args!(
            "the server has not granted the scope `{missing}`"
        ));
    }
    if let Some(extra) = extra {
        context.ui.warn(format_args!(
            "the server has granted more than was asked for: `{extra}`"
        ));
    }
}

/// What was granted and not asked for (H86). Who asked for nothing gets what the server chooses.
fn extra_scope(record: &Record) -> Option<Scope> {
    let granted = record.tokens.scope.as_ref()?;
    granted.missing_from(record.requested.as_ref()?)
}

/// Where the tokens come from, if that is not where the person has logged in: the two may be the
/// same company, and whoever sees the name can tell (H6).
fn foreign_endpoint(record: &Record) -> Option<String> {
    let endpoint = &record.discovery.metadata.token_endpoint;
    let issuer = Url::parse(record.discovery.issuer().as_str()).ok()?;
    let differs = issuer.host() != endpoint.as_url().host();
    differs.then(|| endpoint.origin())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::{Cli, Command};

    fn typed(arguments: &[&str]) -> Login {
        let all = ["mcp-oauth", "login"]
            .into_iter()
            .chain(arguments.iter().copied());
        match Cli::parse_from(all).command {
            Command::Login(login) => *login,
            other => panic!("{other:?}"),
        }
    }

    fn servers(names: &[(&str, &str)]) -> (tempfile::TempDir, Servers) {
        let directory = tempfile::tempdir().unwrap();
        let mut servers = Servers::read(&directory.path().join("servers.json")).unwrap();
        for (name, url) in names {
            servers
                .remember(name, Server::new(url.parse().unwrap()))
                .unwrap();
        }
        (directory, servers)
    }

    #[test]
    fn a_url_alone_gets_the_name_it_has_or_one_that_is_free() {
        let (_directory, servers) = servers(&[
            ("mine", "https://a.example/mcp"),
            ("b", "https://other.example/"),
        ]);
        let name = |url| meant(&typed(&[url]), &servers).unwrap().0;
        assert_eq!(name("https://a.example/mcp"), "mine");
        assert_eq!(name("https://c.example/mcp"), "c");
        assert_eq!(name("https://mcp.b.example/mcp"), "b-2");
    }

    #[test]
    fn what_is_typed_goes_before_what_was_remembered() {
        let (_directory, mut servers) = servers(&[]);
        let url = "https://a.example/mcp";
        let known = Server {
            client_id: Some("old".to_owned()),
            port: Some(1),
            ..Server::new(url.parse().unwrap())
        };
        servers.remember("a", known).unwrap();
        let (_, again) = meant(&typed(&["a"]), &servers).unwrap();
        assert_eq!(
            (again.client_id.as_deref(), again.port),
            (Some("old"), Some(1))
        );
        let document = "https://app.example/client.json";
        let (_, other) = meant(
            &typed(&["a", url, "--client-metadata-url", document]),
            &servers,
        )
        .unwrap();
        assert_eq!(other.client_id, None);
        let (_, moved) = meant(&typed(&["a", "https://b.example/mcp"]), &servers).unwrap();
        assert_eq!(moved.client_id, None);
    }

    #[test]
    fn a_forced_login_with_its_url_forgets_the_options_and_keeps_who_we_are() {
        let (_directory, mut servers) = servers(&[]);
        let url = "https://a.example/mcp";
        let known = Server {
            account: Some("work".to_owned()),
            scope: Some("notes:read".parse().unwrap()),
            client_id: Some("me".to_owned()),
            issuer: Some(Issuer::new("https://as.example")),
            port: Some(1),
            legacy: true,
            ..Server::new(url.parse().unwrap())
        };
        servers.remember("a", known.clone()).unwrap();
        let meant = |arguments: &[&str]| meant(&typed(arguments), &servers).unwrap().1;
        assert_eq!(meant(&["a", "--force"]), known);
        let forgotten = Server {
            scope: None,
            port: None,
            legacy: false,
            ..known.clone()
        };
        assert_eq!(meant(&["a", url, "--force"]), forgotten);
        assert_eq!(meant(&["a", "--port", "0"]).port, None);
        assert_eq!(meant(&["a", "--client-id", "me"]).issuer, known.issuer);
        assert_eq!(meant(&["a", "--client-id", "other"]).issuer, None);
    }
}
