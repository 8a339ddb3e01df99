//! Sets the linker arguments of a Python extension module, and refuses an interpreter that cannot load it.

fn main() {
    pyo3_build_config::add_extension_module_link_args();
    // The stable ABI is that of a Python with the global interpreter lock: the module would be built, and
    // then not be found by a free-threaded one.
    assert!(
        !pyo3_build_config::get().is_free_threaded(),
        "mcp-client-oauth does not support free-threaded Python: build it with a Python that has the \
         global interpreter lock (set PYO3_PYTHON, or use another environment)"
    );
}
