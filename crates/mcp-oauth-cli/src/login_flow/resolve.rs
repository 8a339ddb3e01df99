//! Resolves the name or URL that was typed to a server, with the stored options of its name.

use mcp_client_oauth::ServerUrl;

use crate::{
    args::Login,
    context::{allowed_url, is_url, unknown_name},
    error::Failure,
    servers::{GrantKind, Server, Servers, check_name, name_for},
};

/// Returns the name and the server of a login: from the command line and the stored options of the name.
pub(crate) fn resolve(typed: &Login, servers: &Servers) -> Result<(String, Server), Failure> {
    let read = |url: &str| allowed_url(url, typed.flags.allow_http, servers);
    // The argument definition guarantees a name.
    let first = typed.name.clone().unwrap_or_default();
    let (name, url) = match (&typed.url, is_url(&first)) {
        (Some(url), false) => (first, read(url)?),
        (Some(_), true) => {
            return Err(Failure::usage(
                "the name must come before the URL",
                "mcp-oauth login NAME URL",
            ));
        }
        (None, true) => {
            let url = read(&first)?;
            (free_name(&url, servers), url)
        }
        (None, false) => {
            let url = known_url(&first, servers)?;
            (first, url)
        }
    };
    check_name(&name)?;
    let known = servers.find(&name).filter(|known| known.url == url);
    let known = match known {
        // With its URL typed again only the account and the client are kept, and no other option.
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

/// Returns whether the login uses the stored client ID.
fn is_of_client(typed: &Login, known: &Server) -> bool {
    let is_same = typed.flags.client_id.is_none() || typed.flags.client_id == known.client_id;
    known.client_id.is_some() && is_same && typed.flags.client_metadata_url.is_none()
}

fn known_url(name: &str, servers: &Servers) -> Result<ServerUrl, Failure> {
    match servers.find(name) {
        Some(server) => Ok(server.url.clone()),
        None => Err(unknown_name(name, servers)),
    }
}

/// Returns the name that the URL has already, else a free one that is derived from its host.
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

/// Returns the options that were typed, with the `known` ones for the rest.
fn merged(typed: &Login, known: Server) -> Server {
    let other_client = typed.flags.client_id.is_some() && typed.flags.client_id != known.client_id;
    let grant = grant_kind(typed, known.grant);
    let (workload_token, idp) = (typed.grant.workload_token.clone(), typed.idp.remembered());
    Server {
        account: typed.flags.account.clone().or(known.account),
        scope: typed.scope().or(known.scope),
        client_id: match typed.flags.client_metadata_url {
            Some(_) => None,
            None => typed.flags.client_id.clone().or(known.client_id),
        },
        issuer: match (&typed.flags.client_metadata_url, other_client) {
            (None, false) => known.issuer,
            _ => None,
        },
        client_metadata_url: match typed.flags.client_id {
            Some(_) => None,
            None => typed
                .flags
                .client_metadata_url
                .clone()
                .or(known.client_metadata_url),
        },
        port: match typed.redirect_uri {
            Some(_) => None,
            // Port 0 is any port: none is stored then.
            None => typed.port.or(known.port).filter(|port| *port != 0),
        },
        redirect_uri: match typed.port {
            Some(_) => None,
            None => typed.redirect_uri.clone().or(known.redirect_uri),
        },
        legacy: typed.flags.legacy || known.legacy,
        grant,
        workload_token: workload_token
            .or(known.workload_token)
            .filter(|_| grant == Some(GrantKind::Workload)),
        idp: idp
            .or(known.idp)
            .filter(|_| grant == Some(GrantKind::Enterprise)),
        dpop: typed.grant.dpop || known.dpop,
        reuse_login: typed.grant.reuse_login || known.reuse_login,
        quirks: known.quirks,
        url: known.url,
    }
}

/// Returns the grant that was typed, else the `known` one. The options of a redirect request a browser.
fn grant_kind(typed: &Login, known: Option<GrantKind>) -> Option<GrantKind> {
    if typed.grant.device {
        return Some(GrantKind::Device);
    }
    if typed.grant.client_credentials {
        return Some(GrantKind::ClientCredentials);
    }
    if typed.grant.workload_token.is_some() {
        return Some(GrantKind::Workload);
    }
    if typed.idp.idp.is_some() {
        return Some(GrantKind::Enterprise);
    }
    let redirects = typed.port.is_some()
        || typed.redirect_uri.is_some()
        || typed.flags.no_browser
        || typed.no_wait;
    known.filter(|_| !redirects)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use mcp_client_oauth::flow::Issuer;

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
    fn a_url_alone_gets_its_existing_name_or_a_free_one() {
        let (_directory, servers) = servers(&[
            ("mine", "https://a.example/mcp"),
            ("b", "https://other.example/"),
        ]);
        let name = |url| resolve(&typed(&[url]), &servers).unwrap().0;
        assert_eq!(name("https://a.example/mcp"), "mine");
        assert_eq!(name("https://c.example/mcp"), "c");
        assert_eq!(name("https://mcp.b.example/mcp"), "b-2");
    }

    #[test]
    fn typed_options_override_stored_ones() {
        let (_directory, mut servers) = servers(&[]);
        let url = "https://a.example/mcp";
        let known = Server {
            client_id: Some("old".to_owned()),
            port: Some(1),
            ..Server::new(url.parse().unwrap())
        };
        servers.remember("a", known).unwrap();
        let (_, again) = resolve(&typed(&["a"]), &servers).unwrap();
        assert_eq!(
            (again.client_id.as_deref(), again.port),
            (Some("old"), Some(1))
        );
        let document = "https://app.example/client.json";
        let (_, other) = resolve(
            &typed(&["a", url, "--client-metadata-url", document]),
            &servers,
        )
        .unwrap();
        assert_eq!(other.client_id, None);
        let (_, moved) = resolve(&typed(&["a", "https://b.example/mcp"]), &servers).unwrap();
        assert_eq!(moved.client_id, None);
    }

    #[test]
    fn the_source_of_an_assertion_is_dropped_with_its_grant() {
        let (_directory, mut servers) = servers(&[]);
        let source = |text| Some(Source::parse(text).unwrap());
        let known = Server {
            grant: Some(GrantKind::Workload),
            workload_token: source("env:JWT"),
            ..Server::new("https://a.example/mcp".parse().unwrap())
        };
        servers.remember("a", known.clone()).unwrap();
        let resolved = |arguments: &[&str]| resolve(&typed(arguments), &servers).unwrap().1;
        assert_eq!(resolved(&["a"]), known);
        let other = resolved(&["a", "--workload-token", "cmd:print-jwt"]);
        assert_eq!(other.workload_token, source("cmd:print-jwt"));
        assert_eq!(resolved(&["a", "--device"]).workload_token, None);
        let idp = "https://idp.example/token";
        let enterprise = resolved(&[
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
    fn a_forced_login_with_its_url_resets_the_options_and_keeps_account_and_client() {
        let (_directory, mut servers) = servers(&[]);
        let url = "https://a.example/mcp";
        let known = Server {
            account: Some("work".to_owned()),
            scope: Some("notes:read".parse().unwrap()),
            client_id: Some("me".to_owned()),
            issuer: Some(Issuer::from("https://as.example")),
            port: Some(1),
            legacy: true,
            ..Server::new(url.parse().unwrap())
        };
        servers.remember("a", known.clone()).unwrap();
        let resolved = |arguments: &[&str]| resolve(&typed(arguments), &servers).unwrap().1;
        assert_eq!(resolved(&["a", "--force"]), known);
        let reset = Server {
            scope: None,
            legacy: false,
            ..known.clone()
        };
        assert_eq!(resolved(&["a", url, "--force"]), reset);
        // The port belongs to the client: another client comes without it.
        assert_eq!(
            resolved(&["a", url, "--force", "--port", "2"]).port,
            Some(2)
        );
        for other in [
            ["--client-id", "other"],
            ["--client-metadata-url", "https://x.example/c"],
        ] {
            let typed = [&["a", url, "--force"], &other[..]].concat();
            assert_eq!(resolved(&typed).port, None);
        }
        assert_eq!(resolved(&["a", "--port", "0"]).port, None);
        assert_eq!(resolved(&["a", "--client-id", "me"]).issuer, known.issuer);
        assert_eq!(resolved(&["a", "--client-id", "other"]).issuer, None);
    }
}
