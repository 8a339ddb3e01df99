//! A scripted browser, which keeps cookies by their path.

use std::collections::BTreeMap;

use axum_extra::extract::cookie::Cookie;
use http::header;
use mcp_client_oauth::Secret;
use mcp_oauth_testbed::test_user::{Decision, decide};
use reqwest::{RequestBuilder, Response, redirect::Policy};
use url::Url;

/// A browser of one user.
pub(super) struct Visitor {
    http: reqwest::Client,
    app: Url,
    pub(super) cookies: BTreeMap<String, Cookie<'static>>,
}

impl Visitor {
    pub(super) fn new(app: &Url) -> Self {
        let http = reqwest::Client::builder().redirect(Policy::none());
        Self {
            http: http.no_proxy().build().unwrap(),
            app: app.clone(),
            cookies: BTreeMap::new(),
        }
    }

    /// Returns the browser of a user who has signed in.
    pub(super) async fn signed_in(app: &Url, user: &str) -> Self {
        let mut visitor = Self::new(app);
        assert_eq!(
            visitor.post("/sign-in", &[("user", user)]).await.status(),
            303
        );
        visitor
    }

    pub(super) async fn get(&mut self, url: &Url) -> Response {
        self.send(self.http.get(url.clone()), url).await
    }

    /// Submits a form of the application.
    pub(super) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Response {
        let origin = self.app.origin().ascii_serialization();
        self.post_from(Some(&origin), path, fields).await
    }

    /// Submits a form from a page with another origin, or from a client that sends none.
    pub(super) async fn post_from(
        &mut self,
        origin: Option<&str>,
        path: &str,
        fields: &[(&str, &str)],
    ) -> Response {
        let url = self.app.join(path).unwrap();
        let mut body = url::form_urlencoded::Serializer::new(String::new());
        let body = body.extend_pairs(fields).finish();
        let mut request = self.http.post(url.clone()).body(body);
        request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        if let Some(origin) = origin {
            request = request.header(header::ORIGIN, origin);
        }
        self.send(request, &url).await
    }

    async fn send(&mut self, request: RequestBuilder, url: &Url) -> Response {
        let cookies = self.cookies.values();
        let sent = cookies.filter(|cookie| url.path().starts_with(cookie.path().unwrap()));
        let pairs: Vec<_> = sent.map(|cookie| cookie.stripped().to_string()).collect();
        let request = request.header(header::COOKIE, pairs.join("; "));
        let response = request.send().await.unwrap();
        for cookie in response.headers().get_all(header::SET_COOKIE) {
            let cookie = Cookie::parse(cookie.to_str().unwrap().to_owned()).unwrap();
            self.cookies.insert(cookie.name().to_owned(), cookie);
        }
        response
    }

    /// Begins a login, and returns the URL that the browser is redirected to.
    pub(super) async fn connect(&mut self) -> Url {
        location(&self.post("/servers/notes/connect", &[]).await, &self.app)
    }

    /// Begins a login, decides, and returns the callback, which is not opened yet.
    pub(super) async fn callback(&mut self, decision: Decision) -> Url {
        decide(&self.connect().await, decision).await.unwrap()
    }

    /// Opens a page, and returns the path that it redirects to.
    pub(super) async fn redirect(&mut self, url: &Url) -> String {
        let response = self.get(url).await;
        location(&response, &self.app).path().to_owned()
    }

    /// Returns the secret of the pending login.
    pub(super) fn secret(&self) -> Secret<String> {
        Secret::new(self.cookies["login"].value().to_owned())
    }
}

/// Returns the target of a redirect.
pub(super) fn location(response: &Response, base: &Url) -> Url {
    assert_eq!(response.status(), 303);
    let location = response.headers()[header::LOCATION].to_str().unwrap();
    base.join(location).unwrap()
}
