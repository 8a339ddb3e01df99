//! Steps 3 and 4: the grants, one file each.

use crate::{
    error::{AuthorizationError, Error, NonInteractiveGrantError, RegistrationError},
    platform::AssertionSource,
    proto::server_metadata::ServerMetadata,
};

mod authorization_code;
mod client_credentials;
mod device_code;
mod enterprise;
mod flow;
mod loopback;
mod recorded;
mod redirect_uri;
mod request;
mod token_endpoint;
mod tokens;
mod workload_identity;

use authorization_code::AuthorizationCodeGrant;
pub(crate) use authorization_code::{authorization_url, exchange, refusal, throwaway_url};
use client_credentials::ClientCredentialsGrant;
use device_code::DeviceCodeGrant;
use enterprise::EnterpriseGrant;
pub use enterprise::IdentityProvider;
pub(crate) use flow::GrantFlow;
use flow::NonInteractiveFlow;
pub use recorded::RecordedGrant;
pub(crate) use recorded::RecordedIdentityProvider;
pub(crate) use redirect_uri::{CallbackReceiver, RedirectTarget};
pub(crate) use request::GrantRequest;
pub(crate) use token_endpoint::{NonInteractiveRequest, send as send_token_request};
use workload_identity::WorkloadIdentityGrant;

/// The grant by which a login gets its tokens.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Grant {
    /// The browser. It is never the device grant, whatever the server offers, because an attacker can trick a
    /// user into confirming a code (RFC 8628 §5.4).
    #[default]
    Auto,
    /// Authorization code with PKCE, in the browser of the user.
    Browser,
    /// Device authorization (RFC 8628): the user enters a code on another device.
    DeviceCode,
    /// [`DeviceCode`](Self::DeviceCode) if the server offers it and does not refuse it, else
    /// [`Auto`](Self::Auto). For an application that prefers a device code and can use a browser too.
    PreferDeviceCode,
    /// Client credentials, non-interactive: the client authenticates by its secret or its key (RFC 6749 §4.4,
    /// SEP-1046).
    ClientCredentials,
    /// Workload identity, non-interactive: the assertion that the platform issues to a workload (RFC 7523
    /// §2.1, SEP-1933). It needs no client id.
    WorkloadIdentity {
        /// The source of the assertion. It is passed for each session, and no record holds it: write access
        /// to a record must not be enough to read a file or run a program on this host.
        assertion: AssertionSource,
    },
    /// Enterprise-managed authorization, non-interactive: the identity provider of an organization asserts
    /// the identity of a user who has logged in there (SEP-990).
    Enterprise {
        /// The identity provider.
        idp: Box<IdentityProvider>,
    },
}

