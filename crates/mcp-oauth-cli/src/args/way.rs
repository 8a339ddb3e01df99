//! How tokens are to be got, if not by a browser on this machine.

use clap::Args;

/// How tokens are to be got.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Other kinds of login")]
pub(crate) struct WayFlags {
    /// Show a code, which is entered in a browser on any device.
    #[arg(long, conflicts_with_all = ["port", "redirect_uri", "no_browser"])]
    pub(crate) device: bool,
}
