//! Enterprise-managed authorization (SEP-990): the identity provider of an organization vouches for
//! a person.

use async_trait::async_trait;

use super::request::{Grant, GrantRequest};
use crate::{
    error::Error, non_interactive::NonInteractiveGrant, platform::Platform, proto::token::TokenSet,
};

pub(super) struct EnterpriseGrant;

#[async_trait]
impl Grant for EnterpriseGrant {
    fn name(&self) -> &'static str {
        "enterprise"
    }

    fn fits(&self, request: &GrantRequest<'_>) -> bool {
        matches!(
            request.machine,
            Some(NonInteractiveGrant::Enterprise { .. })
        )
    }

    async fn request_tokens(
        &self,
        platform: &Platform,
        request: GrantRequest<'_>,
    ) -> Result<TokenSet, Error> {
        request.obtain_without_person(platform).await
    }
}
