//! The interaction with the user: functions of the application, or the browser and a line on stderr.

use std::{sync::Arc, time::UNIX_EPOCH};

use async_trait::async_trait;
use mcp_client_oauth::platform::{Browser, DevicePrompt, Interaction};
use pyo3::{IntoPyObjectExt as _, prelude::*};
use tokio::task::spawn_blocking;
use url::Url;

/// The functions of `mcp_client_oauth._interaction` that are used if the application has none.
const DEFAULTS: &str = "mcp_client_oauth._interaction";

/// Functions of Python that show a URL or a code to the user.
#[derive(Default)]
pub(crate) struct Hooks {
    pub(crate) show_url: Option<Py<PyAny>>,
    pub(crate) show_code: Option<Py<PyAny>>,
}

/// Calls the functions of an application. Cloning shares them.
#[derive(Clone)]
pub(crate) struct PythonInteraction(pub(crate) Arc<Hooks>);

#[async_trait]
impl Interaction for PythonInteraction {
    async fn open(&self, url: &Url) {
        let hooks = Arc::clone(&self.0);
        let text = url.to_string();
        call(move |py| {
            let hook = hook(py, hooks.show_url.as_ref(), "show_url")?;
            hook.call1((text,)).map(drop)
        })
        .await;
        if self.0.show_url.is_none() {
            Browser::launch(url).await;
        }
    }

    async fn show_code(&self, prompt: &DevicePrompt) {
        let (hooks, prompt) = (Arc::clone(&self.0), prompt.clone());
        call(move |py| {
            let hook = hook(py, hooks.show_code.as_ref(), "show_code")?;
            let complete = prompt.verification_uri_complete.map(String::from);
            let expires_at = prompt.expires_at.duration_since(UNIX_EPOCH);
            let code = py.import(DEFAULTS)?.call_method1(
                "device_code",
                (
                    prompt.user_code,
                    prompt.verification_uri.as_str(),
                    complete,
                    expires_at.unwrap_or_default().as_secs_f64(),
                    prompt.is_third_party_host,
                ),
            )?;
            hook.call1((code,)).map(drop)
        })
        .await;
    }
}

fn hook<'py>(
    py: Python<'py>,
    given: Option<&Py<PyAny>>,
    default: &str,
) -> PyResult<Bound<'py, PyAny>> {
    match given {
        Some(hook) => hook.into_bound_py_any(py),
        None => py.import(DEFAULTS)?.getattr(default),
    }
}

/// Calls Python on a thread that may block: the function may wait for the user. An exception in it is
/// reported as Python reports one that no caller can catch, and the login goes on.
async fn call(work: impl FnOnce(Python<'_>) -> PyResult<()> + Send + 'static) {
    let call = move || {
        Python::try_attach(|py| {
            if let Err(error) = work(py) {
                error.write_unraisable(py, None);
            }
        });
    };
    // It is cancelled only when the interpreter ends.
    let _ = spawn_blocking(call).await;
}
