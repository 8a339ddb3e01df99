//! One metadata document, over at most three redirects within its own origin (RFC 9728 §3.2, RFC 9110
//! §10.2.2).

use std::{
    net::IpAddr,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, header};
use mcp_oauth_support::UntrustedText;
use url::Url;

use crate::{
    error::{DiscoveryError, Error},
    platform::{AddressSpace, Platform, Request, Response},
    proto::{cache_control, endpoint::LONGEST_URL},
};

/// The number of redirects that are followed.
const REDIRECTS: usize = 3;
/// The number of documents that one discovery may request (docs/hostile.md H10, H130).
const DOCUMENTS: usize = 16;

/// Counts the documents that one discovery has requested.
#[derive(Default)]
pub(super) struct Budget(AtomicUsize);

impl Budget {
    /// Counts one more document, and returns whether the limit allows it.
    pub(super) fn spend(&self) -> bool {
        self.0.fetch_add(1, Ordering::Relaxed) < DOCUMENTS
    }
}

/// Holds the response from a URL where metadata may be.
#[derive(Clone)]
pub(super) struct Fetched {
    /// The URL that was requested.
    pub(super) requested: Url,
    pub(super) status: u16,
    /// Says whether it was a web page: some servers respond to every unknown path with one, and 200.
    pub(super) html: bool,
    pub(super) remote: Option<IpAddr>,
    /// The target of a redirect to another origin, which was not followed.
    pub(super) redirect: Option<UntrustedText>,
    pub(super) document: Option<Document>,
}

/// A document, before it is parsed.
#[derive(Clone)]
pub(super) struct Document {
    /// Its URL, after redirects.
    pub(super) url: Url,
    pub(super) body: Bytes,
    /// The time for which it may be used again.
    pub(super) lifetime: Duration,
}

/// Requests the document at `url`.
pub(super) async fn fetch(
    platform: &Platform,
    url: Url,
    address_space: AddressSpace,
) -> Result<Fetched, Error> {
    let mut at = url.clone();
    for _ in 0..=REDIRECTS {
        let mut request = Request::metadata(at.clone(), address_space);
        // A 2025-03-26 server may require it (MCP authorization 2025-03-26, Server Metadata Discovery
        // Headers); others ignore it.
        request.headers.insert(
            "mcp-protocol-version",
            HeaderValue::from_static("2025-03-26"),
        );
        let response = platform.http.send(request).await?;
        if !response.status.is_redirection() {
            return Ok(fetched(url, at, &response));
        }
        match target(&at, &response)? {
            Target::SameOrigin(to) => at = to,
            Target::OtherOrigin(to) => {
                return Ok(Fetched {
                    redirect: Some(UntrustedText::new(to.as_str())),
                    ..fetched(url, at, &response)
                });
            }
        }
    }
    Err(refused(&at, "").into())
}

fn fetched(requested: Url, at: Url, response: &Response) -> Fetched {
    let html = response.body.trim_ascii_start().starts_with(b"<");
    let is_document = response.status.is_success() && !html;
    Fetched {
        requested,
        status: response.status.as_u16(),
        html,
        remote: response.remote,
        redirect: None,
        document: is_document.then(|| Document {
            url: at,
            body: response.body.clone(),
            lifetime: cache_control::lifetime(&response.headers),
        }),
    }
}

/// The target of a redirect.
enum Target {
    SameOrigin(Url),
    /// Never followed: the document would be of another server.
    OtherOrigin(Url),
}

/// Parses the target of a redirect. One that is too long is refused.
fn target(from: &Url, response: &Response) -> Result<Target, DiscoveryError> {
    let location = response.header(header::LOCATION).unwrap_or_default();
    let to = from.join(location).map_err(|_| refused(from, location))?;
    // The target is shown in errors, and no metadata URL needs to be longer.
    let too_long = to.as_str().len() > LONGEST_URL;
    if location.is_empty() || too_long {
        return Err(refused(from, location));
    }
    Ok(if to.origin() == from.origin() {
        Target::SameOrigin(to)
    } else {
        Target::OtherOrigin(to)
    })
}

pub(super) fn refused(from: &Url, location: &str) -> DiscoveryError {
    DiscoveryError::Redirect {
        url: from.clone(),
        location: UntrustedText::new(location),
        most: REDIRECTS,
    }
}
