//! The flags of enterprise-managed authorization: the identity provider of an organization asserts the
//! identity of the user.

use std::path::PathBuf;

use clap::{ArgGroup, Args};
use mcp_client_oauth::flow::Issuer;
use url::Url;

use crate::assertion::{Idp, Source};

/// The identity provider, and the client there.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Login by an identity provider (enterprise-managed authorization)")]
#[command(group = ArgGroup::new("subject_token").args(["id_token", "idp_refresh_token"]))]
pub(crate) struct IdpFlags {
    /// Log in non-interactively through this identity provider.
    ///
    /// It exchanges the ID token of --id-token for an assertion (ID-JAG). --client-id and its secret are
    /// those at the authorization server.
    #[arg(
        long,
        value_name = "ISSUER",
        requires_all = ["idp_token_endpoint", "idp_client_id", "subject_token"],
        conflicts_with_all = ["device", "client_credentials", "workload_token", "reuse_login"],
    )]
    pub(crate) idp: Option<String>,
    /// Set the token endpoint of the identity provider.
    #[arg(long, value_name = "URL", requires = "idp")]
    pub(crate) idp_token_endpoint: Option<Url>,
    /// Set the client ID at the identity provider.
    ///
    /// Its secret, if it has one, is in the environment variable `MCP_OAUTH_IDP_CLIENT_SECRET`.
    #[arg(long, value_name = "ID", requires = "idp")]
    pub(crate) idp_client_id: Option<String>,
    /// Authenticate at the identity provider with the PKCS#8 key in this PEM file.
    #[arg(long, value_name = "FILE", requires = "idp")]
    pub(crate) idp_private_key: Option<PathBuf>,
    /// Read the ID token from here.
    ///
    /// It is read again for each new token; see --workload-token.
    #[arg(
        long,
        value_name = "FILE|env:NAME|cmd:PROGRAM",
        value_parser = Source::parse,
        requires = "idp",
    )]
    pub(crate) id_token: Option<Source>,
    /// Read a refresh token of the identity provider instead of an ID token.
    ///
    /// It is read again for each new token; see --workload-token.
    #[arg(
        long,
        value_name = "FILE|env:NAME|cmd:PROGRAM",
        value_parser = Source::parse,
        requires = "idp",
    )]
    pub(crate) idp_refresh_token: Option<Source>,
}

impl IdpFlags {
    /// Returns the identity provider to remember with the name. The argument definition guarantees that
    /// the flags are given together.
    pub(crate) fn remembered(&self) -> Option<Idp> {
        Some(Idp {
            issuer: Issuer::from(self.idp.as_deref()?),
            token_endpoint: self.idp_token_endpoint.clone()?,
            client_id: self.idp_client_id.clone()?,
            id_token: self.id_token.clone(),
            refresh_token: self.idp_refresh_token.clone(),
        })
    }
}
