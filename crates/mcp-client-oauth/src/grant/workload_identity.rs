//! Workload identity (RFC 7523 §2.1, SEP-1933): the platform of a workload asserts its identity.

use async_trait::async_trait;

use super::{flow::NonInteractiveFlow, token_endpoint::NonInteractiveRequest};
use crate::{
    error::NonInteractiveGrantError,
    platform::{AssertionErrorKind, AssertionSource},
    proto::{assertion::Assertion, token::TokenSet},
};

pub(super) const NAME: &str = "workload";

pub(super) struct WorkloadIdentityGrant<'a> {
    pub(super) assertion: &'a AssertionSource,
}

#[async_trait]
impl NonInteractiveFlow for WorkloadIdentityGrant<'_> {
    fn name(&self) -> &'static str {
        NAME
    }

    fn extension(&self) -> Option<&'static str> {
        None
    }

    fn needs_no_client_id(&self) -> bool {
        true
    }

    async fn request_tokens(
        &self,
        request: &NonInteractiveRequest<'_>,
    ) -> Result<TokenSet, NonInteractiveGrantError> {
        let malformed = AssertionErrorKind::NotAJwt;
        let assertion = request
            .read(self.assertion, Assertion::parse, malformed)
            .await?;
        request.present(&assertion).await
    }
}
