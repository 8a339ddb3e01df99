//! `token`: the access token and a line break, for scripts.

use serde_json::json;

use crate::{
    args::Token,
    context::{Context, record},
    error::{Exit, Failure},
    shell::quoted,
    status::moment,
};

pub(super) async fn run(context: &Context, typed: &Token) -> Result<Exit, Failure> {
    let target = context.target(&typed.target)?;
    let session = context.session(&target).await?;
    // A token on a screen is also in its scroll-back, and in every recording of it.
    if context.ui.is_terminal() && !typed.show {
        return Err(Failure::usage(
            "a token is printed on a terminal only with --show",
            format!("mcp-oauth token {} --show", quoted(&target.typed)),
        ));
    }
    // The token is used outside of this process, where it is not refreshed.
    let token = session.token_with_margin().await?;
    let record = record(&session)?;
    let tokens = record.tokens;
    let is_bound = record.dpop.is_some();
    if is_bound {
        let name = quoted(&target.typed);
        context.ui.warn(format_args!(
            "this token needs a DPoP proof with its key; use mcp-oauth request {name} URL, which sends \
             one"
        ));
    }
    let document = json!({
        "access_token": token.expose(),
        "token_type": if is_bound { "DPoP" } else { "Bearer" },
        "expires_at": tokens.expires_at.map(moment),
        "scope": tokens.scope.as_ref().map(ToString::to_string),
    });
    context.ui.result(&document, || token.expose().to_owned());
    Ok(Exit::Done)
}
