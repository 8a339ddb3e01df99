//! `refresh`: gets new tokens now.

use serde_json::json;

use crate::{
    args::TargetArgs,
    context::{Context, record},
    error::{Exit, Failure},
    status::{Status, moment},
    ui::{GOOD, HEAD},
};

pub(super) async fn run(context: &Context, arguments: &TargetArgs) -> Result<Exit, Failure> {
    let target = context.target(arguments)?;
    let session = context.session(&target).await?;
    let spinner = context.ui.spinner("refreshing");
    let refreshed = session.refresh().await;
    drop(spinner);
    refreshed?;
    let record = record(&session)?;
    let status = Status::of(&record, context.platform.clock.now());
    let tokens = record.tokens;
    let document = json!({
        "server": target.key.server().as_str(),
        "status": status.as_str(),
        "expires_at": tokens.expires_at.map(moment),
        "scope": tokens.scope.as_ref().map(ToString::to_string),
    });
    context.ui.result(&document, || {
        let name = &target.typed;
        format!(
            "{GOOD}Refreshed{GOOD:#} {HEAD}{name}{HEAD:#}: {}",
            status.words()
        )
    });
    Ok(Exit::Done)
}
