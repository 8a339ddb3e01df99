//! The errors of the library as Python exceptions, which `python/mcp_client_oauth/errors.py` defines.

use mcp_client_oauth::{
    Error, Remedy,
    error::{
        AuthorizationError, DeviceResponseError, NonInteractiveGrantError, RegistrationError,
        RegistrationResponseError, TokenError, TokenRefreshError, UntrustedText,
    },
};
use pyo3::{exceptions::PyValueError, prelude::*};

mod python {
    use pyo3::import_exception;

    import_exception!(mcp_client_oauth.errors, OAuthError);
    import_exception!(mcp_client_oauth.errors, DiscoveryError);
    import_exception!(mcp_client_oauth.errors, RegistrationError);
    import_exception!(mcp_client_oauth.errors, AuthorizationError);
    import_exception!(mcp_client_oauth.errors, TokenExchangeError);
    import_exception!(mcp_client_oauth.errors, TokenRefreshError);
    import_exception!(mcp_client_oauth.errors, TokenStorageError);
    import_exception!(mcp_client_oauth.errors, RevocationError);
    import_exception!(mcp_client_oauth.errors, NetworkError);
}

/// The arguments of an exception: its message, the remedy, and the `error` and the `error_description` of the
/// server.
type Arguments = (String, &'static str, Option<String>, Option<String>);

/// Converts an error. A part of the caller's arguments that is not valid is a `ValueError`.
pub(crate) fn exception(error: impl Into<Error>) -> PyErr {
    let error = error.into();
    let (code, description) = server_error(&error).unzip();
    let arguments: Arguments = (
        error.to_string(),
        remedy(error.remedy()),
        code,
        description.flatten(),
    );
    match error {
        Error::ServerUrl(_) | Error::Scope(_) => PyValueError::new_err(arguments.0),
        Error::Discovery(_) => python::DiscoveryError::new_err(arguments),
        Error::Registration(_) => python::RegistrationError::new_err(arguments),
        Error::Authorization(_) => python::AuthorizationError::new_err(arguments),
        Error::TokenExchange { .. } | Error::NonInteractiveGrant(_) => {
            python::TokenExchangeError::new_err(arguments)
        }
        Error::TokenRefresh(_) => python::TokenRefreshError::new_err(arguments),
        Error::TokenStorage(_) => python::TokenStorageError::new_err(arguments),
        Error::Revocation(_) => python::RevocationError::new_err(arguments),
        Error::Http(_) => python::NetworkError::new_err(arguments),
        _ => python::OAuthError::new_err(arguments),
    }
}

/// Returns an error about an argument of the caller, with its name.
pub(crate) fn invalid(name: &str, error: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(format!("invalid {name}: {error}"))
}

fn remedy(remedy: Remedy) -> &'static str {
    match remedy {
        Remedy::LogIn => "log_in",
        Remedy::Reconfigure => "reconfigure",
        Remedy::ContactServerOperator => "contact_server_operator",
        _ => "retry",
    }
}

/// Returns the `error` and the `error_description` of a server that refused a request (RFC 6749 §5.2).
fn server_error(error: &Error) -> Option<(String, Option<String>)> {
    let text = |text: &UntrustedText| text.to_string();
    let of_token = |cause: &TokenError| match cause {
        TokenError::Refused { error, .. } => {
            Some((text(&error.code), error.description.as_ref().map(text)))
        }
        _ => None,
    };
    let response = match error {
        Error::TokenExchange { cause, .. }
        | Error::NonInteractiveGrant(NonInteractiveGrantError::Response { cause, .. })
        | Error::TokenRefresh(
            TokenRefreshError::Response { cause, .. }
            | TokenRefreshError::Interrupted { cause, .. }
            | TokenRefreshError::NonInteractiveGrant(NonInteractiveGrantError::Response {
                cause,
                ..
            }),
        ) => return of_token(cause),
        Error::Authorization(
            AuthorizationError::Denied(error) | AuthorizationError::Refused(error),
        ) => error,
        Error::Authorization(AuthorizationError::Device {
            cause: DeviceResponseError::Refused { error, .. },
            ..
        })
        | Error::Registration(RegistrationError::Response {
            cause: RegistrationResponseError::Refused { error, .. },
            ..
        }) => error.as_ref()?,
        _ => return None,
    };
    Some((
        text(&response.code),
        response.description.as_ref().map(text),
    ))
}
