//! The hostile corpus: what a server, a web page or another local user can do, and how the client
//! responds.
//!
//! The cases are data, in `hostile/cases/*.toml`, for other implementations too: the responses, and an
//! `expect` line. Each is a test here (`hostile::H17_…`), and a row of `docs/hostile.md`, which this
//! command writes:
//! `MCP_OAUTH_TEST_WRITE_TABLE=1 cargo test -p mcp-client-oauth --all-features --test it -- hostile::table`.

#![expect(
    non_snake_case,
    reason = "the name of a test begins with the number of its case"
)]

mod browser;
mod case;
#[cfg(target_os = "linux")]
mod child;
mod fake_resolver;
mod fixture;
mod http2;
mod listeners;
mod observations;
pub(crate) mod outcome;
mod placeholders;
mod run;
mod table;
mod tenants;
mod time;
mod tls;
mod tls_impersonation;

/// Defines a test for each case. `table::every_case_is_a_test_here` compares them with the files.
macro_rules! cases {
    ($($name:ident)*) => {
        /// The names of the tests.
        const TESTS: &[&str] = &[$(stringify!($name)),*];

        $(
            #[tokio::test]
            async fn $name() {
                table::run(stringify!($name)).await;
            }
        )*
    };
}

cases! {
    H1_metadata_of_another_issuer
    H2_metadata_without_an_issuer
    H3_an_issuer_that_differs_slightly
    H4_no_pkce_support
    H5_only_plain_pkce
    H6_a_token_endpoint_that_changes_after_the_login
    H7_metadata_of_another_resource
    H8_an_invalid_resource
    H9_a_resource_that_ends_inside_a_path_segment
    H10_a_thousand_authorization_servers
    H11_a_dishonest_server_before_an_honest_one
    H12_a_scope_inside_a_quoted_string
    H13_a_bearer_challenge_among_others
    H14_a_malformed_challenge
    H15_an_unbounded_challenge
    H16_no_protected_resource_metadata
    H17_a_malformed_document
    H18_a_duplicate_member
    H19_members_of_the_wrong_type
    H20_strings_that_look_alike
    H21_metadata_that_changes_between_two_requests
    H22_endpoints_that_have_moved_legitimately
    H23_metadata_that_is_fresh_without_end
    H24_another_authorization_server_than_before
    H25_a_script_as_authorization_endpoint
    H26_a_scheme_of_another_program
    H27_a_disguised_scheme
    H28_a_url_with_shell_syntax
    H29_user_info_in_a_url
    H30_an_unencrypted_endpoint
    H31_metadata_at_a_private_address
    H32_an_authorization_server_at_a_private_address
    H33_endpoints_at_private_addresses
    H34_every_spelling_of_an_address
    H35_a_public_name_of_a_private_address
    H36_a_name_that_resolves_to_another_address_each_time
    H37_a_name_with_a_public_and_a_private_address
    H38_a_redirect_to_a_private_address
    H39_endless_redirects
    H40_a_redirect_with_a_secret_in_the_body
    H41_a_redirect_of_a_request_with_a_token
    H42_a_redirect_to_the_same_host
    H43_a_cookie
    H44_an_invalid_location_header
    H45_a_proxy_from_the_environment
    H46_an_invalid_certificate
    H47_a_server_that_does_not_speak_http
    H48_extra_responses_and_frames
    H49_a_callback_with_another_state
    H50_an_error_from_a_web_page
    H51_an_error_from_the_server
    H52_a_callback_of_another_issuer
    H53_a_callback_without_its_issuer
    H54_a_callback_issuer_that_differs_slightly
    H55_a_callback_that_arrives_twice
    H56_the_code_of_an_attacker
    H57_an_invalid_code
    H58_markup_in_a_callback
    H59_a_code_in_the_browser_history
    H60_a_flood_at_the_callback
    H61_another_name_for_loopback
    H62_a_cross_site_request
    H63_another_process_on_the_callback_port
    H64_another_process_on_the_other_loopback_address
    H65_a_listener_after_the_login
    H66_a_callback_that_never_arrives
    H67_no_browser
    H68_a_local_user_that_reads_arguments
    H69_a_query_in_the_authorization_endpoint
    H70_too_many_scopes
    H71_a_scope_that_is_never_enough
    H72_a_step_up_without_a_scope
    H73_two_logins_with_swapped_callbacks
    H74_a_client_name_from_the_server
    H75_another_token_type
    H76_bearer_in_another_case
    H77_no_access_token
    H78_a_token_with_header_syntax
    H79_an_unbounded_token
    H80_a_lifetime_as_a_string
    H81_a_lifetime_with_a_fraction
    H82_a_lifetime_of_zero_or_less
    H83_an_invalid_lifetime
    H84_an_error_with_status_200
    H85_an_error_in_every_form
    H86_another_scope_than_was_requested
    H87_a_form_encoded_response
    H88_a_refresh_token_that_is_not_rotated
    H89_unexpected_members
    H90_a_token_for_another_origin
    H91_a_token_in_a_query
    H92_names_that_collide
    H93_a_name_with_another_url
    H94_a_token_that_is_always_refused
    H95_a_body_that_can_be_sent_only_once
    H96_a_secret_with_a_colon
    H97_another_authentication_method
    H98_a_revocation_that_fails
    H99_many_tasks_with_an_expired_token
    H100_many_tasks_with_a_refused_token
    H101_many_processes_with_an_expired_token
    H102_many_processes_with_a_refused_token
    H103_a_loser_that_deletes_the_tokens_of_the_winner
    H104_a_lost_response
    H105_a_process_that_is_killed_during_a_refresh
    H106_a_lock_holder_that_is_stopped
    H107_a_lock_that_was_left_behind
    H108_a_disk_without_locks
    H109_a_server_error_during_a_refresh
    H110_a_refresh_token_that_is_refused
    H111_a_refresh_without_a_refresh_token
    H112_a_refresh_with_another_scope
    H113_an_access_token_that_ends_with_its_refresh
    H114_a_clock_that_jumps
    H115_a_clock_that_is_wrong
    H116_a_restart_with_an_expired_token
    H117_tokens_that_live_for_seconds
    H118_a_thousand_sessions_that_expire_at_once
    H119_a_slow_token_endpoint
    H120_a_caller_that_is_cancelled
    H121_a_document_of_sixty_megabytes
    H122_a_wrong_content_length
    H123_a_compression_bomb
    H124_a_response_byte_by_byte
    H125_a_server_that_never_responds
    H126_a_deeply_nested_document
    H127_a_wide_document
    H128_keys_that_collide
    H129_input_for_a_backtracking_parser
    H130_another_location_each_time
    H131_an_endless_event_stream
    H132_an_invalid_status
    H133_a_name_that_is_a_path
    H134_names_that_a_file_system_treats_as_equal
    H135_unbounded_names
    H136_a_directory_that_others_can_write
    H137_a_link_in_place_of_a_file
    H138_a_permissive_umask
    H139_a_temporary_file_that_already_exists
    H140_a_crash_during_a_save
    H141_a_power_cut
    H142_a_disk_that_fails
    H143_a_file_that_was_changed
    H144_a_corrupt_index
    H145_a_wrong_password
    H146_a_key_derivation_with_changed_parameters
    H147_two_processes_that_create_the_store
    H148_a_keychain_that_refuses
    H149_a_keychain_with_small_entries
    H150_a_record_of_another_version
    H151_secrets_in_a_core_dump
    H152_a_password_that_children_inherit
    H153_a_browser_launcher_that_is_not_the_real_one
    H154_a_world_readable_copy
    H155_a_store_of_a_hundred_thousand_records
    H156_text_that_moves_the_cursor
    H157_text_that_writes_the_clipboard
    H158_a_forged_log_line
    H159_secrets_in_output
    H160_a_server_that_repeats_a_secret
    H161_a_token_on_a_screen
    H162_output_injection
    H163_invalid_frames
    H164_an_unsolicited_response
    H165_an_end_during_a_refresh
    H166_another_program_at_a_local_port
    H167_a_child_that_inherits_open_files
    H168_header_values_in_a_log
    H169_a_registration_that_does_not_match
    H170_an_incomplete_registration
    H171_a_registration_that_is_refused
    H172_a_registration_with_a_management_uri
    H173_a_client_that_was_deleted
    H174_an_invalid_client_document_url
    H175_a_misleading_verification_uri
    H176_an_unreasonable_interval
    H177_a_device_flow_that_is_always_pending
    H178_a_user_code_with_control_characters
    H179_phishing_by_a_device_code
    H180_an_assertion_for_another_audience
    H181_endless_nonces
    H182_a_token_exchange_with_another_token_type
    H183_the_token_of_another_tenant
    H184_logins_that_are_never_completed
    H185_plain_http_that_leaves_its_network
    H186_a_record_that_names_a_program
    H187_a_server_url_that_a_user_typed
    H188_the_url_of_a_login_that_is_sent_to_a_victim
    H189_a_callback_that_comes_again
    H190_a_path_to_return_to_that_leaves_the_application
    H191_a_stored_login_that_waits_for_its_callback
}
