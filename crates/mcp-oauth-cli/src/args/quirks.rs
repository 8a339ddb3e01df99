//! What a server wants otherwise than the specifications have it, as far as it is not known of its
//! provider.

use clap::Args;
use mcp_client_oauth::{
    IssuerAlias, Quirks, ResourceParameter,
    proto::{resource_metadata::Resource, server_metadata::Issuer},
};

use crate::error::Failure;

/// What the server wants otherwise.
#[derive(Args, Clone, Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
#[command(next_help_heading = "Servers that want things otherwise")]
pub(crate) struct QuirkFlags {
    /// Leave out the parameter `resource`, for servers that refuse it.
    #[arg(long, conflicts_with = "resource")]
    pub(crate) no_resource: bool,
    /// What the authorization server calls the resource, if not by its URL.
    #[arg(long, value_name = "URI")]
    pub(crate) resource: Option<String>,
    /// One more parameter of the authorization request, as in `audience=https://api.example.com`; may
    /// be given several times. Without a value it is not sent, even where the provider is known to
    /// want it.
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) authorize_param: Vec<(String, String)>,
    /// Who is about to log in, such as an email address: the login page may fill it in.
    #[arg(long, value_name = "NAME")]
    pub(crate) login_hint: Option<String>,
    /// Name the scope in each refresh too.
    #[arg(long)]
    pub(crate) scope_on_refresh: bool,
    /// Take tokens that come as a form, and not as JSON.
    #[arg(long)]
    pub(crate) form_answers: bool,
    /// Believe that the authorization server checks PKCE though its metadata does not say so.
    #[arg(long)]
    pub(crate) pkce_unlisted: bool,
    /// Take a token for a bearer token where the response has no `token_type`, as `OpenAuth` sends it.
    #[arg(long)]
    pub(crate) assume_bearer: bool,
    /// Another name by which the authorization server may call itself; may be given several times. Only
    /// if whoever runs it says so: it keeps others from passing for it. An empty one is for metadata
    /// without a name.
    #[arg(long, value_name = "ISSUER")]
    pub(crate) accept_issuer: Vec<String>,
}

impl QuirkFlags {
    /// What is typed now goes before what is `known` of the server.
    pub(crate) fn over(&self, known: Quirks) -> Result<Quirks, Failure> {
        let mut typed = Quirks::default();
        typed.resource = match (&self.resource, self.no_resource) {
            (Some(name), _) => Some(ResourceParameter::Override(Resource::new(name))),
            (None, true) => Some(ResourceParameter::Omitted),
            (None, false) => None,
        };
        let hint = self.login_hint.as_ref();
        let hint = hint.map(|name| ("login_hint".to_owned(), name.clone()));
        for (name, value) in self.authorize_param.iter().cloned().chain(hint) {
            let added = typed.authorize.insert(name, value);
            added.map_err(|error| {
                Failure::usage(error.to_string(), "see `mcp-oauth login --help`")
            })?;
        }
        typed.scope_on_refresh = self.scope_on_refresh.then_some(true);
        typed.form_encoded_responses = self.form_answers.then_some(true);
        typed.assume_pkce = self.pkce_unlisted.then_some(true);
        typed.assume_bearer = self.assume_bearer.then_some(true);
        let names = self.accept_issuer.iter().map(Issuer::new);
        typed.issuers = names.map(IssuerAlias::new).collect();
        let mut both = typed.or(known);
        // What is said again is said of the server that is found now.
        let mut seen = Vec::new();
        both.issuers.retain(|other| {
            let is_new = !seen.contains(&other.name);
            seen.push(other.name.clone());
            is_new
        });
        Ok(both)
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=');
    let (name, value) = pair.ok_or("write it as NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_is_remembered_and_goes_before_what_was() {
        let mut known = Quirks::default();
        known.resource = Some(ResourceParameter::Omitted);
        let name = IssuerAlias::new(Issuer::new("https://a.example"));
        known.issuers = vec![name];
        known.authorize.insert("prompt", "login").unwrap();
        let flags = QuirkFlags {
            authorize_param: vec![pair("prompt=").unwrap(), pair("a=b=c").unwrap()],
            login_hint: Some("me@x.example".to_owned()),
            accept_issuer: vec!["https://a.example".to_owned(), String::new()],
            ..QuirkFlags::default()
        };
        let both = flags.over(known.clone()).unwrap();
        let sent: Vec<_> = both.authorize.iter().collect();
        assert_eq!(sent, [("a", "b=c"), ("login_hint", "me@x.example")]);
        assert_eq!(both.resource, known.resource);
        assert_eq!(both.issuers.len(), 2);
        assert!(both.scope_on_refresh.is_none() && both.form_encoded_responses.is_none());
        assert!(pair("state").is_err());
        let ours = QuirkFlags {
            authorize_param: vec![pair("state=x").unwrap()],
            ..QuirkFlags::default()
        };
        assert!(ours.over(Quirks::default()).is_err());
    }
}
