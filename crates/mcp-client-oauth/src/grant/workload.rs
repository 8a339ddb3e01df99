//! Workload identity (RFC 7523 §2.1, SEP-1933): the platform of a workload asserts its identity.

use async_trait::async_trait;

use super::request::{Grant, GrantRequest};
use crate::{
    error::Error, non_interactive::NonInteractiveGrant, platform::Platform, proto::token::TokenSet,
};

pub(super) struct WorkloadGrant;

#[async_trait]
impl Grant for WorkloadGrant {
    fn name(&self) -> &'static str {
        "workload"
    }

    fn fits(&self, request: &GrantRequest<'_>) -> bool {
        matches!(
            request.non_interactive,
            Some(NonInteractiveGrant::Workload { .. })
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
