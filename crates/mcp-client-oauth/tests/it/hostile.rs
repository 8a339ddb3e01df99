//! The hostile corpus: what a server, a web page or a neighbour can do, and what comes of it.
//!
//! The cases are data, in `hostile/cases/*.toml`, for other implementations too: what is said, and
//! an `expect` line. Each is a test of its own here (`hostile::H17_…`), and a row of
//! `docs/hostile.md`, which is written by
//! `MCP_OAUTH_TEST_WRITE_TABLE=1 cargo test -p mcp-client-oauth --all-features --test it -- hostile::table`.

#![expect(
    non_snake_case,
    reason = "a test is called by the number of its case, as it stands in every list"
)]

mod browser;
mod case;
#[cfg(target_os = "linux")]
mod child;
mod directory;
mod http2;
mod listeners;
mod masquerade;
pub(crate) mod outcome;
mod play;
mod seen;
mod stage;
mod table;
mod tenants;
mod time;
mod tls;
mod words;

/// A test for each case. `table::every_case_is_a_test_here` compares with the files.
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
    H3_an_issuer_that_is_almost_the_same
    H4_no_pkce
    H5_plain_pkce_alone
    H6_a_token_endpoint_that_moves_after_the_login
    H7_metadata_of_another_resource
    H8_a_resource_that_is_none
    H9_a_resource_whose_path_is_half_a_segment
    H10_a_thousand_authorization_servers
    H11_a_dishonest_server_before_an_honest_one
    H12_a_scope_inside_a_quoted_text
    H13_a_bearer_challenge_among_others
    H14_a_challenge_that_makes_no_sense
    H15_a_challenge_without_end
    H16_no_metadata_at_all
    H17_a_document_that_is_none
    H18_a_member_that_is_there_twice
    H19_members_of_another_type
    H20_texts_that_only_look_alike
    H21_metadata_that_changes_between_two_looks
    H22_endpoints_that_have_moved_honestly
    H23_metadata_that_is_fresh_for_ever
    H24_another_authorization_server_than_before
    H25_a_script_as_authorization_endpoint
    H26_a_scheme_of_another_program
    H27_a_scheme_in_disguise
    H28_a_url_for_a_shell
    H29_user_info_in_a_url
    H30_an_endpoint_without_encryption
    H31_metadata_in_a_private_place
    H32_an_authorization_server_in_a_private_place
    H33_endpoints_in_private_places
    H34_every_spelling_of_an_address
    H35_a_public_name_of_a_private_address
    H36_a_name_that_resolves_to_another_address_each_time
    H37_a_name_with_a_public_and_a_private_address
    H38_a_redirect_into_a_private_place
    H39_redirects_without_end
    H40_a_redirect_with_a_secret_in_the_body
    H41_a_redirect_of_a_request_with_a_token
    H42_a_redirect_to_the_same_host
    H43_a_cookie
    H44_a_location_that_is_none
    H45_a_proxy_of_the_environment
    H46_a_certificate_that_proves_nothing
    H47_a_server_that_does_not_speak_http
    H48_answers_before_the_answer
    H49_a_callback_with_another_state
    H50_an_error_by_a_web_page
    H51_an_error_of_the_server
    H52_a_callback_of_another_issuer
    H53_a_callback_without_its_issuer
    H54_an_issuer_that_is_almost_ours
    H55_a_callback_that_comes_twice
    H56_the_code_of_somebody_else
    H57_a_code_that_is_none
    H58_markup_in_a_callback
    H59_a_code_in_the_history
    H60_a_flood_at_the_callback
    H61_another_name_for_this_machine
    H62_a_request_across_sites
    H63_somebody_on_our_port
    H64_somebody_on_the_other_loopback
    H65_a_listener_that_is_left_open
    H66_a_callback_that_never_comes
    H67_no_browser
    H68_a_neighbour_who_reads_arguments
    H69_a_query_in_the_authorization_endpoint
    H70_a_scope_that_is_a_bomb
    H71_a_scope_that_is_never_enough
    H72_a_step_up_without_a_scope
    H73_two_logins_whose_callbacks_are_swapped
    H74_a_name_that_the_server_chooses
    H75_another_token_type
    H76_bearer_in_another_case
    H77_no_access_token
    H78_a_token_that_is_a_header
    H79_a_token_without_end
    H80_a_lifetime_as_a_text
    H81_a_lifetime_with_a_fraction
    H82_a_lifetime_that_is_over
    H83_a_lifetime_that_is_none
    H84_an_error_with_status_200
    H85_a_refusal_in_every_form
    H86_another_scope_than_was_asked_for
    H87_an_answer_as_a_form
    H88_a_refresh_token_that_stays
    H89_members_that_nobody_asked_for
    H90_a_token_for_another_place
    H91_a_token_in_a_query
    H92_names_that_run_into_each_other
    H93_a_name_that_is_pointed_elsewhere
    H94_a_token_that_is_refused_for_ever
    H95_a_body_that_can_be_sent_once
    H96_a_secret_with_a_colon
    H97_another_way_to_show_the_secret
    H98_a_revocation_that_fails
    H99_many_tasks_with_an_expired_token
    H100_many_tasks_with_a_refused_token
    H101_many_processes_with_an_expired_token
    H102_many_processes_with_a_refused_token
    H103_a_loser_that_deletes_the_tokens_of_the_winner
    H104_a_lost_answer
    H105_a_process_that_is_killed_in_a_refresh
    H106_a_holder_that_stands_still
    H107_a_lock_that_was_left_behind
    H108_a_disk_without_locks
    H109_a_server_that_is_broken_at_a_refresh
    H110_a_refresh_token_that_is_refused
    H111_a_refresh_without_a_refresh_token
    H112_a_refresh_with_another_scope
    H113_an_access_token_that_dies_with_its_refresh
    H114_a_clock_that_jumps
    H115_a_clock_that_is_wrong
    H116_a_restart_with_an_expired_token
    H117_tokens_of_a_second
    H118_a_thousand_sessions_that_expire_at_once
    H119_a_token_endpoint_that_takes_its_time
    H120_a_caller_that_gives_up
    H121_a_document_of_sixty_megabytes
    H122_a_content_length_that_lies
    H123_a_compressed_bomb
    H124_an_answer_byte_by_byte
    H125_a_server_that_never_answers
    H126_a_document_that_is_deep
    H127_a_document_that_is_wide
    H128_keys_that_collide
    H129_a_text_that_blows_a_parser_up
    H130_a_new_place_each_time
    H131_an_event_stream_without_end
    H132_a_status_that_is_none
    H133_a_name_that_is_a_path
    H134_names_that_a_file_system_takes_for_one
    H135_names_without_end
    H136_a_directory_that_others_may_change
    H137_a_link_in_place_of_a_file
    H138_a_mask_that_lets_everybody_read
    H139_a_temporary_file_that_is_there_already
    H140_a_crash_in_the_middle_of_a_save
    H141_a_power_cut
    H142_a_disk_that_fails
    H143_a_file_that_was_changed
    H144_an_index_that_is_damaged
    H145_a_wrong_password
    H146_a_key_derivation_that_was_tampered_with
    H147_two_processes_that_are_the_first
    H148_a_keychain_that_refuses
    H149_a_keychain_with_small_entries
    H150_a_record_of_another_version
    H151_secrets_in_a_core_dump
    H152_a_password_that_children_inherit
    H153_an_opener_that_is_not_the_real_one
    H154_a_copy_that_everybody_can_read
    H155_a_store_of_a_hundred_thousand_records
    H156_words_that_move_the_cursor
    H157_words_that_write_the_clipboard
    H158_a_line_of_a_log_that_is_forged
    H159_secrets_in_output
    H160_a_server_that_repeats_a_secret
    H161_a_token_on_a_screen
    H162_output_that_can_be_injected
    H163_frames_that_are_none
    H164_an_answer_that_nobody_asked_for
    H165_an_end_in_the_middle
    H166_a_neighbour_at_a_local_port
    H167_a_child_that_inherits_our_files
    H168_headers_in_a_log
    H169_a_registration_of_something_else
    H170_a_registration_that_is_sloppy
    H171_a_registration_that_is_refused
    H172_a_registration_to_be_managed_elsewhere
    H173_a_client_that_is_gone
    H174_a_client_document_that_is_none
    H175_a_device_that_leads_astray
    H176_an_interval_without_reason
    H177_a_device_that_is_put_off_for_ever
    H178_a_user_code_that_plays_with_the_terminal
    H179_phishing_by_a_device_code
    H180_an_assertion_for_somebody_else
    H181_nonces_for_ever
    H182_an_exchange_that_gives_something_else
    H183_the_token_of_another_tenant
    H184_logins_that_are_never_finished
    H185_plain_http_that_leaves_its_network
    H186_a_record_that_names_a_program
}
