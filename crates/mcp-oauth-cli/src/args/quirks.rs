//! The overrides for a server that differs from the specifications, where the library does not know its
//! provider.

use clap::Args;
use mcp_client_oauth::flow::{Issuer, IssuerAlias, Quirks, Resource, ResourceParameter};

use crate::error::Failure;

/// The overrides for a server.
#[derive(Args, Clone, Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
#[command(next_help_heading = "Overrides for servers that differ from the specifications")]
pub(crate) struct QuirkFlags {
    /// Omit the parameter `resource`, for servers that refuse it.
    #[arg(long, conflicts_with = "resource")]
    pub(crate) no_resource: bool,
    /// Send this resource identifier instead of the URL of the server.
    #[arg(long, value_name = "URI")]
    pub(crate) resource: Option<String>,
    /// Add a parameter to the authorization request.
    ///
    /// An example is `audience=https://api.example.com`. May be given several times. Without a value the
    /// parameter is not sent, even if it is the default of the provider.
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) authorize_param: Vec<(String, String)>,
    /// Suggest a user name or email address, which the login page may fill in.
    #[arg(long, value_name = "NAME")]
    pub(crate) login_hint: Option<String>,
    /// Send the scope in each refresh too.
    #[arg(long)]
    pub(crate) scope_on_refresh: bool,
    /// Accept token responses that are form-encoded instead of JSON.
    #[arg(long, alias = "form-answers")]
    pub(crate) form_encoded_responses: bool,
    /// Assume that the authorization server checks PKCE without listing it.
    #[arg(long, alias = "pkce-unlisted")]
    pub(crate) assume_pkce: bool,
    /// Assume a bearer token if the response has no `token_type`.
    #[arg(long)]
    pub(crate) assume_bearer: bool,
    /// Accept this other issuer name of the authorization server.
    ///
    /// Give it only if the operator confirms it: the check keeps other servers from impersonating this
    /// one. May be given several times. An empty value accepts metadata without an issuer.
    #[arg(long, value_name = "ISSUER")]
    pub(crate) accept_issuer: Vec<String>,
}

impl QuirkFlags {
    /// Returns the overrides that were typed, with those that are `known` of the server for the rest.
    pub(crate) fn over(&self, known: Quirks) -> Result<Quirks, Failure> {
        let mut typed = Quirks::default();
        typed.resource = match (&self.resource, self.no_resource) {
            (Some(name), _) => Some(ResourceParameter::Override(Resource::from(name.as_str()))),
            (None, true) => Some(ResourceParameter::Omitted),
            (None, false) => None,
        };
        let hint = self.login_hint.as_ref();
        let hint = hint.map(|name| ("login_hint".to_owned(), name.clone()));
        for (name, value) in self.authorize_param.iter().cloned().chain(hint) {
            let added = typed.authorization_params.insert(name, value);
            added.map_err(|error| {
                Failure::usage(error.to_string(), "see `mcp-oauth login --help`")
            })?;
        }
        typed.scope_on_refresh = self.scope_on_refresh.then_some(true);
        typed.form_encoded_responses = self.form_encoded_responses.then_some(true);
        typed.assume_pkce = self.assume_pkce.then_some(true);
        typed.assume_bearer = self.assume_bearer.then_some(true);
        let names = self.accept_issuer.iter().cloned().map(Issuer::from);
        typed.issuers = names.map(IssuerAlias::from).collect();
        let mut both = typed.or(known);
        // An alias that is typed again is bound to the issuer of this login.
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
    let (name, value) = pair.ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typed_overrides_replace_known_ones_and_keep_the_rest() {
        let mut known = Quirks::default();
        known.resource = Some(ResourceParameter::Omitted);
        let name = IssuerAlias::from(Issuer::from("https://a.example"));
        known.issuers = vec![name];
        known
            .authorization_params
            .insert("prompt", "login")
            .unwrap();
        let flags = QuirkFlags {
            authorize_param: vec![pair("prompt=").unwrap(), pair("a=b=c").unwrap()],
            login_hint: Some("me@x.example".to_owned()),
            accept_issuer: vec!["https://a.example".to_owned(), String::new()],
            ..QuirkFlags::default()
        };
        let both = flags.over(known.clone()).unwrap();
        let sent: Vec<_> = both.authorization_params.iter().collect();
        assert_eq!(sent, [("a", "b=c"), ("login_hint", "me@x.example")]);
        assert_eq!(both.resource, known.resource);
        assert_eq!(both.issuers.len(), 2);
        assert!(both.scope_on_refresh.is_none() && both.form_encoded_responses.is_none());
        assert!(pair("state").is_err());
        let reserved = QuirkFlags {
            authorize_param: vec![pair("state=x").unwrap()],
            ..QuirkFlags::default()
        };
        assert!(reserved.over(Quirks::default()).is_err());
    }
}
