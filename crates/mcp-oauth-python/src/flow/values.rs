//! What Python passes to the steps of a login, and gets from them.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use mcp_client_oauth::{
    flow::{
        Challenge, Discovery, EndpointUrl, Issuer, Quirks, ResourceParameter, Scope, ServerMetadata,
    },
    platform::AddressSpace,
};
use pyo3::prelude::*;

use crate::errors::invalid;

/// The members of `compat.ProtectedResourceMetadata` and of `compat.MCPAuthorizationMetadata`.
#[derive(IntoPyObject)]
pub(super) struct Discovered {
    resource: String,
    authorization_servers: Vec<String>,
    issuer: String,
    authorization_endpoint: Option<String>,
    token_endpoint: String,
    registration_endpoint: Option<String>,
    revocation_endpoint: Option<String>,
    device_authorization_endpoint: Option<String>,
    /// The scopes that the resource lists, and those that the authorization server lists.
    resource_scopes: Vec<String>,
    server_scopes: Vec<String>,
    grant_types_supported: Vec<String>,
    code_challenge_methods_supported: Vec<String>,
}

impl From<&Discovery> for Discovered {
    fn from(discovery: &Discovery) -> Self {
        let server = &discovery.metadata;
        let text = |endpoint: &EndpointUrl| endpoint.as_url().to_string();
        let scopes = |scope: Option<&Scope>| {
            let text = scope.map(ToString::to_string).unwrap_or_default();
            text.split_whitespace().map(str::to_owned).collect()
        };
        Self {
            resource: discovery.resource.as_str().to_owned(),
            authorization_servers: vec![server.issuer.as_str().to_owned()],
            issuer: server.issuer.as_str().to_owned(),
            authorization_endpoint: server.authorization_endpoint.as_ref().map(text),
            token_endpoint: text(&server.token_endpoint),
            registration_endpoint: server.registration_endpoint.as_ref().map(text),
            revocation_endpoint: server.revocation_endpoint.as_ref().map(text),
            device_authorization_endpoint: server.device_authorization_endpoint.as_ref().map(text),
            resource_scopes: scopes(discovery.listed_scope.as_ref()),
            server_scopes: scopes(server.scopes_supported.as_ref()),
            grant_types_supported: server.grant_types_supported.clone().unwrap_or_default(),
            code_challenge_methods_supported: server
                .code_challenge_methods_supported
                .clone()
                .unwrap_or_default(),
        }
    }
}

/// Returns the URL of the resource metadata in the challenge of a response (RFC 9728 §5.1).
#[pyfunction]
pub(crate) fn resource_metadata_url(challenge: &str) -> PyResult<Option<String>> {
    let url = parse_challenge(challenge)?.resource_metadata;
    Ok(url)
}

pub(super) fn parse_challenge(text: &str) -> PyResult<Challenge> {
    let value = HeaderValue::from_str(text).map_err(|error| invalid("challenge", error))?;
    let headers = HeaderMap::from_iter([(header::WWW_AUTHENTICATE, value)]);
    Ok(Challenge::from_headers(StatusCode::UNAUTHORIZED, &headers).unwrap_or_default())
}

/// Returns the metadata of an authorization server with these endpoints. Its issuer is the origin of its token
/// endpoint.
pub(super) fn metadata(endpoints: &BTreeMap<String, Option<String>>) -> PyResult<ServerMetadata> {
    // The program has named them, as it names a server URL: they may be at any address.
    let endpoint = |name: &str| {
        let url = endpoints.get(name).cloned().flatten();
        let parse = |url: String| {
            EndpointUrl::parse(&url, AddressSpace::Loopback).map_err(|error| invalid(name, error))
        };
        url.map(parse).transpose()
    };
    let required = |name: &str| endpoint(name)?.ok_or_else(|| invalid(name, "it is missing"));
    let token = required("token_endpoint")?;
    let issuer = Issuer::from(token.as_url().origin().ascii_serialization());
    let mut metadata = ServerMetadata::manual(issuer, required("authorization_endpoint")?, token);
    metadata.registration_endpoint = endpoint("registration_endpoint")?;
    metadata.revocation_endpoint = endpoint("revocation_endpoint")?;
    Ok(metadata)
}

pub(super) fn quirks(
    extra_params: BTreeMap<String, String>,
    with_resource: bool,
) -> PyResult<Quirks> {
    let mut quirks = Quirks::default();
    for (name, value) in extra_params {
        let added = quirks.authorization_params.insert(name, value);
        added.map_err(|error| invalid("extra_auth_params", error))?;
    }
    if !with_resource {
        quirks.resource = Some(ResourceParameter::Omitted);
    }
    Ok(quirks)
}
