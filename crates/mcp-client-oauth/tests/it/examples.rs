//! Every example runs to its end, offline.

#[path = "../../examples/client_credentials.rs"]
mod client_credentials;
#[path = "../../examples/device_flow.rs"]
mod device_flow;
#[path = "../../examples/first_login.rs"]
mod first_login;
#[path = "../../examples/several_servers.rs"]
mod several_servers;
#[path = "../../examples/step_by_step.rs"]
mod step_by_step;

#[test]
fn a_client_in_its_own_name() {
    client_credentials::main().unwrap();
}

#[test]
fn a_login_by_a_code() {
    device_flow::main().unwrap();
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
fn several_servers_over_one_store() {
    several_servers::main().unwrap();
}
