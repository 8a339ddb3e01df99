//! Client credentials (RFC 6749 §4.4, SEP-1046): a client in its own name.

use async_trait::async_trait;

use super::request::{Grant, GrantRequest};
use crate::{error::Error, machine::MachineGrant, platform::Platform, proto::token::TokenSet};

pub(super) struct ClientCredentialsGrant;

#[async_trait]
impl Grant for ClientCredentialsGrant {
    fn name(&self) -> &'static str {
        "client_credentials"
    }

    fn fits(&self, request: &GrantRequest<'_>) -> bool {
        matches!(request.machine, Some(MachineGrant::ClientCredentials))
    }

    async fn obtain(
        &self,
        platform: &Platform,
        request: GrantRequest<'_>,
    ) -> Result<TokenSet, Error> {
        request.obtain_without_person(platform).await
    }
}
