//! The arguments of the proxy in a bundle: the URL of the server, and the options of its login. A name means
//! nothing on another machine.

use mcp_client_oauth::flow::ResourceParameter;

use crate::{
    error::Failure,
    servers::{GrantKind, Server},
    shell::quoted,
};

/// Returns the arguments; an error if the login has credentials or files of this machine.
pub(super) fn of(server: &Server, name: &str) -> Result<Vec<String>, Failure> {
    let refused = |what: &str| {
        Failure::usage(
            format!("the login of {name} {what}, which a bundle cannot have"),
            format!("mcp-oauth install --app claude-desktop {}", quoted(name)),
        )
    };
    let mut words = vec!["proxy".to_owned(), server.url.to_string()];
    let mut add = |flag: &str, value: Option<String>| {
        if let Some(value) = value {
            words.extend([flag.to_owned(), value]);
        }
    };
    let (host, port) = match &server.redirect_uri {
        None => (None, server.port),
        Some(uri) if uri.scheme() == "http" && uri.path() == "/callback" => {
            (uri.host_str().map(str::to_owned), uri.port())
        }
        Some(_) => return Err(refused("has a redirect URI of its own")),
    };
    let text = |value: Option<&dyn std::fmt::Display>| value.map(ToString::to_string);
    add("--account", server.account.clone());
    add(
        "--scope",
        text(server.scope.as_ref().map(|scope| scope as _)),
    );
    add("--client-id", server.client_id.clone());
    add(
        "--client-metadata-url",
        text(server.client_metadata_url.as_ref().map(|url| url as _)),
    );
    add("--callback-port", text(port.as_ref().map(|port| port as _)));
    add("--callback-host", host);
    let quirks = &server.quirks;
    if let Some(ResourceParameter::Override(resource)) = &quirks.resource {
        add("--resource", Some(resource.as_str().to_owned()));
    }
    for (name, value) in quirks.authorization_params.iter() {
        add("--authorize-param", Some(format!("{name}={value}")));
    }
    for alias in &quirks.issuers {
        add("--accept-issuer", Some(alias.name.to_string()));
    }
    let is_device = match server.grant {
        None => false,
        Some(GrantKind::Device) => true,
        Some(_) => return Err(refused("has credentials or files of this machine")),
    };
    words.extend(switches(server, is_device));
    Ok(words)
}

/// Returns the flags without a value.
fn switches(server: &Server, is_device: bool) -> impl Iterator<Item = String> {
    let quirks = &server.quirks;
    let omits_resource = matches!(quirks.resource, Some(ResourceParameter::Omitted));
    let all = [
        ("--device", is_device),
        ("--legacy", server.legacy),
        ("--dpop", server.dpop),
        ("--reuse-login", server.reuse_login),
        ("--allow-http", server.url.is_plaintext()),
        ("--no-resource", omits_resource),
        ("--scope-on-refresh", quirks.scope_on_refresh == Some(true)),
        (
            "--form-encoded-responses",
            quirks.form_encoded_responses == Some(true),
        ),
        ("--assume-pkce", quirks.assume_pkce == Some(true)),
        ("--assume-bearer", quirks.assume_bearer == Some(true)),
    ];
    let all = all.into_iter().filter(|(_, is_set)| *is_set);
    all.map(|(flag, _)| flag.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use mcp_client_oauth::ServerUrl;

    use super::*;
    use crate::args::{Cli, Command};

    #[test]
    fn the_options_of_a_login_are_options_of_the_proxy() {
        let mut server =
            Server::new(ServerUrl::parse_allow_http("http://notes.example/mcp").unwrap());
        server.account = Some("work".to_owned());
        server.scope = Some("a b".parse().unwrap());
        server.client_id = Some("me".to_owned());
        server.redirect_uri = Some("http://localhost:81/callback".parse().unwrap());
        server.legacy = true;
        server.quirks.resource = Some(ResourceParameter::Omitted);
        server.quirks.assume_pkce = Some(true);
        let words = of(&server, "notes").unwrap();
        let typed = ["mcp-oauth"]
            .into_iter()
            .chain(words.iter().map(String::as_str));
        let Command::Proxy(proxy) = Cli::parse_from(typed).command else {
            panic!("{words:?}");
        };
        let login = proxy.login();
        assert_eq!(proxy.server, "http://notes.example/mcp");
        assert_eq!(login.flags.account.as_deref(), Some("work"));
        assert_eq!(login.scope(), server.scope);
        assert_eq!(login.redirect_uri, server.redirect_uri);
        assert!(login.flags.legacy && login.flags.allow_http && login.quirks.assume_pkce);
        assert!(login.quirks.no_resource);
    }

    #[test]
    fn credentials_are_no_part_of_a_bundle() {
        let mut server = Server::new("https://notes.example/mcp".parse().unwrap());
        server.grant = Some(GrantKind::ClientCredentials);
        let refused = of(&server, "notes").unwrap_err().render(None);
        let hint = refused.hint.unwrap();
        assert_eq!(hint, "mcp-oauth install --app claude-desktop notes");
    }
}
