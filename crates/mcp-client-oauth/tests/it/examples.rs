//! Every example runs to its end, offline.

#[path = "../../examples/client_credentials.rs"]
mod client_credentials;
#[path = "../../examples/custom_store.rs"]
mod custom_store;
#[path = "../../examples/device_code.rs"]
mod device_code;
#[path = "../../examples/first_login.rs"]
mod first_login;
#[path = "../../examples/header.rs"]
mod header;
#[path = "../../examples/logout.rs"]
mod logout;
#[path = "../../examples/manual_401.rs"]
mod manual_401;
#[path = "../../examples/request.rs"]
mod request;
#[path = "../../examples/reuse.rs"]
mod reuse;
#[path = "../../examples/several_servers.rs"]
mod several_servers;
#[path = "../../examples/step_by_step.rs"]
mod step_by_step;
#[path = "../../examples/storage.rs"]
mod storage;

#[test]
fn a_client_credentials_login() {
    client_credentials::main().unwrap();
}

#[test]
fn a_device_login() {
    device_code::main().unwrap();
}

#[test]
fn a_first_login() {
    first_login::main().unwrap();
}

#[test]
fn a_login_step_by_step() {
    step_by_step::main().unwrap();
}

#[test]
fn a_logout() {
    logout::main().unwrap();
}

#[test]
fn a_custom_store() {
    custom_store::main().unwrap();
}

#[test]
fn a_request() {
    request::main().unwrap();
}

#[test]
fn a_stored_login() {
    reuse::main().unwrap();
}

#[test]
fn a_401_handled_manually() {
    manual_401::main().unwrap();
}

#[test]
fn several_servers_over_one_store() {
    several_servers::main().unwrap();
}

#[test]
fn the_authorization_header() {
    header::main().unwrap();
}

#[test]
fn token_storage() {
    storage::main().unwrap();
}
