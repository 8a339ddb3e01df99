//! Which server is meant by what was typed, and what is known of it by its name.

use mcp_client_oauth::ServerUrl;

use crate::{
    args::Login,
    context::{allowed_url, is_url, unknown_name},
    error::Failure,
    servers::{GrantKind, Server, Servers, check_name, name_for},
};

/// Returns which name, and which server: from what was typed, and what the name stood for before.
pub(crate) fn meant(typed: &Login, servers: &Servers) -> Result<(String, Server), Failure> {
    let read = |url: &str| allowed_url(url, typed.who.allow_http, servers);
    let (name, url) = match (&typed.url, is_url(&typed.name)) {
        (Some(url), false) => (typed.name.clone(), read(url)?),
        (Some(_), true) => {
            return Err(Failure::usage(
                "the name comes first",
                "mcp-oauth login NAME URL",
            ));
        }
        (None, true) => {
            let url = read(&typed.name)?;
            (free_name(&url, servers), url)
        }
        (None, false) => (typed.name.clone(), known_url(&typed.name, servers)?),
    };
    check_name(&name)?;
    let known = servers.find(&name).filter(|known| known.url == url);
    let known = match known {
        // Everything is typed again: what is remembered is who we are, and no option.
        Some(known) if typed.force && typed.url.is_some() => {
            // A client was registered with its redirect URI, which the authorization server compares
            // (RFC 6749 §3.1.2.3), so the port goes with the client id.
            let client = Some(known).filter(|known| is_of_client(typed, known));
            Server {
                account: known.account.clone(),
                client_id: known.client_id.clone(),
                issuer: known.issuer.clone(),
                port: client.and_then(|client| client.port),
                redirect_uri: client.and_then(|client| client.redirect_uri.clone()),
                ..Server::new(url)
            }
        }
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

/// Returns whether the login goes by the client id that is remembered.
fn is_of_client(typed: &Login, known: &Server) -> bool {
    let is_same = typed.who.client_id.is_none() || typed.who.client_id == known.client_id;
    known.client_id.is_some() && is_same && typed.who.client_metadata_url.is_none()
}

fn known_url(name: &str, servers: &Servers) -> Result<ServerUrl, Failure> {
    match servers.find(name) {
        Some(server) => Ok(server.url.clone()),
        None => Err(unknown_name(name, servers)),
    }
}

/// Returns the name that the URL has already, else one that is made of its host and not taken.
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

/// Returns what is typed now goes before what the name stood for.
fn merged(typed: &Login, known: Server) -> Server {
    let other_client = typed.who.client_id.is_some() && typed.who.client_id != known.client_id;
    let way = way(typed, known.way);
    let (workload_token, idp) = (typed.way.workload_token.clone(), typed.idp.remembered());
    Server {
        account: typed.who.account.clone().or(known.account),
        scope: typed.scope().or(known.scope),
        client_id: match typed.who.client_metadata_url {
            Some(_) => None,
            None => typed.who.client_id.clone().or(known.client_id),
        },
        issuer: match (&typed.who.client_metadata_url, other_client) {
            (None, false) => known.issuer,
            _ => None,
        },
        client_metadata_url: match typed.who.client_id {
            Some(_) => None,
            None => typed
                .who
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
        legacy: typed.who.legacy || known.legacy,
        way,
        workload_token: workload_token
            .or(known.workload_token)
            .filter(|_| way == Some(GrantKind::Workload)),
        idp: idp
            .or(known.idp)
            .filter(|_| way == Some(GrantKind::Enterprise)),
        dpop: typed.way.dpop || known.dpop,
        share: typed.way.share || known.share,
        quirks: known.quirks,
        url: known.url,
    }
}

/// Returns a redirect that is typed is for a browser.
fn way(typed: &Login, known: Option<GrantKind>) -> Option<GrantKind> {
    if typed.way.device {
        return Some(GrantKind::Device);
    }
    if typed.way.client_credentials {
        return Some(GrantKind::ClientCredentials);
    }
    if typed.way.workload_token.is_some() {
        return Some(GrantKind::Workload);
    }
    if typed.idp.idp.is_some() {
        return Some(GrantKind::Enterprise);
    }
    let redirects = typed.port.is_some() || typed.redirect_uri.is_some() || typed.who.no_browser;
    known.filter(|_| !redirects)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use mcp_client_oauth::proto::server_metadata::Issuer;

    use super::*;
    use crate::{
        args::{Cli, Command},
        assertion::Source,
    };

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
    fn the_source_of_an_assertion_is_remembered_as_long_as_its_grant() {
        let (_directory, mut servers) = servers(&[]);
        let source = |text| Some(Source::parse(text).unwrap());
        let known = Server {
            way: Some(GrantKind::Workload),
            workload_token: source("env:JWT"),
            ..Server::new("https://a.example/mcp".parse().unwrap())
        };
        servers.remember("a", known.clone()).unwrap();
        let meant = |arguments: &[&str]| meant(&typed(arguments), &servers).unwrap().1;
        assert_eq!(meant(&["a"]), known);
        let other = meant(&["a", "--workload-token", "cmd:print-jwt"]);
        assert_eq!(other.workload_token, source("cmd:print-jwt"));
        assert_eq!(meant(&["a", "--device"]).workload_token, None);
        let idp = "https://idp.example/token";
        let enterprise = meant(&[
            "a",
            "--idp",
            "https://idp.example",
            "--idp-token-endpoint",
            idp,
            "--idp-client-id",
            "me",
            "--id-token",
            "env:ID_TOKEN",
        ]);
        assert_eq!(enterprise.workload_token, None);
        let written = serde_json::to_value(enterprise.idp).unwrap();
        assert_eq!(written["id_token"], "env:ID_TOKEN");
        assert_eq!(written["token_endpoint"], idp);
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
            legacy: false,
            ..known.clone()
        };
        assert_eq!(meant(&["a", url, "--force"]), forgotten);
        // The port belongs to the client: another client comes without it.
        assert_eq!(meant(&["a", url, "--force", "--port", "2"]).port, Some(2));
        for other in [
            ["--client-id", "other"],
            ["--client-metadata-url", "https://x.example/c"],
        ] {
            let typed = [&["a", url, "--force"], &other[..]].concat();
            assert_eq!(meant(&typed).port, None);
        }
        assert_eq!(meant(&["a", "--port", "0"]).port, None);
        assert_eq!(meant(&["a", "--client-id", "me"]).issuer, known.issuer);
        assert_eq!(meant(&["a", "--client-id", "other"]).issuer, None);
    }
}
