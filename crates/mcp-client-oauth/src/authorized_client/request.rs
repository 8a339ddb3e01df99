//! One authorized request, built by the caller and sent by the platform's own HTTP client.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, header};
use mcp_oauth_support::mutex::lock;
use serde::Serialize;
use url::Url;

use super::{
    credentials::Credentials,
    retry::{RequestProof, token_for},
    send::AuthorizedClient,
};
use crate::{
    error::Error,
    platform::{AddressSpace, Body, HttpClient, HttpError, HttpErrorKind, Request, Response},
    proto::{challenge::Challenge, token::AccessToken},
    server_url::ServerUrlError,
};

/// The size limit of a response.
const RESPONSE_LIMIT: usize = 64 << 20;

/// A request to the server, to be sent with a token. The caller's headers are kept, except `Authorization`
/// and, with a token that is bound to a key, `DPoP`. Redirects are not followed, because they would
/// send the token to another URL (RFC 9700 §4.12).
#[derive(Clone, Debug)]
#[must_use = "a request does nothing until it is sent"]
pub struct RequestBuilder {
    authorized: AuthorizedClient,
    request: Request,
    /// The stream that is sent instead of the request's own body, once.
    stream: Option<Once>,
    /// The reason why the request could not be built.
    broken: Option<Error>,
}

/// The outcome of a request with a body that can be sent once.
struct Sent {
    response: http::Response<Body>,
    token: AccessToken,
    challenge: Option<Challenge>,
}

/// A body that can be sent once. All clones share it.
#[derive(Clone, Debug)]
struct Once(Arc<Mutex<Option<Body>>>);

impl Once {
    fn take(&self) -> Option<Body> {
        let mut body = lock(&self.0);
        body.take()
    }
}

impl AuthorizedClient {
    /// Returns a request to `url`. If it is not valid, sending the request returns that error.
    pub(crate) fn request_to(
        &self,
        method: Method,
        url: Result<Url, ServerUrlError>,
    ) -> RequestBuilder {
        let server = self.source.server();
        let (url, broken) = match url {
            Ok(url) => (url, None),
            Err(error) => (server.as_url().clone(), Some(error.into())),
        };
        let mut request = Request::new(method, url, AddressSpace::for_server(server));
        request.body_limit = RESPONSE_LIMIT;
        RequestBuilder {
            authorized: self.clone(),
            request,
            stream: None,
            broken,
        }
    }
}

impl AuthorizedClient {
    /// Replaces a token that the response refused, if it did.
    async fn replace(&self, refused: AccessToken, challenge: Option<Challenge>) {
        let is_refusal = |challenge: &Challenge| {
            !challenge.refuses_proof() && !challenge.is_insufficient_scope()
        };
        if let Some(challenge) = challenge.filter(is_refusal)
            && self.retry
            && let Err(error) = self
                .source
                .refresh_after_rejection(&refused, &challenge)
                .await
        {
            tracing::debug!(%error, "cannot replace the rejected token");
        }
    }
}

