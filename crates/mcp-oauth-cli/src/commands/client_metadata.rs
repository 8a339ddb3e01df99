//! `client-metadata`: the client metadata document to host, so that its URL is a client ID.

use mcp_client_oauth::{error::UntrustedText, flow::client_metadata_document};
use url::Url;

use crate::{
    args::ClientMetadata,
    context::Context,
    error::{Exit, Failure},
    key_file,
};

pub(super) fn run(context: &Context, typed: &ClientMetadata) -> Result<Exit, Failure> {
    let id = &typed.client_id;
    let key = typed.private_key.as_deref();
    let key = key.map(key_file::read).transpose()?;
    let document = client_metadata_document(id, &typed.name, &typed.redirect_uri, key.as_ref());
    // The only error is that of the URL.
    let document = document.map_err(|_| not_a_client_id(id))?;
    context.ui.result(&document, || format!("{document:#}"));
    Ok(Exit::Done)
}

fn not_a_client_id(url: &Url) -> Failure {
    Failure::usage(
        format!(
            "`{}` cannot be a client ID: it needs https and a path, and neither a user nor a fragment",
            UntrustedText::new(url.as_str())
        ),
        "mcp-oauth client-metadata --client-id https://app.example/client.json",
    )
}
