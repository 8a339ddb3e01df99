//! A scripted browser: it keeps cookies, follows redirects, and submits each form.

use std::collections::BTreeMap;

use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder, Response, header};
use serde::Deserialize;
use serde_json::{Map, Value};
use url::Url;

/// The `User-Agent`, which distinguishes its requests from those of the client.
pub const USER_AGENT: &str = "scripted-browser";

/// The largest number of pages; a login has fewer.
const PAGES: usize = 20;

/// The user's decision on the consent page.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Decision {
    /// Approves.
    Approve,
    /// Denies, if the page has a button for it.
    Deny,
}

/// The values to enter into the forms of a server. Hidden fields are sent unchanged.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Consent {
    /// Fields by their names.
    #[serde(default)]
    pub fill: Map<String, Value>,
    /// The button that approves.
    pub approve: Map<String, Value>,
    /// The button that denies.
    #[serde(default)]
    pub deny: Option<Map<String, Value>>,
}

/// A browser, and its cookies.
#[derive(Debug)]
pub struct FormBrowser {
    http: Client,
    cookies: BTreeMap<String, String>,
}

impl Default for FormBrowser {
    fn default() -> Self {
        let http = Client::builder().redirect(Policy::none()).no_proxy();
        Self {
            http: http.user_agent(USER_AGENT).build().unwrap(),
            cookies: BTreeMap::new(),
        }
    }
}

impl FormBrowser {
    /// Opens `start` and submits forms until a page has none; without a `consent`, submits none. Returns the
    /// paths of the pages, and fails with the last page if that is an error.
    pub async fn walk(
        &mut self,
        start: Url,
        consent: Option<&Consent>,
        decision: Decision,
    ) -> Result<Vec<String>, String> {
        let mut next = (Method::GET, start, Vec::new());
        let mut shown = Vec::new();
        for _ in 0..PAGES {
            let (method, url, form) = next;
            let page = self.send(method, &url, &form).await?;
            if let Some(to) = page.headers().get(header::LOCATION) {
                let to = to.to_str().map_err(|error| error.to_string())?;
                let to = url.join(to).map_err(|error| error.to_string())?;
                next = (Method::GET, to, Vec::new());
                continue;
            }
            shown.push(url.path().to_owned());
            let status = page.status();
            let html = page.text().await.map_err(|error| error.to_string())?;
            if let (Some(form), Some(consent)) = (Form::of(&html), consent) {
                next = form.submit(&url, consent, decision);
            } else if status.is_client_error() || status.is_server_error() {
                return Err(format!("{url}: {status}: {html}"));
            } else {
                return Ok(shown);
            }
        }
        Err("too many pages".to_owned())
    }

