//! The JWT bearer grant (RFC 7523 §2.1): the assertion of a workload issuer, or of an identity provider
//! for a user (ID-JAG, draft-ietf-oauth-identity-assertion-authz-grant).

use http::{HeaderMap, header};

use super::client_auth;
use super::grants::{JWT_BEARER, permit};
use super::parameters::Parameters;
use super::refusal::{Refusal, invalid_grant};
use super::resource::select_resource;
use super::scope::{narrow_scopes, parse_scopes};
use crate::faults::Fault;
use crate::jose::jwt::Jwt;
use crate::state::TestbedState;
use crate::state::token_store::tokens::{ApprovedGrant, Issued};

/// The `typ` of an ID-JAG.
pub(super) const ID_JAG: &str = "oauth-id-jag+jwt";

/// Issues an access token. The `typ` of the assertion selects the kind; the signature proves its issuer.
pub(super) fn issue(
    state: &TestbedState,
    headers: &HeaderMap,
    form: &Parameters,
    key: Option<String>,
) -> Result<Issued, Refusal> {
    let forced = state.faults().find(|fault| match fault {
        Fault::AssertionRefused(error) => Some(error.clone()),
        _ => None,
    });
    if let Some(error) = forced {
        return Err(Refusal::forced(error));
    }
    let jwt = Jwt::parse(form.require("assertion")?)
        .ok_or_else(|| invalid_grant("the assertion is not a JWT"))?;
    let (mut granted, resource) = if jwt.header("typ") == Some(ID_JAG) {
        enterprise(state, headers, form, &jwt)?
    } else {
        workload(state, headers, form, &jwt)?
    };
    granted.key = key;
    let now = state.now();
    let (_, issued) =
        state
            .token_store()
            .tokens
            .create_family(granted, resource, &state.settings, now);
    Ok(issued)
}

/// Checks the assertion of a workload. A workload needs no registration (SEP-1933). Its JWT may be used
/// again until it expires, since the platform decides when to renew it.
fn workload(
    state: &TestbedState,
    headers: &HeaderMap,
    form: &Parameters,
    jwt: &Jwt,
) -> Result<(ApprovedGrant, String), Refusal> {
    let issuer = state.settings.workload_issuer.as_deref();
    if !jwt.is_signed_by(state.identities.workloads()) || jwt.claim("iss") != issuer {
        return Err(invalid_grant("the issuer of the assertion is not trusted"));
    }
    let token_endpoint = format!("{}/token", state.origins.authorization);
    if !jwt.is_for(&state.issuer()) && !jwt.is_for(&token_endpoint) {
        return Err(invalid_grant("the assertion is for another audience"));
    }
    check(state, jwt)?;
    let subject = jwt.claim("sub").unwrap_or_default().to_owned();
    let named = headers.contains_key(header::AUTHORIZATION)
        || ["client_id", "client_assertion"]
            .iter()
            .any(|name| form.find(name).is_some());
    let client_id = if named {
        client_auth::authenticate(state, headers, form)?.id
    } else {
        subject.clone()
    };
    let resource = select_resource(&state.resources(), state, form.find("resource"))?;
    let granted = ApprovedGrant {
        grant_type: JWT_BEARER,
        client_id,
        subject: Some(subject),
        resources: vec![resource.clone()],
        scopes: parse_scopes(state, form.find("scope"))?,
        refreshable: false,
        key: None,
        public: false,
    };
    Ok((granted, resource))
}

/// Checks an ID-JAG, which is for one client and one resource, and is accepted once.
fn enterprise(
    state: &TestbedState,
    headers: &HeaderMap,
    form: &Parameters,
    jwt: &Jwt,
) -> Result<(ApprovedGrant, String), Refusal> {
    let client = client_auth::authenticate(state, headers, form)?;
    permit(&client, JWT_BEARER)?;
    let provider = &state.origins.identity_provider;
    if !jwt.is_signed_by(state.identities.provider()) || jwt.claim("iss") != Some(provider) {
        return Err(invalid_grant("the ID-JAG is not of the identity provider"));
    }
    if !jwt.is_for(&state.issuer()) {
        return Err(invalid_grant("the ID-JAG is for another audience"));
    }
    if jwt.claim("client_id") != Some(&client.id) {
        return Err(invalid_grant("the ID-JAG is for another client"));
    }
    check(state, jwt)?;
    let resource = select_resource(&state.resources(), state, jwt.claim("resource"))?;
    if form
        .find("resource")
        .is_some_and(|requested| requested != resource)
    {
        let reason = "resource is not that of the ID-JAG";
        return Err(Refusal::new("invalid_target", reason));
    }
    let allowed = parse_scopes(state, jwt.claim("scope"))?;
    let scopes = narrow_scopes(form.find("scope"), &allowed)?;
    let jti = jwt.claim("jti").unwrap_or_default();
    if !state.token_store().is_first_use(provider, jti) {
        return Err(invalid_grant("the ID-JAG was used before"));
    }
    let granted = ApprovedGrant {
        grant_type: JWT_BEARER,
        client_id: client.id,
        subject: jwt.claim("sub").map(str::to_owned),
        resources: vec![resource.clone()],
        scopes,
        refreshable: false,
        key: None,
        public: false,
    };
    Ok((granted, resource))
}

/// Checks the claims that both must have (RFC 7523 §3, SEP-1933).
fn check(state: &TestbedState, jwt: &Jwt) -> Result<(), Refusal> {
    for name in ["sub", "jti"] {
        if jwt.claim(name).is_none() {
            return Err(invalid_grant(&format!("{name} is missing")));
        }
    }
    if jwt.date("iat").is_none() {
        return Err(invalid_grant("iat is missing"));
    }
    jwt.check_dates(state.now()).map_err(invalid_grant)
}
