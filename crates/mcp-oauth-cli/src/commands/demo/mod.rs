//! `demo`: all steps of a login, on servers that run inside this command. Each step is shown as it happens,
//! each claim is checked at the servers, and the exit code is 0 only if all of them are true.

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
mod refresh;
mod step_up;

/// The lifetime of the demo's access tokens: long enough for the steps between two waits.
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
            format!("cannot start the servers of the demo: {error}"),
            None,
        )
    })?;
    let browser = context.config.has_browser && !typed.no_browser;
    let mut demo = DemoContext::new(
        context,
        testbed,
        TestUser::new(context, browser, typed.no_browser),
    )?;
    let outcome = run_steps(&mut demo).await;
    demo.user.rest();
    outcome?;
    report(context, &demo);
    Ok(Exit::Done)
}

/// Runs the steps in order.
async fn run_steps(demo: &mut DemoContext) -> Result<(), Failure> {
    demo.introduce();
    let session = login::run(demo).await?;
    login::use_token(demo, &session).await?;
    refresh::of_an_expired_token(demo, &session).await?;
    refresh::of_a_refused_token(demo, &session).await?;
    let session = step_up::run(demo).await?;
    logout::log_out(demo, &session).await
}

/// Prints the checks. A failed check has ended the demo before.
fn report(context: &Context, demo: &DemoContext) {
    if context.ui.is_json() {
        context
            .ui
            .result(&json!({ "ok": true, "checks": demo.checks() }), String::new);
    } else {
        demo.summarize();
    }
}
