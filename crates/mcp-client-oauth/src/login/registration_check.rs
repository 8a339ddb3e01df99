//! Detects a dynamic registration that the server has removed: because a development server was restarted,
//! or old registrations were pruned. With such a client, the browser would show an error page, and the login
//! would wait for a callback in vain.

use std::time::Duration;

use http::{HeaderValue, Method, header};
use url::Url;

use super::context::LoginContext;
use crate::{
    client_registration::{ClientIdentity, RegisteredClient, register},
    discovery::Discovery,
    error::Error,
    grant::{GrantRequest, throwaway_url},
    platform::Request,
    proto::unknown_client::refuses_client,
};

/// The time limit of the check, because each login waits for it.
const DEADLINE: Duration = Duration::from_secs(5);
/// The `Accept` header of a browser. Some servers redirect only a browser to their login page.
const ACCEPT: HeaderValue = HeaderValue::from_static("text/html,*/*;q=0.8");

impl LoginContext<'_> {
    /// Returns `identity`, or a new registration if `identity` is one that the server no longer
    /// knows.
    ///
    /// Only a stored dynamic registration is checked, and only until a login of this process has
    /// succeeded with it. Unless the server refuses the client directly, `identity` is returned as it is.
    ///
    /// # Errors
    /// Those of [`register`].
    pub(super) async fn with_known_client(
        &self,
        discovery: &Discovery,
        identity: ClientIdentity,
        known: Option<&RegisteredClient>,
        redirect_uri: Option<&Url>,
    ) -> Result<ClientIdentity, Error> {
        if let Some(redirect_uri) = redirect_uri
            && self.is_unverified(discovery, &identity, known)
            && self.is_refused(discovery, &identity, redirect_uri).await?
        {
            let issuer = discovery.issuer();
            tracing::warn!(
                %issuer,
                "the authorization server no longer knows this client; registering again"
            );
            let client = self.options.client();
            return register(self.platform, discovery, &client, Some(redirect_uri)).await;
        }
        Ok(identity)
    }

    fn is_unverified(
        &self,
        discovery: &Discovery,
        identity: &ClientIdentity,
        known: Option<&RegisteredClient>,
    ) -> bool {
        match identity {
            ClientIdentity::Registered(own) => {
                let is_remembered = known == Some(own) && !own.is_preregistered;
                let can_register = discovery.metadata.registration_endpoint.is_some();
                is_remembered && can_register && !self.store.has_used(own)
            }
            _ => false,
        }
    }

    /// Sends an authorization request and returns whether the response refuses the client. A redirect is
    /// dropped with everything in it: its `state` and code challenge were generated only for this check.
    async fn is_refused(
        &self,
        discovery: &Discovery,
        identity: &ClientIdentity,
        redirect_uri: &Url,
    ) -> Result<bool, Error> {
        let request = GrantRequest::new(discovery, identity, self.options.scope.as_ref())?;
        let url = throwaway_url(&request, redirect_uri)?;
        let mut check = Request::new(Method::GET, url, discovery.address_space);
        check.deadline = DEADLINE;
        check.headers.insert(header::ACCEPT, ACCEPT);
        match self.platform.http.send(check).await {
            Ok(response) => Ok(refuses_client(&response)),
            Err(error) => {
                tracing::debug!(%error, "cannot check the stored client registration");
                Ok(false)
            }
        }
    }
}
