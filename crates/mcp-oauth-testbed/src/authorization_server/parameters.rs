//! Form and query parameters.

use axum::extract::FromRequest;
use axum::extract::rejection::BytesRejection;
use bytes::Bytes;
use http::header;
use url::form_urlencoded;

use super::refusal::Refusal;

/// Decoded parameters. OAuth 2.1 §3.1 and §3.2: a parameter "MUST NOT be included more than once",
/// and those "sent without a value MUST be treated as if they were omitted".
#[derive(Debug)]
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Decodes all parameters, also repeated ones: see [`Parameters::repeated`].
    pub(super) fn parse(encoded: &[u8]) -> Self {
        Self(
            form_urlencoded::parse(encoded)
                .filter(|(_, value)| !value.is_empty())
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect(),
        )
    }

    /// Returns the first parameter that is repeated although it may not be.
    pub(super) fn repeated(&self, may: &[&str]) -> Option<&str> {
        let names = self.0.iter().map(|(name, _)| name.as_str());
        names.enumerate().find_map(|(index, name)| {
            self.0
                .iter()
                .skip(index + 1)
                .any(|(other, _)| other == name && !may.contains(&name))
                .then_some(name)
        })
    }

    pub(super) fn find(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// Returns every value of a parameter that may be repeated.
    pub(super) fn all(&self, name: &str) -> Vec<&str> {
        self.0
            .iter()
            .filter(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
            .collect()
    }

    pub(super) fn require(&self, name: &str) -> Result<&str, Refusal> {
        self.find(name)
            .ok_or_else(|| Refusal::new("invalid_request", format!("{name} is missing")))
    }
}

/// The form body of a request, checked for its media type and for repeated parameters.
#[derive(Debug)]
pub(super) struct Form(pub(super) Parameters);

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = Refusal;

    async fn from_request(request: axum::extract::Request, state: &S) -> Result<Self, Refusal> {
        let media_type = request.headers().get(header::CONTENT_TYPE);
        let media_type = media_type
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        if !media_type.starts_with("application/x-www-form-urlencoded") {
            return Err(Refusal::new("invalid_request", "the body must be a form"));
        }
        let body = Bytes::from_request(request, state)
            .await
            .map_err(|error: BytesRejection| Refusal::new("invalid_request", error.to_string()))?;
        let parameters = Parameters::parse(&body);
        if let Some(name) = parameters.repeated(&[]) {
            return Err(Refusal::new(
                "invalid_request",
                format!("{name} is repeated"),
            ));
        }
        Ok(Self(parameters))
    }
}
