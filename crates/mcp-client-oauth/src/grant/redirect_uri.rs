//! The redirect URI, and the listener behind it.

use url::Url;

use super::loopback::Listener;
use crate::{
    client_registration::RegisteredClient, error::AuthorizationError, server_url::is_loopback,
};

/// The path of the loopback redirect URI, unless another is requested.
const PATH: &str = "/callback";

/// The requested redirect URI.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub(crate) enum RedirectTarget {
    /// `http://127.0.0.1:PORT/callback` (RFC 8252 §7.3), with the port that was registered before if it is
    /// free, else one that the operating system selects.
    #[default]
    AnyPort,
    /// The same with this port.
    Port(u16),
    /// Any redirect URI. One on loopback with a port is listened to; a response to any other
    /// (`https`, `com.example.app:/callback`) comes from
    /// [`Interaction::callback`](crate::platform::Interaction::callback).
    Uri(Url),
}

impl RedirectTarget {
    /// Returns the redirect URI of a login that ends in another request, which nothing listens to here.
    ///
    /// # Errors
    /// [`AuthorizationError::RedirectUriRequired`], [`AuthorizationError::RedirectUri`].
    pub(crate) fn of_application(&self) -> Result<&Url, AuthorizationError> {
        match self {
            Self::Uri(uri) => check(uri).map(|()| uri),
            Self::AnyPort | Self::Port(_) => Err(AuthorizationError::RedirectUriRequired),
        }
    }
}

/// Waits for the browser at the redirect URI: bound before any URL is built, so that no other process
/// can take the port (RFC 8252 §8.3).
#[derive(Debug)]
pub(crate) struct CallbackReceiver {
    uri: Url,
    pub(super) listener: Option<Listener>,
}

impl CallbackReceiver {
    /// Binds the port. The port of the `known` registration is used again if it is free.
    ///
    /// # Errors
    /// [`AuthorizationError::PortBusy`] for a requested port, and [`AuthorizationError::RedirectUri`]
    /// for a URI that no browser can be redirected to.
    pub(crate) fn bind(
        redirect: &RedirectTarget,
        known: Option<&RegisteredClient>,
    ) -> Result<Self, AuthorizationError> {
        match redirect {
            RedirectTarget::AnyPort => Self::any_port(known),
            RedirectTarget::Port(port) => Self::listen("127.0.0.1", *port, PATH),
            RedirectTarget::Uri(uri) => Self::at(uri),
        }
    }

    /// Returns the redirect URI to register and to send.
    pub(crate) fn uri(&self) -> &Url {
        &self.uri
    }

    fn any_port(known: Option<&RegisteredClient>) -> Result<Self, AuthorizationError> {
        let registered = known.and_then(|known| known.redirect_uri.as_ref());
        let before = registered
            .filter(|uri| is_loopback(uri))
            .and_then(Url::port);
        before
            .and_then(|port| Self::listen("127.0.0.1", port, PATH).ok())
            .map_or_else(|| Self::listen("127.0.0.1", 0, PATH), Ok)
    }

    fn at(uri: &Url) -> Result<Self, AuthorizationError> {
        check(uri)?;
        if uri.scheme() == "http" {
            let host = uri.host_str().unwrap_or_default();
            let mut receiver = Self::listen(host, uri.port().unwrap_or(80), uri.path())?;
            receiver.uri.set_query(uri.query());
            return Ok(receiver);
        }
        Ok(Self {
            uri: uri.clone(),
            listener: None,
        })
    }

    fn listen(host: &str, port: u16, path: &str) -> Result<Self, AuthorizationError> {
        let listener = Listener::bind(host, port, path)?;
        let text = format!("http://{host}:{}{path}", listener.port());
        let uri = Url::parse(&text).map_err(|_| AuthorizationError::PortBusy(port))?;
        Ok(Self {
            uri,
            listener: Some(listener),
        })
    }
}

/// Checks that a browser can be redirected to `uri`: http on loopback, https, or a custom scheme.
fn check(uri: &Url) -> Result<(), AuthorizationError> {
    let is_plain =
        uri.fragment().is_none() && uri.username().is_empty() && uri.password().is_none();
    let is_allowed = match uri.scheme() {
        "http" => is_loopback(uri),
        "javascript" | "data" | "vbscript" | "file" => false,
        _ => true,
    };
    if is_plain && is_allowed {
        return Ok(());
    }
    Err(AuthorizationError::RedirectUri(uri.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_uris_that_a_browser_can_be_redirected_to_are_accepted() {
        for good in [
            "https://app.example/cb",
            "com.example.app:/callback",
            "http://127.0.0.1:0/cb",
        ] {
            assert!(
                CallbackReceiver::bind(&RedirectTarget::Uri(good.parse().unwrap()), None).is_ok(),
                "{good}"
            );
        }
        for bad in [
            "http://app.example/cb",
            "javascript:x",
            "https://u@app.example/",
            "https://app.example/#f",
        ] {
            assert!(
                CallbackReceiver::bind(&RedirectTarget::Uri(bad.parse().unwrap()), None).is_err(),
                "{bad}"
            );
        }
    }

    #[tokio::test]
    async fn a_busy_port_is_an_error_only_if_it_was_requested() {
        let first = CallbackReceiver::bind(&RedirectTarget::AnyPort, None).unwrap();
        let port = first.uri().port().unwrap();
        let error = CallbackReceiver::bind(&RedirectTarget::Port(port), None).unwrap_err();
        assert!(matches!(error, AuthorizationError::PortBusy(busy) if busy == port));
        let second = CallbackReceiver::bind(&RedirectTarget::AnyPort, None).unwrap();
        assert_ne!(second.uri(), first.uri());
    }
}
