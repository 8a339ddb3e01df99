//! `logout`: removes the tokens from this machine, and revokes them at the server unless `--local` is
//! given. The result of the revocation is reported.

use mcp_client_oauth::{RevocationOutcome, TokenStore};
use serde_json::{Value, json};

use crate::{
    args::Logout,
    context::{Context, Target},
    error::{Exit, Failure},
    servers::listed,
    store::is_unreadable,
    ui::{GOOD, HEAD},
};

pub(super) async fn run(context: &Context, typed: &Logout) -> Result<Exit, Failure> {
    let target = context.target_at(&typed.target, typed.url.as_deref())?;
    let others = context.servers()?.others(&target.key, &target.typed);
    let store = open(context, &target).await?;
    if typed.local {
        let removed = store.remove(&target.key).await?;
        remove_name(context, typed.remove_name, &target)?;
        report_local(context, &target, removed, &others);
        return Ok(Exit::Done);
    }
    let spinner = context.ui.spinner("revoking the tokens");
    let outcome = context.client(store).logout(&target.key).await;
    drop(spinner);
    let outcome = outcome?;
    remove_name(context, typed.remove_name, &target)?;
    report(context, &target, outcome.removed, &outcome.remote, &others);
    // A script that relies on the revocation must learn that it failed (RFC 7009 §2.2.1).
    Ok(match outcome.remote {
        RevocationOutcome::Failed(_) => Exit::Later,
        _ => Exit::Done,
    })
}

/// Opens the store. A corrupt record can be removed; but if no record can be read, as with a wrong
/// password, the record may be valid and is kept.
async fn open(context: &Context, target: &Target) -> Result<TokenStore, Failure> {
    let store = context.store().await?;
    match store.load(&target.key).await {
        Err(error) if is_unreadable(&error) => Err(error.into()),
        _ => Ok(store),
    }
}

fn remove_name(context: &Context, is_requested: bool, target: &Target) -> Result<(), Failure> {
    if is_requested && target.server.is_some() {
        context.servers()?.remove(&target.typed)?;
    }
    Ok(())
}

fn report(
    context: &Context,
    target: &Target,
    removed: bool,
    remote: &RevocationOutcome,
    others: &[String],
) {
    let (code, text) = match remote {
        RevocationOutcome::Revoked => ("revoked", "tokens revoked"),
        RevocationOutcome::AccessTokenNotRevoked => (
            "access_token_lives",
            "refresh token revoked; the server does not revoke access tokens: this one is valid until \
             it expires",
        ),
        RevocationOutcome::NothingToRevoke => ("nothing_there", "there were no tokens to revoke"),
        RevocationOutcome::NotSupported => (
            "not_offered",
            "the server does not revoke tokens: they are valid until they expire",
        ),
        RevocationOutcome::Failed(_) => ("failed", "the tokens are valid until they expire"),
        _ => ("unknown", "the result of the revocation is not known"),
    };
    let detail = match remote {
        RevocationOutcome::Failed(error) => Some(error.to_string()),
        _ => None,
    };
    let mut document = local_document(target, removed, others);
    document["remote"] = code.into();
    document["detail"] = detail.clone().into();
    context.ui.result(&document, || {
        let failure = detail.map(|reason| format!("cannot revoke the tokens: {reason}; "));
        format!(
            "{}; {}{text}",
            local_text(target, removed, others),
            failure.unwrap_or_default()
        )
    });
}

fn report_local(context: &Context, target: &Target, removed: bool, others: &[String]) {
    let document = local_document(target, removed, others);
    context.ui.result(&document, || {
        let note = if removed { "; tokens not revoked" } else { "" };
        format!("{}{note}", local_text(target, removed, others))
    });
}

fn local_document(target: &Target, removed: bool, others: &[String]) -> Value {
    json!({
        "server": target.key.server().as_str(),
        "removed": removed,
        "also_ends": also_ends(removed, others),
    })
}

/// Returns the other names that ended with this login: all names with the same URL and account share one
/// login.
fn also_ends(removed: bool, others: &[String]) -> &[String] {
    if removed { others } else { &[] }
}

fn local_text(target: &Target, removed: bool, others: &[String]) -> String {
    let name = &target.typed;
    if removed {
        let also = if others.is_empty() {
            String::new()
        } else {
            format!("; also ends {}", listed(others))
        };
        format!("{GOOD}Logged out{GOOD:#} of {HEAD}{name}{HEAD:#}{also}")
    } else {
        format!("Not logged in to {HEAD}{name}{HEAD:#}")
    }
}
