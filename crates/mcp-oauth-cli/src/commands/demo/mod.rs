//! `demo`: the whole way on servers that run inside this command. Each step is shown as it happens,
//! each claim is checked at the servers, and the exit code is 0 only if all of them hold.

use std::time::Duration;

use mcp_oauth_testbed::Testbed;
use serde_json::json;

use self::{consent::TestUser, context::DemoContext};
use crate::{
    args::Demo,
    context::Context,
    error::{Exit, Failure},
};

mod consent;
mod context;
mod login;
mod logout;
mod renewal;
mod step_up;

/// Says how long the demo's access tokens live: long enough for the steps between two waits.
const TOKEN_LIFE: Duration = Duration::from_secs(3);

pub(super) async fn run(context: &Context, typed: &Demo) -> Result<Exit, Failure> {
    let testbed = Testbed::builder()
        .access_token_lifetime(TOKEN_LIFE)
        .step_up(true)
        .start()
        .await;
    let testbed = testbed.map_err(|error| {
        Failure::other(
            "demo",
            format!("the servers of the demo cannot start: {error}"),
            None,
        )
    })?;
    let browser = context.config.has_browser && !typed.no_browser;
    let mut stage = DemoContext::new(
        context,
        testbed,
        TestUser::new(context, browser, typed.no_browser),
    )?;
    let outcome = story(&mut stage).await;
    stage.person.rest();
    outcome?;
    report(context, &stage);
    Ok(Exit::Done)
}

/// The way, in order.
async fn story(stage: &mut DemoContext) -> Result<(), Failure> {
    stage.introduce();
    let session = login::run(stage).await?;
    login::use_token(stage, &session).await?;
    renewal::of_an_expired_token(stage, &session).await?;
    renewal::of_a_refused_token(stage, &session).await?;
    let session = step_up::run(stage).await?;
    logout::log_out(stage, &session).await
}

/// Returns what has been proved. Whatever was not has ended the demo before.
fn report(context: &Context, stage: &DemoContext) {
    if context.ui.is_json() {
        context.ui.result(
            &json!({ "ok": true, "proved": stage.proved() }),
            String::new,
        );
    } else {
        stage.summarize();
    }
}