impl RequestBuilder {
    /// Adds a header.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.request.headers.append(name, value);
        self
    }

    /// Sets a JSON body. A request that is refused is sent again with it.
    pub fn json<T: Serialize + ?Sized>(mut self, body: &T) -> Self {
        match serde_json::to_vec(body) {
            Ok(body) => self.request.body = body.into(),
            Err(error) => {
                let reason = format!("cannot encode the body as JSON: {error}");
                let url = &self.request.url;
                self.broken = Some(HttpError::new(url, HttpErrorKind::Setup(reason)).into());
            }
        }
        let json = HeaderValue::from_static("application/json");
        self.request.headers.insert(header::CONTENT_TYPE, json);
        self
    }

    /// Sets a body of bytes. A request that is refused is sent again with it.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.request.body = body.into();
        self
    }

    /// Sets a body that is streamed, and so sent once: a request that is refused is not sent again. After a
    /// 401 its token is replaced before the response is returned, so that the caller's next attempt has
    /// another one. There is no step-up authorization: the caller handles a 403.
    ///
    /// The timeout of the request applies to the head of the response and again to its body.
    ///
    /// ```no_run
    /// # async fn run(session: mcp_client_oauth::Session) -> Result<(), Box<dyn std::error::Error>> {
    /// use mcp_client_oauth::platform::Body;
    ///
    /// let file = bytes::Bytes::from(std::fs::read("notes.csv")?);
    /// let file = Body::from(file);                     // or `Body::new` with any `http_body::Body`
    /// let response = session.post("import").body_stream(file).send().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn body_stream(mut self, body: Body) -> Self {
        self.stream = Some(Once(Arc::new(Mutex::new(Some(body)))));
        self
    }

    /// Sets the time limit of each attempt, from the connection to the last byte. 30 seconds by default.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.request.deadline = timeout;
        self
    }

    /// Sets whether the request is sent again with another token when it is refused. On by default.
    pub fn retry_on_401(mut self, retry: bool) -> Self {
        self.authorized.retry = retry;
        self
    }

    /// Sends the request and reads the whole response, whatever its status.
    ///
    /// # Errors
    /// As [`Session::send`](crate::Session::send), and [`Error::Http`].
    pub async fn send(self) -> Result<Response, Error> {
        if let Some(body) = self.stream.clone() {
            return self.send_stream(&body).await;
        }
        let send = |http: Arc<dyn HttpClient>, request| async move {
            let response = http.send(request).await?;
            Ok(http::Response::from(response))
        };
        Ok(self.exchange(send).await?.into())
    }

    /// Sends the request and returns when the head of the response has arrived: the body is streamed. The
    /// timeout applies to the head.
    ///
    /// # Errors
    /// As [`Session::send`](crate::Session::send), and [`Error::Http`].
    pub async fn send_streaming(self) -> Result<http::Response<Body>, Error> {
        if let Some(body) = self.stream.clone() {
            return self.open_stream(&body).await;
        }
        let open =
            |http: Arc<dyn HttpClient>, request| async move { http.send_streaming(request).await };
        self.exchange(open).await
    }

    async fn send_stream(self, body: &Once) -> Result<Response, Error> {
        let (authorized, url) = (self.authorized.clone(), self.request.url.clone());
        let (deadline, limit) = (self.request.deadline, self.request.body_limit);
        let sent = Box::pin(self.upload(body)).await?;
        let (head, body) = sent.response.into_parts();
        let body = body.read_within(deadline, limit).await;
        // The response is read to its end before a refresh can delay it.
        authorized.replace(sent.token, sent.challenge).await;
        let body = body.map_err(|cause| HttpError::new(&url, cause))?;
        Ok(http::Response::from_parts(head, body).into())
    }

    async fn open_stream(self, body: &Once) -> Result<http::Response<Body>, Error> {
        let authorized = self.authorized.clone();
        let sent = Box::pin(self.upload(body)).await?;
        authorized.replace(sent.token, sent.challenge).await;
        Ok(sent.response)
    }

    /// Sends the request once, whatever the outcome.
    async fn upload(self, body: &Once) -> Result<Sent, Error> {
        self.check_built()?;
        let (source, mut request) = (&self.authorized.source, self.request);
        let token = token_for(&**source, &request.url).await?;
        let request_proof = RequestProof::of(&**source, &token, &request.method, &request.url)?;
        let proof = request_proof.map(|request_proof| request_proof.proof.header);
        Credentials::new(token.header(), proof).apply(&mut request.headers);
        let body = body.take().ok_or_else(|| {
            let reason = "the body was sent already".to_owned();
            HttpError::new(&request.url, HttpErrorKind::Setup(reason))
        })?;
        let url = request.url.clone();
        let response = self.authorized.platform.http.upload(request, body).await?;
        if let Some(proof_generator) = source.proof_generator() {
            proof_generator.store_nonce(&url, response.headers());
        }
        Ok(Sent {
            token,
            challenge: Challenge::from_headers(response.status(), response.headers()),
            response,
        })
    }

    /// Returns the error of a request that could not be built.
    fn check_built(&self) -> Result<(), Error> {
        self.broken.clone().map_or(Ok(()), Err)
    }

    async fn exchange<B, Fut>(
        self,
        exchange: impl Fn(Arc<dyn HttpClient>, Request) -> Fut,
    ) -> Result<http::Response<B>, Error>
    where
        Fut: Future<Output = Result<http::Response<B>, HttpError>>,
    {
        self.check_built()?;
        let Self {
            authorized,
            request,
            ..
        } = self;
        authorized
            .send(&request.method, &request.url, |credentials| {
                let mut request = request.clone();
                credentials.apply(&mut request.headers);
                exchange(Arc::clone(&authorized.platform.http), request)
            })
            .await?
            .map_err(Error::from)
    }
}

impl From<Response> for http::Response<Bytes> {
    fn from(own: Response) -> Self {
        let mut response = Self::new(own.body);
        *response.status_mut() = own.status;
        *response.headers_mut() = own.headers;
        response
    }
}

impl From<http::Response<Bytes>> for Response {
    fn from(response: http::Response<Bytes>) -> Self {
        let (head, body) = response.into_parts();
        Self::new(head.status, head.headers, body)
    }
}