impl Grant {
    /// Returns the name of the grant: `authorization_code`, `device_code`, `client_credentials`, `workload`
    /// or `enterprise`.
    pub(crate) fn name(&self) -> &'static str {
        self.flow().name()
    }

    /// Returns the MCP extension that describes the grant, if any. A client declares it in `_meta`.
    pub(crate) fn extension(&self) -> Option<&'static str> {
        match self.flow() {
            GrantFlow::Interactive(_) => None,
            GrantFlow::NonInteractive(flow) => flow.extension(),
        }
    }

    /// Returns whether it gets tokens without user interaction, so that a session can repeat it.
    pub(crate) fn is_non_interactive(&self) -> bool {
        matches!(self.flow(), GrantFlow::NonInteractive(_))
    }

    /// Returns whether it sends an assertion, from a source that the caller passes.
    pub(crate) fn presents_assertion(&self) -> bool {
        match self.flow() {
            GrantFlow::Interactive(_) => false,
            GrantFlow::NonInteractive(flow) => flow.presents_assertion(),
        }
    }

    /// Returns the part that a record keeps; none for an interactive grant.
    pub(crate) fn recorded(&self) -> Option<RecordedGrant> {
        match self {
            Self::Auto | Self::Browser | Self::DeviceCode | Self::PreferDeviceCode => None,
            Self::ClientCredentials => Some(RecordedGrant::ClientCredentials),
            Self::WorkloadIdentity { .. } => Some(RecordedGrant::Workload {}),
            Self::Enterprise { idp } => Some(RecordedGrant::Enterprise {
                idp: Box::new(RecordedIdentityProvider {
                    client: idp.client.clone(),
                }),
            }),
        }
    }

    /// Selects the flow for this server, from its metadata alone: the caller binds a port and registers a
    /// client only if the flow needs them.
    ///
    /// # Errors
    /// [`AuthorizationError::NoGrant`], [`AuthorizationError::NoDeviceEndpoint`].
    pub(crate) fn select(
        &self,
        server: &ServerMetadata,
    ) -> Result<SelectedGrant<'_>, AuthorizationError> {
        let flow = self.flow();
        let is_preference = *self == Self::PreferDeviceCode;
        if flow.is_offered_by(server) {
            return Ok(SelectedGrant {
                flow,
                is_preference,
            });
        }
        if is_preference {
            return Self::Auto.select(server);
        }
        Err(self.not_offered(server))
    }

    /// Returns the flow of each grant.
    fn flow(&self) -> GrantFlow<'_> {
        match self {
            Self::Auto | Self::Browser => GrantFlow::Interactive(&AuthorizationCodeGrant),
            Self::DeviceCode | Self::PreferDeviceCode => GrantFlow::Interactive(&DeviceCodeGrant),
            Self::ClientCredentials => non_interactive(ClientCredentialsGrant),
            Self::WorkloadIdentity { assertion } => {
                non_interactive(WorkloadIdentityGrant { assertion })
            }
            Self::Enterprise { idp } => non_interactive(EnterpriseGrant { idp }),
        }
    }

    fn not_offered(&self, server: &ServerMetadata) -> AuthorizationError {
        let issuer = server.issuer.clone();
        let is_auto = *self == Self::Auto;
        if (is_auto || *self == Self::DeviceCode) && server.lacks_device_endpoint() {
            return AuthorizationError::NoDeviceEndpoint(issuer);
        }
        let device = Self::DeviceCode.flow();
        AuthorizationError::NoGrant {
            issuer,
            requested: Some(self.name().to_owned()).filter(|_| !is_auto),
            must_be_named: Some(device_code::NAME)
                .filter(|_| is_auto && device.is_offered_by(server)),
        }
    }
}

fn non_interactive<'a>(flow: impl NonInteractiveFlow + 'a) -> GrantFlow<'a> {
    GrantFlow::NonInteractive(Box::new(flow))
}

/// The flow that was selected for a server.
pub(crate) struct SelectedGrant<'a> {
    pub(crate) flow: GrantFlow<'a>,
    /// Says whether another grant is used if the server refuses this one.
    is_preference: bool,
}

impl SelectedGrant<'_> {
    /// Returns whether `error` says that the server refused a grant that is only preferred: its metadata
    /// lists the grant, but the server does not support it for this client.
    pub(crate) fn is_refused_preference(&self, error: &Error) -> bool {
        let is_refused = matches!(
            error,
            Error::Registration(RegistrationError::Response { .. })
                | Error::Authorization(AuthorizationError::Device { .. })
        );
        self.is_preference && is_refused
    }
}

