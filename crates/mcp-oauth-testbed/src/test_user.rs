//! The user and the browser, over HTTP: opens the authorization URL, reads the consent page, presses a
//! button, and follows the redirect to the application's callback.
//!
//! ```no_run
//! use mcp_oauth_testbed::test_user;
//!
//! # async fn login(authorization_url: url::Url) -> Result<(), test_user::TestUserError> {
//! let callback = test_user::approve(&authorization_url).await?;
//! assert_eq!(callback.status, 200);
//! # Ok(())
//! # }
//! ```

use http::{HeaderMap, Method, header};
use url::Url;

/// The button that the user presses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Decision {
    /// The button "Approve".
    Approve,
    /// The button "Deny".
    Deny,
}

impl Decision {
    fn value(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Deny => "deny",
        }
    }
}

/// A page that the browser fetched.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Page {
    /// The URL that was fetched.
    pub url: Url,
    /// The status of the response.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: String,
}

/// The reason why the test user could not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TestUserError {
    /// A page could not be fetched.
    #[error("the browser cannot fetch {url}")]
    Fetch {
        /// The page.
        url: Url,
        /// The cause.
        #[source]
        source: reqwest::Error,
    },
    /// The page has no consent form, such as an error page.
    #[error("{url} has no consent form; status {status}: {body}")]
    NoForm {
        /// The page.
        url: Url,
        /// Its status.
        status: u16,
        /// Its body.
        body: String,
    },
    /// The response to the decision is no redirect.
    #[error("the response to the decision is no redirect; status {status}: {body}")]
    NoRedirect {
        /// The status of the response.
        status: u16,
        /// The body of the response.
        body: String,
    },
    /// The callback belongs to an application and cannot be fetched: use [`decide`].
    #[error("the callback {0} is not http")]
    NotHttp(Url),
}

/// Approves, and fetches the callback.
pub async fn approve(authorization_url: &Url) -> Result<Page, TestUserError> {
    follow(decide(authorization_url, Decision::Approve).await?).await
}

/// Denies, and fetches the callback.
pub async fn deny(authorization_url: &Url) -> Result<Page, TestUserError> {
    follow(decide(authorization_url, Decision::Deny).await?).await
}

/// Decides, and returns the URL of the redirect without following it.
///
/// If the server redirects at once (with an error) instead of showing a page, returns that URL.
pub async fn decide(authorization_url: &Url, decision: Decision) -> Result<Url, TestUserError> {
    let page = visit(authorization_url).await?;
    if let Some(target) = page.redirect() {
        return Ok(target);
    }
    let Some((action, mut fields)) = form(&page) else {
        return Err(page.without_form());
    };
    fields.push(("decision".to_owned(), decision.value().to_owned()));
    let response = fetch(Method::POST, &action, Some(encoded(&fields))).await?;
    response.redirect().ok_or(TestUserError::NoRedirect {
        status: response.status,
        body: response.body,
    })
}

/// Enters the code of a device at its `verification_uri` (RFC 8628 §3.3), and approves. A
/// `verification_uri_complete` contains the code. Returns the last page.
pub async fn approve_device(uri: &Url, user_code: &str) -> Result<Page, TestUserError> {
    decide_device(uri, user_code, Decision::Approve).await
}

/// Enters the code of a device, and denies.
pub async fn deny_device(uri: &Url, user_code: &str) -> Result<Page, TestUserError> {
    decide_device(uri, user_code, Decision::Deny).await
}

/// Enters the code if the page requests it, and decides. A page with a ticket requests the decision; one
/// without requests the code.
async fn decide_device(
    uri: &Url,
    user_code: &str,
    decision: Decision,
) -> Result<Page, TestUserError> {
    let has_ticket = |fields: &[(String, String)]| fields.iter().any(|(name, _)| name == "ticket");
    let mut page = visit(uri).await?;
    let entry = form(&page).filter(|(_, fields)| !has_ticket(fields));
    if let Some((action, mut fields)) = entry {
        fields.push(("user_code".to_owned(), user_code.to_owned()));
        page = fetch(Method::POST, &action, Some(encoded(&fields))).await?;
    }
    let question = form(&page).filter(|(_, fields)| has_ticket(fields));
    let Some((action, mut fields)) = question else {
        return Err(page.without_form());
    };
    fields.push(("decision".to_owned(), decision.value().to_owned()));
    fetch(Method::POST, &action, Some(encoded(&fields))).await
}

/// Fetches a page, and follows no redirect.
pub async fn visit(url: &Url) -> Result<Page, TestUserError> {
    fetch(Method::GET, url, None).await
}

async fn follow(target: Url) -> Result<Page, TestUserError> {
    if target.scheme() != "http" {
        return Err(TestUserError::NotHttp(target));
    }
    visit(&target).await
}

async fn fetch(method: Method, url: &Url, form: Option<String>) -> Result<Page, TestUserError> {
    let failed = |source| TestUserError::Fetch {
        url: url.clone(),
        source,
    };
    let browser = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .map_err(failed)?;
    let mut request = browser
        .request(method, url.clone())
        .header(header::ACCEPT, "text/html, */*");
    if let Some(form) = form {
        request = request
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form);
    }
    let response = request.send().await.map_err(failed)?;
    Ok(Page {
        url: url.clone(),
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        body: response.text().await.map_err(failed)?,
    })
}

impl Page {
    /// Returns the target of the redirect, if it is one.
    pub fn redirect(&self) -> Option<Url> {
        if !(300..400).contains(&self.status) {
            return None;
        }
        let location = self.headers.get(header::LOCATION)?.to_str().ok()?;
        self.url.join(location).ok()
    }

    fn without_form(self) -> TestUserError {
        TestUserError::NoForm {
            url: self.url,
            status: self.status,
            body: self.body,
        }
    }
}

fn encoded(fields: &[(String, String)]) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish()
}

/// Returns the action URL of the first form of a page, and its fields with a value.
fn form(page: &Page) -> Option<(Url, Vec<(String, String)>)> {
    let (_, rest) = page.body.split_once("<form")?;
    let (form, _) = rest.split_once("</form>")?;
    let (attributes, inside) = form.split_once('>')?;
    let action = page.url.join(&attribute(attributes, "action")?).ok()?;
    let fields = inside
        .split("<input")
        .skip(1)
        .filter_map(|input| input.split_once('>').map(|(attributes, _)| attributes))
        .filter_map(|input| Some((attribute(input, "name")?, attribute(input, "value")?)))
        .collect();
    Some((action, fields))
}

fn attribute(attributes: &str, name: &str) -> Option<String> {
    let (_, rest) = attributes.split_once(&format!(" {name}=\""))?;
    let (value, _) = rest.split_once('"')?;
    Some(unescaped(value))
}

/// Decodes character references, the ampersand last, so that `&amp;lt;` becomes `&lt;`.
fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&amp;", "&")
}
