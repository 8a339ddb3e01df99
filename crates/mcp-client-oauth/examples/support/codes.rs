//! The user of the device flow.

use async_trait::async_trait;
use mcp_client_oauth::{
    error::HttpError,
    platform::{HttpClient, Request, ReqwestClient, Response},
};
use mcp_oauth_testbed::test_user;
use serde::Deserialize;
use url::Url;

/// An HTTP client that acts as the user too: when the server issues a code to enter on another device, it
/// enters the code and approves.
pub(crate) struct EntersCodes(ReqwestClient);

/// The response with a code (RFC 8628 §3.2).
#[derive(Deserialize)]
struct DeviceCode {
    user_code: String,
    verification_uri: Url,
}

impl EntersCodes {
    pub(crate) fn new() -> Self {
        Self(ReqwestClient::default())
    }
}

#[async_trait]
impl HttpClient for EntersCodes {
    async fn send(&self, request: Request) -> Result<Response, HttpError> {
        let response = self.0.send(request).await?;
        if let Ok(code) = serde_json::from_slice::<DeviceCode>(&response.body) {
            tokio::spawn(async move {
                if let Err(error) =
                    test_user::approve_device(&code.verification_uri, &code.user_code).await
                {
                    eprintln!("cannot approve the login: {error}");
                }
            });
        }
        Ok(response)
    }
}
