//! Enterprise-managed authorization (SEP-990): the identity provider of an organization asserts the
//! identity of a user.

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
            request.non_interactive,
            Some(NonInteractiveGrant::Enterprise { .. })
        )
    }

    async fn request_tokens(
        &self,
        platform: &Platform,
        request: GrantRequest<'_>,
    ) -> Result<TokenSet, Error> {
        request.request_non_interactive_tokens(platform).await
    }
}
