//! Sets the linker arguments of a Python extension module, and refuses an interpreter that cannot load it.

fn main() {
    pyo3_build_config::add_extension_module_link_args();
    // The stable ABI (abi3) is that of a Python with the global interpreter lock. The module would be built,
    // and a free-threaded Python would not find it.
    if pyo3_build_config::get().is_free_threaded() {
        println!(
            "cargo::error=free-threaded Python is not supported; set PYO3_PYTHON to a Python with the global \
             interpreter lock"
        );
    }
}
