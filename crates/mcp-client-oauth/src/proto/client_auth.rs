//! How a client proves who it is at the token endpoint (RFC 6749 §2.3).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderValue, header};
use serde::{Deserialize, Serialize};
use url::form_urlencoded;
use zeroize::Zeroizing;

use super::endpoint::Endpoint;
use crate::{
    platform::{Reach, Request},
    secret::Secret,
};

/// A `token_endpoint_auth_method` that we can use (RFC 7591 §2).
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub enum AuthMethod {
    /// A public client: the client id alone.
    #[default]
    #[serde(rename = "none")]
    None,
    /// Id and secret in an `Authorization` header.
    #[serde(rename = "client_secret_basic")]
    Basic,
    /// Id and secret in the form.
    #[serde(rename = "client_secret_post")]
    Post,
}

impl AuthMethod {
    const ALL: [Self; 3] = [Self::Basic, Self::Post, Self::None];

    /// The registered name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Basic => "client_secret_basic",
            Self::Post => "client_secret_post",
        }
    }

    /// The method of that name, if we can use it.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.as_str() == name)
    }

    /// The method to use with a client that has or has no secret: the one that it was registered
    /// with, if the server still offers it, else the first that the server offers. The offer
    /// decides, not the presence of a secret (H97). Without an offer, RFC 8414 §2 says Basic.
    pub fn choose(registered: Option<Self>, offered: Option<&[String]>, has_secret: bool) -> Self {
        if !has_secret {
            return Self::None;
        }
        let offers = |method: Self| {
            offered.is_none_or(|offered| offered.iter().any(|name| name == method.as_str()))
        };
        registered
            .filter(|&method| offers(method))
            .or_else(|| Self::ALL.into_iter().find(|&method| offers(method)))
            .unwrap_or(Self::Basic)
    }

    /// The method to ask for when registering a native client: public, where that is possible.
    /// Servers that list no methods at all are asked for a public client too.
    pub fn to_register(offered: Option<&[String]>) -> Self {
        let offers = |method: Self| {
            offered.is_none_or(|offered| offered.iter().any(|name| name == method.as_str()))
        };
        [Self::None, Self::Basic, Self::Post]
            .into_iter()
            .find(|&m| offers(m))
            .unwrap_or_default()
    }
}

/// A client, as it presents itself at an endpoint.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClientAuth<'a> {
    /// The client id.
    pub client_id: &'a str,
    /// The secret of a confidential client.
    pub client_secret: Option<&'a Secret<String>>,
    /// Where they go.
    pub method: AuthMethod,
}

impl<'a> ClientAuth<'a> {
    /// A client of given parts; without a secret it is public, whatever the method.
    pub fn new(
        client_id: &'a str,
        client_secret: Option<&'a Secret<String>>,
        method: AuthMethod,
    ) -> Self {
        let method = if client_secret.is_some() {
            method
        } else {
            AuthMethod::None
        };
        Self {
            client_id,
            client_secret,
            method,
        }
    }

    /// A form with these fields to `endpoint`, authenticated.
    pub fn post(&self, endpoint: &Endpoint, reach: Reach, fields: &[(&str, &str)]) -> Request {
        let mut fields = fields.to_vec();
        let secret = self
            .client_secret
            .map_or("", |secret| secret.expose().as_str());
        match self.method {
            AuthMethod::None => fields.push(("client_id", self.client_id)),
            AuthMethod::Post => {
                fields.extend([("client_id", self.client_id), ("client_secret", secret)]);
            }
            AuthMethod::Basic => {}
        }
        let mut request = Request::form(endpoint.as_url().clone(), reach, &fields);
        if self.method == AuthMethod::Basic {
            request
                .headers
                .extend(basic(self.client_id, secret).map(|v| (header::AUTHORIZATION, v)));
        }
        request
    }
}

/// `Basic` with id and secret form-encoded first (RFC 6749 §2.3.1, H96).
fn basic(client_id: &str, secret: &str) -> Option<HeaderValue> {
    let encode =
        |text: &str| -> String { form_urlencoded::byte_serialize(text.as_bytes()).collect() };
    let pair = Zeroizing::new(format!(
        "{}:{}",
        encode(client_id),
        *Zeroizing::new(encode(secret))
    ));
    let text = Zeroizing::new(format!(
        "Basic {}",
        *Zeroizing::new(STANDARD.encode(pair.as_bytes()))
    ));
    let bytes = Bytes::from_owner(Zeroizing::new(text.as_bytes().to_vec()));
    let mut value = HeaderValue::from_maybe_shared(bytes).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_is_form_encoded_first() {
        let value = basic("id:1", "p@ss wörd%:").unwrap();
        let pair = STANDARD
            .decode(value.to_str().unwrap().strip_prefix("Basic ").unwrap())
            .unwrap();
        assert_eq!(
            String::from_utf8(pair).unwrap(),
            "id%3A1:p%40ss+w%C3%B6rd%25%3A"
        );
        assert!(value.is_sensitive());
    }

    #[test]
    fn the_offer_decides_and_not_the_presence_of_a_secret() {
        let offer =
            |names: &[&str]| -> Vec<String> { names.iter().map(ToString::to_string).collect() };
        for (registered, offered, has_secret, expected) in [
            (None, None, false, AuthMethod::None),
            (None, None, true, AuthMethod::Basic),
            (Some(AuthMethod::Post), None, true, AuthMethod::Post),
            (None, Some(offer(&["none"])), true, AuthMethod::None),
            (
                None,
                Some(offer(&["client_secret_post"])),
                true,
                AuthMethod::Post,
            ),
            (
                Some(AuthMethod::Basic),
                Some(offer(&["client_secret_post"])),
                true,
                AuthMethod::Post,
            ),
            (
                Some(AuthMethod::Post),
                Some(offer(&["client_secret_basic", "client_secret_post"])),
                true,
                AuthMethod::Post,
            ),
            (
                Some(AuthMethod::Basic),
                Some(offer(&["none"])),
                false,
                AuthMethod::None,
            ),
            (
                None,
                Some(offer(&["private_key_jwt"])),
                true,
                AuthMethod::Basic,
            ),
        ] {
            assert_eq!(
                AuthMethod::choose(registered, offered.as_deref(), has_secret),
                expected
            );
        }
    }

    #[test]
    fn a_secret_travels_in_one_place_only() {
        let endpoint = Endpoint::parse("https://as/token", Reach::Public).unwrap();
        let secret = Secret::new("planted".to_owned());
        let send = |method| {
            ClientAuth::new("c", Some(&secret), method).post(
                &endpoint,
                Reach::Public,
                &[("a", "b")],
            )
        };
        assert_eq!(&send(AuthMethod::None).body[..], b"a=b&client_id=c");
        assert_eq!(
            &send(AuthMethod::Post).body[..],
            b"a=b&client_id=c&client_secret=planted"
        );
        let basic = send(AuthMethod::Basic);
        assert_eq!(&basic.body[..], b"a=b");
        assert!(basic.headers.contains_key(header::AUTHORIZATION));
        assert!(!format!("{basic:?}").contains("planted"));
    }
}
