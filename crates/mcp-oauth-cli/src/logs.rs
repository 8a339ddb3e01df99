//! Logs, to stderr. The library logs no secret; other crates might, so their events are dropped.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{
    filter::Targets, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

use crate::args::Global;

/// The crates of this workspace: tests check that their events hold no secret.
const OWN_CRATES: [&str; 2] = ["mcp_client_oauth", "mcp_oauth"];

pub(crate) fn start(flags: &Global) {
    let level = match flags.verbose {
        0 if flags.quiet => LevelFilter::ERROR,
        0 => LevelFilter::WARN,
        1 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    let ansi = anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never;
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(ansi)
        .without_time()
        .with_target(flags.verbose > 0);
    let own = Targets::new().with_targets(OWN_CRATES.map(|target| (target, level)));
    tracing_subscriber::registry().with(lines).with(own).init();
}
