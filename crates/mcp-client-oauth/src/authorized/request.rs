//! One authorized request, built by the caller and sent by the platform's own HTTP client.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, header};
use serde::Serialize;
use url::Url;

use super::{
    credentials::Credentials,
    retry::{RequestProof, token_for},
    send::Authorized,
};
use crate::{
    error::Error,
    mutex::lock,
    platform::{AddressSpace, Body, HttpClient, HttpError, HttpErrorKind, Request, Response},
    proto::{challenge::Challenge, token::AccessToken},
};

/// Says how large an answer may be, unless the caller says otherwise.
const ANSWER_LIMIT: usize = 64 << 20;

/// A request to the server, to be sent with a token. The caller's headers are kept; `Authorization`
/// is ours, and `DPoP` with a token that is bound to a key. Redirects are not followed (H41).
#[derive(Clone, Debug)]
#[must_use = "a request does nothing until it is sent"]
pub struct AuthorizedRequest {
    authorized: Authorized,
    request: Request,
    /// In the place of the request's own body, until it is sent.
    stream: Option<Once>,
    broken: Option<String>,
}

/// Holds what came of a request whose body is spent.
struct Sent {
    answer: http::Response<Body>,
    token: AccessToken,
    challenge: Option<Challenge>,
}

/// A body that can be sent once, whoever sends it.
#[derive(Clone, Debug)]
struct Once(Arc<Mutex<Option<Body>>>);

impl Once {
    fn take(&self) -> Option<Body> {
        let mut body = lock(&self.0);
        body.take()
    }
}

impl Authorized {
    /// Returns a request with any method.
    pub fn request(&self, method: Method, url: Url) -> AuthorizedRequest {
        let reach = AddressSpace::for_server(self.source.server());
        let mut request = Request::new(method, url, reach);
        request.body_limit = ANSWER_LIMIT;
        AuthorizedRequest {
            authorized: self.clone(),
            request,
            stream: None,
            broken: None,
        }
    }

    /// Returns a `GET`.
    pub fn get(&self, url: Url) -> AuthorizedRequest {
        self.request(Method::GET, url)
    }

    /// Returns a `POST`.
    pub fn post(&self, url: Url) -> AuthorizedRequest {
        self.request(Method::POST, url)
    }
}

impl Authorized {
    /// Gets another token in the place of one that was refused, if that is what the answer says.
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
            tracing::debug!(%error, "the refused token could not be replaced");
        }
    }
}

impl AuthorizedRequest {
    /// Adds a header.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.request.headers.append(name, value);
        self
    }

    /// A JSON body. It can be sent again, so a refused request is.
    pub fn json<T: Serialize + ?Sized>(mut self, body: &T) -> Self {
        match serde_json::to_vec(body) {
            Ok(body) => self.request.body = body.into(),
            Err(error) => self.broken = Some(format!("the body is no JSON: {error}")),
        }
        let json = HeaderValue::from_static("application/json");
        self.request.headers.insert(header::CONTENT_TYPE, json);
        self
    }

    /// A body of bytes. It can be sent again, so a refused request is.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.request.body = body.into();
        self
    }

    /// A body that is sent as it comes, and so once: a request that is refused is not sent again. With a
    /// 401 its token is replaced all the same, before the answer is returned, so that the caller's next
    /// try goes by another one. A wider scope is for the caller to ask for.
    ///
    /// The time for it is that of the request, once for the head of the answer and once for its body.
    ///
    /// ```no_run
    /// # async fn run(server: mcp_client_oauth::Authorized) -> Result<(), Box<dyn std::error::Error>> {
    /// use mcp_client_oauth::platform::Body;
    ///
    /// let file = Body::full(std::fs::read("notes.csv")?.into());      // or any `http_body::Body`
    /// let url = "https://mcp.example/mcp/import".parse()?;
    /// let answer = server.post(url).stream(file).send().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn body_stream(mut self, body: Body) -> Self {
        self.stream = Some(Once(Arc::new(Mutex::new(Some(body)))));
        self
    }

    /// The time for each try, from the connection to the last byte. 30 seconds by default.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.request.deadline = timeout;
        self
    }

    /// Returns whether it is sent again with another token when it is refused. It is by default.
    pub fn retry_on_401(mut self, retry: bool) -> Self {
        self.authorized = self.authorized.retry_on_401(retry);
        self
    }

    /// Sends it, and reads the whole answer, whatever its status.
    ///
    /// # Errors
    /// As [`Authorized::send`], and [`Error::Http`].
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

    /// Sends it, and returns with the head of the answer: the body is read as it comes. The timeout
    /// is for the head.
    ///
    /// # Errors
    /// As [`Authorized::send`], and [`Error::Http`].
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
        let (head, body) = sent.answer.into_parts();
        let body = body.read_within(deadline, limit).await;
        // The answer is whole before anything else is waited for.
        authorized.replace(sent.token, sent.challenge).await;
        let body = body.map_err(|cause| HttpError::new(&url, cause))?;
        Ok(http::Response::from_parts(head, body).into())
    }

    async fn open_stream(self, body: &Once) -> Result<http::Response<Body>, Error> {
        let authorized = self.authorized.clone();
        let sent = Box::pin(self.upload(body)).await?;
        authorized.replace(sent.token, sent.challenge).await;
        Ok(sent.answer)
    }

    /// Once, whatever comes of it.
    async fn upload(self, body: &Once) -> Result<Sent, Error> {
        self.whole()?;
        let (source, mut request) = (&self.authorized.source, self.request);
        let token = token_for(&**source, &request.url).await?;
        let bond = RequestProof::of(&**source, &token, &request.method, &request.url)?;
        let proof = bond.map(|bond| bond.proof.header);
        Credentials::new(token.header(), proof).apply(&mut request.headers);
        let body = body.take().ok_or_else(|| {
            let why = "its body was sent before".to_owned();
            HttpError::new(&request.url, HttpErrorKind::Setup(why))
        })?;
        let url = request.url.clone();
        let answer = self.authorized.platform.http.upload(request, body).await?;
        if let Some(prover) = source.prover() {
            prover.store_nonce(&url, answer.headers());
        }
        Ok(Sent {
            token,
            challenge: Challenge::from_headers(answer.status(), answer.headers()),
            answer,
        })
    }

    /// Returns whether it could be made as the caller wanted it.
    fn whole(&self) -> Result<(), HttpError> {
        match &self.broken {
            Some(why) => {
                let cause = HttpErrorKind::Setup(why.clone());
                Err(HttpError::new(&self.request.url, cause))
            }
            None => Ok(()),
        }
    }

    async fn exchange<B, Fut>(
        self,
        exchange: impl Fn(Arc<dyn HttpClient>, Request) -> Fut,
    ) -> Result<http::Response<B>, Error>
    where
        Fut: Future<Output = Result<http::Response<B>, HttpError>>,
    {
        self.whole()?;
        let Self {
            authorized,
            request,
            ..
        } = self;
        authorized
            .send(&request.method, &request.url, |credentials| {
                let mut request = request.clone();
                credentials.apply(&mut request.headers);
                let answer = exchange(Arc::clone(&authorized.platform.http), request);
                async move { Ok(answer.await?) }
            })
            .await
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
