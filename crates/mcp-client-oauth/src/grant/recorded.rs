//! The grant of a non-interactive login, as its record keeps it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{client_credentials, enterprise, workload_identity};
use crate::client_registration::RegisteredClient;

/// The grant of a non-interactive login, as its [`Record`](crate::store::Record) keeps it: its name,
/// the client and its secrets, and never the source of an assertion.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum RecordedGrant {
    /// [`Grant::ClientCredentials`](super::Grant::ClientCredentials).
    ClientCredentials,
    /// [`Grant::WorkloadIdentity`](super::Grant::WorkloadIdentity). Versions up to 3 kept the source, which
    /// is ignored.
    Workload {},
    /// [`Grant::Enterprise`](super::Grant::Enterprise).
    Enterprise {
        /// The identity provider. Versions up to 3 kept the source here, which is ignored.
        idp: Box<RecordedIdentityProvider>,
    },
}

/// The part of an [`IdentityProvider`](super::IdentityProvider) that a record keeps for the next login: the
/// client there, with its secret or key, so that the caller need not keep these.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
#[expect(
    unnameable_types,
    reason = "callers read its members in the recorded grant"
)]
pub struct RecordedIdentityProvider {
    /// The client at the identity provider, with its secret or key.
    pub client: RegisteredClient,
}

/// The name of the grant, such as `client credentials`.
impl fmt::Display for RecordedGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl RecordedGrant {
    /// Returns the name of the grant, as [`Grant::name`](super::Grant::name) does.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::ClientCredentials => client_credentials::NAME,
            Self::Workload {} => workload_identity::NAME,
            Self::Enterprise { .. } => enterprise::NAME,
        }
    }

    /// Returns the MCP extension that describes it, as [`Grant::extension`](super::Grant::extension) does.
    pub(crate) fn extension(&self) -> Option<&'static str> {
        match self {
            Self::ClientCredentials => Some(client_credentials::EXTENSION),
            Self::Workload {} => None,
            Self::Enterprise { .. } => Some(enterprise::EXTENSION),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_written_names_of_grants_are_stable() {
        for (recorded, written) in [
            (
                RecordedGrant::ClientCredentials,
                json!("client-credentials"),
            ),
            (RecordedGrant::Workload {}, json!({"workload": {}})),
        ] {
            assert_eq!(serde_json::to_value(&recorded).unwrap(), written);
            let read: RecordedGrant = serde_json::from_value(written).unwrap();
            assert_eq!(read, recorded);
        }
        let of_version_3 = json!({"workload": {"assertion": {"file": "/token"}}});
        let read: RecordedGrant = serde_json::from_value(of_version_3).unwrap();
        assert_eq!(read, RecordedGrant::Workload {});
    }
}