    async fn send(
        &mut self,
        method: Method,
        url: &Url,
        form: &[(String, String)],
    ) -> Result<Response, String> {
        let request = self.http.request(method.clone(), url.clone());
        let mut request = self.with_cookies(request.header(header::ACCEPT, "text/html"));
        if method == Method::POST {
            let body = url::form_urlencoded::Serializer::new(String::new())
                .extend_pairs(form)
                .finish();
            // Frameworks check the origin to reject forged requests.
            request = request
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .header(header::ORIGIN, url.origin().ascii_serialization())
                .body(body);
        }
        let page = request.send().await.map_err(|error| error.to_string())?;
        for cookie in page.headers().get_all(header::SET_COOKIE) {
            let pair = cookie.to_str().unwrap_or_default().split(';').next();
            if let Some((name, value)) = pair.and_then(|pair| pair.split_once('=')) {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        Ok(page)
    }

    fn with_cookies(&self, request: RequestBuilder) -> RequestBuilder {
        let pairs = self.cookies.iter();
        let pairs: Vec<_> = pairs
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        if pairs.is_empty() {
            return request;
        }
        request.header(header::COOKIE, pairs.join("; "))
    }
}

/// The first form of a page.
struct Form {
    action: String,
    method: Method,
    /// Names and values of the inputs and of the buttons.
    fields: Vec<(String, String)>,
    buttons: Vec<(String, String)>,
}

impl Form {
    fn of(html: &str) -> Option<Self> {
        let (_, form) = html.split_once("<form")?;
        let form = form.split("</form").next()?;
        let (tag, content) = form.split_once('>')?;
        let named = |element: &str| {
            let tags = content.split(element).skip(1);
            let tags = tags.filter_map(|rest| rest.split_once('>').map(|(tag, _)| tag));
            tags.filter_map(|tag| {
                let value = attribute(tag, "value").unwrap_or_default();
                Some((attribute(tag, "name")?, value))
            })
            .collect::<Vec<_>>()
        };
        let post =
            attribute(tag, "method").is_some_and(|method| method.eq_ignore_ascii_case("post"));
        Some(Self {
            action: attribute(tag, "action").unwrap_or_default(),
            method: if post { Method::POST } else { Method::GET },
            fields: named("<input"),
            buttons: named("<button"),
        })
    }

    fn submit(
        self,
        page: &Url,
        consent: &Consent,
        decision: Decision,
    ) -> (Method, Url, Vec<(String, String)>) {
        let pressed = match (decision, &consent.deny) {
            (Decision::Deny, Some(deny)) => deny,
            _ => &consent.approve,
        };
        let mut fields = self.fields;
        let has =
            |name: &str, fields: &[(String, String)]| fields.iter().any(|(key, _)| key == name);
        // A page without the button comes before the consent page: its only button is pressed.
        let known: Map<String, Value> = pressed
            .iter()
            .filter(|(name, _)| has(name, &self.buttons) || has(name, &fields))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        for (name, value) in consent.fill.iter().chain(&known) {
            let value = value.as_str().unwrap_or_default().to_owned();
            if has(name, &fields) {
                fields.retain(|(key, _)| key != name);
                fields.push((name.clone(), value));
            } else if has(name, &self.buttons) {
                fields.push((name.clone(), value));
            }
        }
        let mut url = page.join(&self.action).unwrap();
        if self.method == Method::GET {
            url.query_pairs_mut().clear().extend_pairs(&fields);
        }
        (self.method, url, fields)
    }
}

/// Returns an attribute of a tag, with its character references resolved.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let quoted = ['"', '\''].into_iter().find_map(|quote| {
        let start = format!("{name}={quote}");
        let at = tag.match_indices(&start).find(|(at, _)| {
            tag[..*at]
                .chars()
                .next_back()
                .is_none_or(char::is_whitespace)
        })?;
        tag[at.0 + start.len()..]
            .split_once(quote)
            .map(|(value, _)| value)
    })?;
    let plain = quoted
        .replace("&quot;", "\"")
        .replace("&#34;", "\"")
        .replace("&#39;", "'");
    let plain = plain
        .replace("&#x27;", "'")
        .replace("&#x2F;", "/")
        .replace("&#x3D;", "=");
    Some(
        plain
            .replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&amp;", "&"),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_form_is_submitted_with_its_hidden_fields_and_the_button_that_was_pressed() {
        let html = r#"<p><form method="post" action="/consent?a=1&amp;b=2"><input type="hidden"
        name="request" value="x&quot;y"><input name='user'><button name="decision" value="allow">
            Allow</button><button name="decision" value="deny">Deny</button></form>"#;
        let consent = json!({"fill": {"user": "me", "other": "no"},
            "approve": {"decision": "allow"}, "deny": {"decision": "deny"}});
        let consent = serde_json::from_value(consent).unwrap();
        let page = "http://127.0.0.1:1/authorize".parse().unwrap();
        let form = Form::of(html).unwrap();
        let (method, url, fields) = form.submit(&page, &consent, Decision::Deny);
        assert_eq!(
            (method, url.as_str()),
            (Method::POST, "http://127.0.0.1:1/consent?a=1&b=2")
        );
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(
            fields,
            [("request", "x\"y"), ("user", "me"), ("decision", "deny")]
        );
    }
}
