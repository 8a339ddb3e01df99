//! Log records for Python's `logging`, under the logger `mcp_client_oauth`.

use std::{
    fmt::{self, Write as _},
    sync::atomic::{AtomicUsize, Ordering},
};

use pyo3::{intern, prelude::*, sync::PyOnceLock, types::PyTuple};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
    subscriber::{Interest, set_global_default},
};

use crate::runtime::run_in_python;

/// The name of the logger.
const ROOT: &str = "mcp_client_oauth";
/// The crates with log records for users. Those of the HTTP stack could contain tokens.
const CRATES: [(&str, &str); 3] = [
    ("mcp_client_oauth", ""),
    ("mcp_oauth_store", ".store"),
    ("mcp_oauth_vault", ".vault"),
];

/// The level of the logger, when an operation last began: a record below it never waits for the GIL.
static LEVEL: AtomicUsize = AtomicUsize::new(30);

/// Starts to pass on log records. Nothing else in this process uses this copy of `tracing`.
pub(crate) fn install() {
    let _ = set_global_default(PythonLogging);
}

/// Reads the level of the logger again.
pub(crate) fn update_level(py: Python<'_>) -> PyResult<()> {
    static LOGGER: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let logger = LOGGER.get_or_try_init(py, || {
        let logging = py.import("logging")?;
        PyResult::Ok(logging.call_method1("getLogger", (ROOT,))?.unbind())
    })?;
    let level = logger.call_method0(py, intern!(py, "getEffectiveLevel"))?;
    LEVEL.store(level.extract(py)?, Ordering::Relaxed);
    Ok(())
}

struct PythonLogging;

impl Subscriber for PythonLogging {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if logger_name(metadata.target()).is_some() {
            Interest::sometimes()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        number(*metadata.level()) >= LEVEL.load(Ordering::Relaxed)
            && logger_name(metadata.target()).is_some()
    }

    fn event(&self, event: &Event<'_>) {
        let metadata = event.metadata();
        let Some(name) = logger_name(metadata.target()) else {
            return;
        };
        let mut text = Text::default();
        event.record(&mut text);
        let record = LogRecord {
            name,
            level: number(*metadata.level()),
            file: metadata.file().unwrap_or_default(),
            line: metadata.line().unwrap_or_default(),
            message: text.message + &text.fields,
        };
        run_in_python(move |py| {
            // `logging` reports the errors of its handlers itself.
            let _ = record.emit(py);
        });
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        // The crates of `CRATES` use no spans.
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

struct LogRecord {
    name: String,
    level: usize,
    file: &'static str,
    line: u32,
    message: String,
}

impl LogRecord {
    fn emit(self, py: Python<'_>) -> PyResult<()> {
        let logging = py.import("logging")?;
        let logger = logging.call_method1("getLogger", (&self.name,))?;
        if !logger
            .call_method1("isEnabledFor", (self.level,))?
            .is_truthy()?
        {
            return Ok(());
        }
        let arguments = (
            self.name,
            self.level,
            self.file,
            self.line,
            self.message,
            PyTuple::empty(py),
            py.None(),
        );
        let record = logger.call_method1("makeRecord", arguments)?;
        logger.call_method1("handle", (record,)).map(drop)
    }
}

/// Returns the name of the logger for a target, `crate::module::…`; none if its records are not for users.
fn logger_name(target: &str) -> Option<String> {
    let (name, module) = target.split_once("::").unwrap_or((target, ""));
    let (_, part) = CRATES.iter().find(|(known, _)| *known == name)?;
    let module = module
        .split("::")
        .next()
        .filter(|module| !module.is_empty());
    Some(match module {
        Some(module) if part.is_empty() => format!("{ROOT}.{module}"),
        _ => format!("{ROOT}{part}"),
    })
}

/// Returns the number of a level in `logging`.
fn number(level: Level) -> usize {
    match level {
        Level::ERROR => 40,
        Level::WARN => 30,
        Level::INFO => 20,
        Level::DEBUG => 10,
        Level::TRACE => 5,
    }
}

/// The message of an event, and its fields as `name=value`.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string cannot fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
}