/// Returns the flow that repeats a recorded grant: that of the grant which the caller has `given`, unless the
/// recorded one needs no source of an assertion.
pub(crate) fn flow_of_record<'a>(
    recorded: &RecordedGrant,
    given: Option<&'a Grant>,
) -> Result<Box<dyn NonInteractiveFlow + 'a>, NonInteractiveGrantError> {
    let flow = match (recorded, given) {
        (RecordedGrant::ClientCredentials, _) => Grant::ClientCredentials.flow(),
        (_, Some(given)) if given.name() == recorded.name() => given.flow(),
        _ => return Err(NonInteractiveGrantError::SourceRequired(recorded.name())),
    };
    match flow {
        GrantFlow::NonInteractive(flow) => Ok(flow),
        GrantFlow::Interactive(_) => Err(NonInteractiveGrantError::SourceRequired(recorded.name())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{platform::AddressSpace, proto::server_metadata::Issuer};

    fn server(endpoints: &[&str]) -> ServerMetadata {
        let mut document = serde_json::json!({
            "issuer": "https://as.example",
            "token_endpoint": "https://as.example/token",
        });
        for endpoint in endpoints {
            document[endpoint] = "https://as.example/endpoint".into();
        }
        let issuer = Issuer::from("https://as.example");
        let body = document.to_string();
        ServerMetadata::parse(body.as_bytes(), &issuer, AddressSpace::Public).unwrap()
    }

    fn selected(grant: &Grant, server: &ServerMetadata) -> Result<(&'static str, bool), String> {
        match grant.select(server) {
            Ok(selected) => Ok((selected.flow.name(), selected.is_preference)),
            Err(error) => Err(error.to_string()),
        }
    }

    const BROWSER: &str = "authorization_endpoint";
    const DEVICE: &str = "device_authorization_endpoint";

    #[test]
    fn the_names_of_grants_are_stable() {
        let assertion = AssertionSource::Variable("TOKEN".to_owned());
        for (grant, name, extension) in [
            (Grant::Auto, "authorization_code", None),
            (Grant::Browser, "authorization_code", None),
            (Grant::DeviceCode, "device_code", None),
            (Grant::PreferDeviceCode, "device_code", None),
            (
                Grant::ClientCredentials,
                "client_credentials",
                Some("io.modelcontextprotocol/oauth-client-credentials"),
            ),
            (Grant::WorkloadIdentity { assertion }, "workload", None),
        ] {
            assert_eq!((grant.name(), grant.extension()), (name, extension));
            let recorded = grant.recorded();
            assert_eq!(recorded.is_some(), grant.is_non_interactive(), "{name}");
            if let Some(recorded) = recorded {
                assert_eq!((recorded.name(), recorded.extension()), (name, extension));
            }
        }
    }

    #[test]
    fn a_preferred_grant_is_replaced_only_if_the_server_lacks_or_refuses_it() {
        let both = server(&[BROWSER, DEVICE]);
        let preferred = Grant::PreferDeviceCode;
        assert_eq!(selected(&preferred, &both), Ok(("device_code", true)));
        let browser = server(&[BROWSER]);
        assert_eq!(
            selected(&preferred, &browser),
            Ok(("authorization_code", false))
        );
        let error = Error::Registration(RegistrationError::NoClient(both.issuer.clone()));
        assert!(
            !preferred
                .select(&both)
                .unwrap()
                .is_refused_preference(&error)
        );
        let error = Error::Registration(RegistrationError::Response {
            url: "https://as.example/register".parse().unwrap(),
            cause: crate::error::RegistrationResponseError::Refused {
                status: 400,
                error: None,
                text: None,
            },
        });
        assert!(
            preferred
                .select(&both)
                .unwrap()
                .is_refused_preference(&error)
        );
        for (grant, server) in [(&Grant::DeviceCode, &both), (&preferred, &browser)] {
            assert!(!grant.select(server).unwrap().is_refused_preference(&error));
        }
    }

    /// RFC 8628 §5.4: a server could lead users to a code of an attacker, so the grant has to be requested.
    #[test]
    fn the_device_grant_is_never_the_default() {
        let device = server(&[DEVICE]);
        assert_eq!(
            selected(&Grant::Auto, &server(&[BROWSER, DEVICE])),
            Ok(("authorization_code", false))
        );
        let refused = "no supported grant works with the authorization server https://as.example";
        for (grant, server, details) in [
            (
                Grant::Auto,
                &device,
                "; `device_code` may work if it is requested",
            ),
            (Grant::Auto, &server(&[]), ""),
            (
                Grant::Browser,
                &device,
                " (requested: `authorization_code`)",
            ),
            (
                Grant::DeviceCode,
                &server(&[BROWSER]),
                " (requested: `device_code`)",
            ),
        ] {
            assert_eq!(selected(&grant, server), Err(format!("{refused}{details}")));
        }
    }

    #[test]
    fn a_recorded_grant_with_an_assertion_is_repeated_only_with_its_source() {
        let assertion = AssertionSource::Variable("TOKEN".to_owned());
        let given = Grant::WorkloadIdentity { assertion };
        let name = |recorded: &RecordedGrant, given: Option<&Grant>| {
            let flow = flow_of_record(recorded, given);
            flow.map(|flow| flow.name())
                .map_err(|error| error.to_string())
        };
        let workload = RecordedGrant::Workload {};
        assert_eq!(name(&workload, Some(&given)), Ok("workload"));
        for other in [None, Some(&Grant::ClientCredentials), Some(&Grant::Browser)] {
            assert!(name(&workload, other).is_err());
        }
        let client = RecordedGrant::ClientCredentials;
        assert_eq!(name(&client, None), Ok("client_credentials"));
        assert_eq!(name(&client, Some(&given)), Ok("client_credentials"));
    }
}
