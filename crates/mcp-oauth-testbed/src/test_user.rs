//! The person and the browser, over HTTP: opens the authorization URL, reads the consent page,
//! presses a button, and follows the redirect to the application's callback.
//!
//! ```no_run
//! use mcp_oauth_testbed::person;
//!
//! # async fn login(authorization_url: url::Url) -> Result<(), person::TestUserError> {
//! let callback = person::approve(&authorization_url).await?;
//! assert_eq!(callback.status, 200);
//! # Ok(())
//! # }
//! ```

use http::{HeaderMap, Method, header};
use url::Url;

/// Holds what the person presses.
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

/// Holds what the browser shows in the end.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Visit {
    /// The URL that was fetched.
    pub url: Url,
    /// The status of the answer.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: String,
}

/// Says why the person got no further.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TestUserError {
    /// A page could not be fetched.
    #[error("the browser cannot fetch {url}")]
    Fetch {
        /// The page.
        url: Url,
        /// Says why.
        #[source]
        source: reqwest::Error,
    },
    /// The page is no consent page: it says something else, such as an error.
    #[error("{url} shows no consent form, but with status {status}: {body}")]
    NoForm {
        /// The page.
        url: Url,
        /// Its status.
        status: u16,
        /// Holds what it says.
        body: String,
    },
    /// The decision was taken, but leads nowhere.
    #[error("the decision led to no redirect, but to status {status}: {body}")]
    NoRedirect {
        /// The status of the answer.
        status: u16,
        /// Holds what it says.
        body: String,
    },
    /// The way back is for an application to take, not for a browser: use [`decide`].
    #[error("the callback {0} is not http")]
    NotHttp(Url),
}

/// Approves, and fetches the callback.
pub async fn approve(authorization_url: &Url) -> Result<Visit, TestUserError> {
    follow(decide(authorization_url, Decision::Approve).await?).await
}

/// Denies, and fetches the callback.
pub async fn deny(authorization_url: &Url) -> Result<Visit, TestUserError> {
    follow(decide(authorization_url, Decision::Deny).await?).await
}

/// Decides, and returns where the browser would go next, without going there.
///
/// If the server does not ask, but sends the browser back at once (with an error), that is where.
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

/// Enters the code that a device shows at its `verification_uri` (RFC 8628 §3.3), and approves. A
/// `verification_uri_complete` has the code already. Returns the last page.
pub async fn approve_device(uri: &Url, user_code: &str) -> Result<Visit, TestUserError> {
    decide_device(uri, user_code, Decision::Approve).await
}

/// Enters the code that a device shows, and denies.
pub async fn deny_device(uri: &Url, user_code: &str) -> Result<Visit, TestUserError> {
    decide_device(uri, user_code, Decision::Deny).await
}

/// Returns the page that has a ticket asks for the decision; one without asks for the code.
async fn decide_device(
    uri: &Url,
    user_code: &str,
    decision: Decision,
) -> Result<Visit, TestUserError> {
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

/// Fetches a page, following nothing.
pub async fn visit(url: &Url) -> Result<Visit, TestUserError> {
    fetch(Method::GET, url, None).await
}

async fn follow(target: Url) -> Result<Visit, TestUserError> {
    if target.scheme() != "http" {
        return Err(TestUserError::NotHttp(target));
    }
    visit(&target).await
}

async fn fetch(method: Method, url: &Url, form: Option<String>) -> Result<Visit, TestUserError> {
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
    Ok(Visit {
        url: url.clone(),
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        body: response.text().await.map_err(failed)?,
    })
}

impl Visit {
    /// Returns where the answer redirects to.
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

/// Returns where the first form of a page posts to, and its hidden fields.
fn form(page: &Visit) -> Option<(Url, Vec<(String, String)>)> {
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

/// Returns the ampersand last, so that `&amp;lt;` stays `&lt;`.
fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&amp;", "&")
}
