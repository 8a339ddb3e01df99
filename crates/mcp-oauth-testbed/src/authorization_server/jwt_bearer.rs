//! The JWT bearer grant (RFC 7523 §2.1): a workload, or a person whom an identity provider vouches
//! for (ID-JAG, draft-ietf-oauth-identity-assertion-authz-grant).

use http::{HeaderMap, header};

use super::client_auth;
use super::grants::{JWT_BEARER, permit};
use super::parameters::Parameters;
use super::refusal::{Refusal, invalid_grant};
use super::resource::one_of;
use super::scope::{narrowed, scopes};
use crate::faults::Fault;
use crate::jose::jwt::Jwt;
use crate::state::TestbedState;
use crate::state::token_store::tokens::{Granted, Issued};

/// The `typ` of an ID-JAG.
pub(super) const ID_JAG: &str = "oauth-id-jag+jwt";

/// Returns which of the two it is, the assertion says by its `typ`; whose word it is, its signature proves.
pub(super) fn issue(
    world: &TestbedState,
    headers: &HeaderMap,
    form: &Parameters,
    key: Option<String>,
) -> Result<Issued, Refusal> {
    let forced = world.faults().find(|fault| match fault {
        Fault::AssertionRefused(error) => Some(error.clone()),
        _ => None,
    });
    if let Some(error) = forced {
        return Err(Refusal::forced(error));
    }
    let jwt = Jwt::parse(form.require("assertion")?)
        .ok_or_else(|| invalid_grant("the assertion is not a JWT"))?;
    let (mut granted, resource) = if jwt.header("typ") == Some(ID_JAG) {
        enterprise(world, headers, form, &jwt)?
    } else {
        workload(world, headers, form, &jwt)?
    };
    granted.key = key;
    let now = world.now();
    let (_, issued) = world
        .ledger()
        .tokens
        .found(granted, resource, &world.settings, now);
    Ok(issued)
}

/// Returns a workload needs no registration (`spec-checklist` J12): its issuer vouches for it. Its JWT may
/// come again until it expires, for a platform renews it at its own pace.
fn workload(
    world: &TestbedState,
    headers: &HeaderMap,
    form: &Parameters,
    jwt: &Jwt,
) -> Result<(Granted, String), Refusal> {
    let issuer = world.settings.wif.as_deref();
    if !jwt.is_signed_by(world.identities.workloads()) || jwt.claim("iss") != issuer {
        return Err(invalid_grant("the assertion is not of a trusted issuer"));
    }
    let token_endpoint = format!("{}/token", world.origins.authorization);
    if !jwt.is_for(&world.issuer()) && !jwt.is_for(&token_endpoint) {
        return Err(invalid_grant("the assertion is for another audience"));
    }
    check(world, jwt)?;
    let subject = jwt.claim("sub").unwrap_or_default().to_owned();
    let named = headers.contains_key(header::AUTHORIZATION)
        || ["client_id", "client_assertion"]
            .iter()
            .any(|name| form.find(name).is_some());
    let client_id = if named {
        client_auth::authenticate(world, headers, form)?.id
    } else {
        subject.clone()
    };
    let resource = one_of(&world.resources(), world, form.find("resource"))?;
    let granted = Granted {
        grant_type: JWT_BEARER,
        client_id,
        subject: Some(subject),
        resources: vec![resource.clone()],
        scopes: scopes(world, form.find("scope"))?,
        refreshable: false,
        key: None,
        public: false,
    };
    Ok((granted, resource))
}

/// Returns an ID-JAG speaks of one client and one resource, and is good once.
fn enterprise(
    world: &TestbedState,
    headers: &HeaderMap,
    form: &Parameters,
    jwt: &Jwt,
) -> Result<(Granted, String), Refusal> {
    let client = client_auth::authenticate(world, headers, form)?;
    permit(&client, JWT_BEARER)?;
    let provider = &world.origins.identity_provider;
    if !jwt.is_signed_by(world.identities.provider()) || jwt.claim("iss") != Some(provider) {
        return Err(invalid_grant("the ID-JAG is not of the identity provider"));
    }
    if !jwt.is_for(&world.issuer()) {
        return Err(invalid_grant("the ID-JAG is for another audience"));
    }
    if jwt.claim("client_id") != Some(&client.id) {
        return Err(invalid_grant("the ID-JAG is for another client"));
    }
    check(world, jwt)?;
    let resource = one_of(&world.resources(), world, jwt.claim("resource"))?;
    if form.find("resource").is_some_and(|asked| asked != resource) {
        let reason = "resource is not that of the ID-JAG";
        return Err(Refusal::new("invalid_target", reason));
    }
    let allowed = scopes(world, jwt.claim("scope"))?;
    let scopes = narrowed(form.find("scope"), &allowed)?;
    let jti = jwt.claim("jti").unwrap_or_default();
    if !world.ledger().is_first_use(provider, jti) {
        return Err(invalid_grant("the ID-JAG was used before"));
    }
    let granted = Granted {
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

/// Returns what both must have (`spec-checklist` J12, RFC 7523 §3).
fn check(world: &TestbedState, jwt: &Jwt) -> Result<(), Refusal> {
    for name in ["sub", "jti"] {
        if jwt.claim(name).is_none() {
            return Err(invalid_grant(&format!("{name} is missing")));
        }
    }
    if jwt.date("iat").is_none() {
        return Err(invalid_grant("iat is missing"));
    }
    jwt.check_dates(world.now()).map_err(invalid_grant)
}
