//! Names the version of rmcp that the lockfile has.

fn main() {
    println!("cargo:rerun-if-changed=Cargo.lock");
    let lock = std::fs::read_to_string("Cargo.lock").unwrap();
    let (_, rest) = lock.split_once("name = \"rmcp\"\nversion = \"").unwrap();
    println!("cargo:rustc-env=RMCP_VERSION={}", rest.split('"').next().unwrap());
}
