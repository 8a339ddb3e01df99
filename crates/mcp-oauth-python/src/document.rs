//! The client metadata document that a hosted application serves.

use mcp_client_oauth::flow;
use pyo3::{prelude::*, pybacked::PyBackedStr};
use url::Url;

use crate::{client::private_key, errors::exception, headers};

/// Returns the client metadata document to serve at `client_id`, as JSON.
#[pyfunction]
#[pyo3(signature = (client_id, client_name, redirect_uris, key = None))]
pub(crate) fn client_metadata_document(
    client_id: &str,
    client_name: &str,
    redirect_uris: Vec<PyBackedStr>,
    key: Option<&str>,
) -> PyResult<String> {
    let client_id = headers::url("client_id", client_id)?;
    let uris = redirect_uris
        .into_iter()
        .map(|uri| headers::url("redirect_uris", &uri));
    let uris: Vec<Url> = uris.collect::<PyResult<_>>()?;
    let key = key.map(|key| private_key("key", key)).transpose()?;
    flow::client_metadata_document(&client_id, client_name, &uris, key.as_ref())
        .map(|document| document.to_string())
        .map_err(exception)
}
