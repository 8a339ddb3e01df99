//! `logout` and `clear`: tokens are forgotten here; `logout` gives them back to the server too, and
//! says the truth about that part.

use mcp_client_oauth::{RevocationOutcome, TokenStore, logout as log_out};
use serde_json::json;

use crate::{
    args::{Clear, Logout, TargetArgs},
    context::{Context, Target},
    error::{Exit, Failure},
    servers::listed,
    store::is_closed,
    ui::{GOOD, HEAD},
};

mod expired;

pub(super) async fn logout(context: &Context, typed: &Logout) -> Result<Exit, Failure> {
    let target = context.target_at(&typed.whose, typed.url.as_deref())?;
    let others = context.servers()?.others(&target.key, &target.typed);
    let store = open(context, &target).await?;
    let spinner = context.ui.spinner("giving the tokens back");
    let outcome = log_out(&context.platform, &store, &target.key).await;
    drop(spinner);
    let outcome = outcome?;
    forget_name(context, typed.forget_name, &target)?;
    let (remote, words, detail) = match &outcome.remote {
        RevocationOutcome::Revoked => ("revoked", "the server has taken the tokens back", None),
        RevocationOutcome::AccessTokenLives => (
            "access_token_lives",
            "the server has taken the refresh token back, and takes no access tokens: it lives until \
             it expires",
            None,
        ),
        RevocationOutcome::NothingThere => {
            ("nothing_there", "there was nothing to give back", None)
        }
        RevocationOutcome::NotOffered => (
            "not_offered",
            "the server takes no tokens back: they live until they expire",
            None,
        ),
        RevocationOutcome::Failed(error) => (
            "failed",
            "its tokens live until they expire",
            Some(error.to_string()),
        ),
        _ => ("unknown", "it is not known what the server did", None),
    };
    let document = json!({
        "server": target.key.server().as_str(),
        "forgotten": outcome.forgotten,
        "also_ends": also_ends(outcome.forgotten, &others),
        "remote": remote,
        "detail": detail,
    });
    context.ui.result(&document, || {
        let told = detail
            .as_ref()
            .map(|why| format!("the server was not told: {why}; "));
        format!(
            "{}; {}{words}",
            local(&target, outcome.forgotten, &others),
            told.unwrap_or_default()
        )
    });
    // Who needs the tokens to be dead must hear that they are not (H98).
    Ok(match outcome.remote {
        RevocationOutcome::Failed(_) => Exit::Later,
        _ => Exit::Done,
    })
}

pub(super) async fn clear(context: &Context, typed: Clear) -> Result<Exit, Failure> {
    // The definition of the arguments lets nothing else through.
    let Some(server) = typed.server else {
        return expired::clear(context).await;
    };
    let account = typed.account;
    let target = context.target(&TargetArgs { server, account })?;
    let others = context.servers()?.others(&target.key, &target.typed);
    let forgotten = open(context, &target).await?.forget(&target.key).await?;
    forget_name(context, typed.forget_name, &target)?;
    let document = json!({
        "server": target.key.server().as_str(),
        "forgotten": forgotten,
        "also_ends": also_ends(forgotten, &others),
    });
    context.ui.result(&document, || {
        let note = if forgotten {
            "; the server was not told"
        } else {
            ""
        };
        format!("{}{note}", local(&target, forgotten, &others))
    });
    Ok(Exit::Done)
}

/// Returns a damaged record can be forgotten; behind a wrong password is a good one, which stays.
async fn open(context: &Context, target: &Target) -> Result<TokenStore, Failure> {
    let store = context.store().await?;
    match store.load(&target.key).await {
        Err(error) if is_closed(&error) => Err(error.into()),
        _ => Ok(store),
    }
}

fn forget_name(context: &Context, wanted: bool, target: &Target) -> Result<(), Failure> {
    if wanted && target.server.is_some() {
        context.servers()?.forget(&target.typed)?;
    }
    Ok(())
}

/// Returns the other names that ended with this login: several names of one URL and account have
/// one login.
fn also_ends(forgotten: bool, others: &[String]) -> &[String] {
    if forgotten { others } else { &[] }
}

fn local(target: &Target, forgotten: bool, others: &[String]) -> String {
    let name = &target.typed;
    if forgotten {
        let also = if others.is_empty() {
            String::new()
        } else {
            format!("; also ends {}", listed(others))
        };
        format!("{GOOD}Forgot{GOOD:#} the tokens of {HEAD}{name}{HEAD:#}{also}")
    } else {
        format!("Nobody was logged in to {HEAD}{name}{HEAD:#}")
    }
}
