//! The native module of the Python package `mcp-client-oauth`. The classes that users see are written in
//! Python (`python/mcp_client_oauth`), over the ones here.
//!
//! | file | contents |
//! |---|---|
//! | `client.rs` | `Client`: its options, and the client of the library in each process |
//! | `login.rs` | `Login`: a login with the arguments of Python, and its outcomes |
//! | `login_options.rs` | the options of a login |
//! | `grant.rs` | the grants, as Python passes them |
//! | `session.rs` | `Session`: headers and requests |
//! | `authorization.rs` | `Authorization`: the headers of a request that another HTTP client sends |
//! | `headers.rs` | headers, methods, URLs and time limits, as Python passes them |
//! | `interaction.rs` | the functions of the application that show a URL or a code |
//! | `store.rs` | the token store of a store spec |
//! | `document.rs` | the client metadata document |
//! | `operation.rs` | `Operation`: work that is awaited in asyncio, or waited for |
//! | `per_process.rs` | values that a forked process makes again |
//! | `errors.rs` | the exceptions |
//! | `logging.rs` | log records for `logging` |
//! | `flow.rs`, `flow/` | for `compat`: each step of a login alone |
//! | `named_logins.rs`, `tokens.rs` | for `compat`: the logins of a store by name, and their tokens |
//! | `explicit_store.rs` | for `compat`: stores that no store spec describes |
//! | `old_login.rs`, `fernet.rs` | for `compat`: decrypts what the old library has stored |
//! | `runtime.rs`, `runtime/` | the tokio runtime of a process, and the thread that calls Python |

mod authorization;
mod client;
mod document;
mod errors;
mod explicit_store;
mod fernet;
mod flow;
mod grant;
mod headers;
mod interaction;
mod logging;
mod login;
mod login_options;
mod named_logins;
mod old_login;
mod operation;
mod per_process;
mod runtime;
mod session;
mod store;
mod tokens;

use pyo3::prelude::pymodule;

/// The native half of `mcp_client_oauth`.
#[pymodule]
mod _native {
    use pyo3::prelude::*;

    #[pymodule_export]
    use super::{
        authorization::Authorization,
        client::Client,
        document::client_metadata_document,
        explicit_store::{client_with_files, client_with_vault, keychain_available},
        flow::{Flow, resource_metadata_url},
        login::Login,
        named_logins::{NamedLogins, tokens_of},
        old_login::{OldKey, read_keychain},
        operation::Operation,
        runtime::{after_fork, shut_down},
        session::Session,
    };

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        super::logging::install();
        let py = module.py();
        let hooks = pyo3::types::PyDict::new(py);
        hooks.set_item("after_in_child", module.getattr("after_fork")?)?;
        py.import("os")?
            .getattr("register_at_fork")
            .and_then(|register| register.call((), Some(&hooks)))
            .map(drop)
            // Windows has no fork.
            .or_else(|error| {
                if error.is_instance_of::<pyo3::exceptions::PyAttributeError>(py) {
                    Ok(())
                } else {
                    Err(error)
                }
            })?;
        py.import("atexit")?
            .call_method1("register", (module.getattr("shut_down")?,))?;
        Ok(())
    }
}
