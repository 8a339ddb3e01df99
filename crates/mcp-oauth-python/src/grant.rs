//! The grants, as Python passes them: a name, or an object of `mcp_client_oauth._grants`.

use std::path::PathBuf;

use mcp_client_oauth::{
    AssertionSource, Grant, IdentityProvider,
    flow::{Issuer, PreregisteredClient},
};
use pyo3::{exceptions::PyValueError, prelude::*};

use crate::{
    client::{private_key, secret},
    errors::invalid,
};

/// A grant of Python.
#[derive(FromPyObject)]
pub(crate) enum GrantArgument {
    Name(String),
    Enterprise {
        #[pyo3(attribute)]
        issuer: String,
        #[pyo3(attribute)]
        token_endpoint: String,
        #[pyo3(attribute)]
        client_id: String,
        #[pyo3(attribute)]
        client_secret: Option<String>,
        #[pyo3(attribute)]
        private_key: Option<String>,
        #[pyo3(attribute)]
        id_token: Option<Assertion>,
        #[pyo3(attribute)]
        refresh_token: Option<Assertion>,
    },
    Workload {
        #[pyo3(attribute)]
        assertion: Assertion,
    },
}

/// The source of an assertion: `env:NAME`, `cmd:PROGRAM ARGUMENT…`, or the path of a file. The command has the
/// same syntax.
#[derive(FromPyObject)]
pub(crate) struct Assertion(PathBuf);

impl Assertion {
    fn source(self) -> AssertionSource {
        let text = self.0.to_str().unwrap_or_default();
        if let Some(name) = text.strip_prefix("env:") {
            return AssertionSource::Variable(name.to_owned());
        }
        match text.strip_prefix("cmd:") {
            Some(line) => {
                AssertionSource::Command(line.split_whitespace().map(str::to_owned).collect())
            }
            None => AssertionSource::File(self.0),
        }
    }
}

impl GrantArgument {
    /// Returns the grant of the library.
    pub(crate) fn grant(self) -> PyResult<Grant> {
        match self {
            Self::Name(name) => match name.as_str() {
                "browser" => Ok(Grant::Auto),
                "device_code" => Ok(Grant::DeviceCode),
                "prefer_device_code" => Ok(Grant::PreferDeviceCode),
                "client_credentials" => Ok(Grant::ClientCredentials),
                _ => Err(PyValueError::new_err(format!(
                    "unknown grant {name:?}; use \"browser\", \"device_code\", \"prefer_device_code\", \
                     \"client_credentials\", WorkloadIdentity(...) or EnterpriseManaged(...)"
                ))),
            },
            Self::Workload { assertion } => Ok(Grant::WorkloadIdentity {
                assertion: assertion.source(),
            }),
            Self::Enterprise {
                issuer,
                token_endpoint,
                client_id,
                client_secret,
                private_key: key,
                id_token,
                refresh_token,
            } => {
                let mut client = PreregisteredClient::new(client_id, client_secret.map(secret));
                client.private_key = key
                    .map(|key| private_key("private_key", &key))
                    .transpose()?;
                let provider = |token: Assertion| {
                    IdentityProvider::new(
                        Issuer::from(issuer),
                        &token_endpoint,
                        &client,
                        token.source(),
                    )
                    .map_err(|error| invalid("token_endpoint", error))
                };
                let idp = match (id_token, refresh_token) {
                    (Some(token), None) => provider(token)?,
                    (None, Some(token)) => {
                        let source = Assertion(token.0.clone()).source();
                        provider(token)?.with_refresh_token(source)
                    }
                    _ => {
                        return Err(PyValueError::new_err(
                            "EnterpriseManaged needs either id_token or refresh_token",
                        ));
                    }
                };
                Ok(Grant::Enterprise { idp: Box::new(idp) })
            }
        }
    }
}
