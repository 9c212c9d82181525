//! The list of cases.

/// Every case over every link, as tests: a module for each link.
#[macro_export]
macro_rules! suite {
    ($stack:ty; $($module:ident $link:ident $($kind:ident)*),*) => {
        $(
            mod $module {
                use super::*;
                $crate::cases!($stack, $link);
                $crate::sharded!($stack, $link);
                $($crate::$kind!($stack, $link);)*
            }
        )*
    };
}

/// Every case over one link.
#[macro_export]
macro_rules! cases {
    ($stack:ty, $link:ident) => {
        $crate::tests! { $stack, $link;
            lifecycle:
                both_ends_have_one_session the_peer_says_what_it_is a_client_closes a_server_closes
                a_code_and_a_reason_arrive the_last_handle_closes closing_twice_is_closing_once
                after_the_end_nothing_is_sent what_arrived_before_the_end_can_be_taken
                everybody_is_told_the_same_end an_idle_endpoint_says_so closing_an_endpoint_closes_all
                a_closed_endpoint_accepts_nobody twenty_connections_in_turn
                nobody_listens_there the_first_that_works_is_kept an_address_in_use_says_so;
            messages:
                ordered_both_ways unordered_both_ways unreliable_both_ways sequenced_both_ways
                a_thousand_in_order a_thousand_at_once an_empty_message a_message_of_one_byte sizes_around_a_record
                sizes_around_sixty_four_kibibytes the_largest_message one_too_large_is_refused
                large_messages_both_ways_at_once small_ones_between_large_ones
                a_receipt_is_acked a_receipt_is_processed a_receipt_is_rejected
                a_batch_is_acked_as_one a_key_replaces_what_waits an_expired_message_is_told;
            requests:
                a_client_asks a_server_asks both_ask_at_once an_error_is_an_answer
                an_unanswered_request_times_out sixty_four_are_outstanding a_large_answer
                answers_come_in_any_order a_request_to_the_gone_fails;
            channels:
                a_channel_is_opened_by_the_client a_channel_is_opened_by_the_server
                names_arrive channels_do_not_wait_for_each_other many_channels;
            backpressure:
                a_slow_reader_loses_nothing a_full_queue_says_so room_is_told
                one_that_does_not_read_stops_only_itself memory_stays_bounded waking_is_done_once;
            cancel:
                accepting_given_up_loses_no_connection receiving_given_up_loses_no_message
                sending_given_up_sends_nothing_twice sending_many_given_up_keeps_the_rest connecting_given_up_leaves_nothing
                a_request_given_up_disturbs_nobody a_request_given_up_is_told waiting_for_the_end_given_up
                waiting_for_a_fate_given_up waiting_for_a_channel_given_up;
            admission:
                what_the_link_vouches_for_is_shown whoever_is_refused_learns_why;
            ends:
                who_waits_to_be_accepted_is_told_to_come_back
                closing_with_linger_delivers closing_both_ends_at_once a_dropped_endpoint_says_goodbye
                a_large_message_is_delivered_before_the_end a_restarted_server_is_found
                a_panic_is_told_to_all_who_wait a_peer_that_vanishes_is_noticed;
            sessions:
                a_lost_link_is_replaced who_does_not_ask_how_it_went_on_gets_messages_only
                what_is_missing_is_told a_restarted_server_says_that_all_is_lost;
            outcomes:
                nothing_at_all ordered_messages a_hundred_ordered unordered_messages unreliable_messages
                sequenced_messages empty_messages large_messages receipts_of_arrival
                receipts_of_processing rejected_messages a_batch too_large_a_message the_client_asks
                the_server_asks errors_as_answers large_requests_and_answers a_channel_of_the_client
                a_channel_of_the_server the_server_closes_with_a_reason;
            limits:
                one_more_than_the_limit_is_told room_that_comes_back_is_used
                a_full_backlog_is_told a_thousand_connections;
        }
    };
}

/// The cases of links that are streams.
#[macro_export]
macro_rules! streams {
    ($stack:ty, $link:ident) => {
        $crate::bytes! { $stack, $link }
        $crate::tests! { $stack, $link;
            raw: silent_streams_keep_nobody_out a_record_that_does_not_end_in_time_ends_its_stream;
        }
    };
}

/// Those of them that need nothing of an adapter but bytes.
#[macro_export]
macro_rules! bytes {
    ($stack:ty, $link:ident) => {
        $crate::tests! { $stack, $link;
            raw:
                garbage_ends_only_its_own_stream a_silent_stream_disturbs_nobody
                who_hangs_up_at_once_disturbs_nobody who_hangs_up_without_an_answer_is_not_nobody a_half_closed_stream_is_over a_stream_that_is_cut_is_noticed;
            sessions:
                a_session_goes_on_over_another_kind_of_link;
            secure:
                streams_in_the_clear_are_for_those_who_may;
        }
    };
}

/// The cases of web sockets without encryption.
#[macro_export]
macro_rules! web {
    ($stack:ty, $link:ident) => {
        $crate::tests! { $stack, $link;
            web:
                what_a_web_server_says_instead_is_told what_is_no_web_socket_is_told_so
                what_no_record_can_be_ends_a_web_socket_with_a_code;
        }
    };
}

/// The cases of links that are encrypted.
#[macro_export]
macro_rules! encrypted {
    ($stack:ty, $link:ident) => {
        $crate::tests! { $stack, $link;
            secure:
                an_unknown_authority_is_refused a_wrong_name_is_refused
                a_client_without_a_certificate_is_refused a_client_with_a_certificate_is_taken
                a_certificate_is_shown_before_its_owner_is_let_in
                an_authority_is_no_server plain_bytes_are_refused listening_needs_a_certificate;
        }
    };
}

/// Cases for servers of several shards, where the system can spread a port over them.
#[macro_export]
macro_rules! sharded {
    ($stack:ty, $link:ident) => {
        #[cfg(target_os = "linux")]
        mod sharded {
            use super::*;
            $crate::tests! { $stack, $link, sharded;
                lifecycle:
                    both_ends_have_one_session the_peer_says_what_it_is a_client_closes a_server_closes
                    an_idle_endpoint_says_so closing_an_endpoint_closes_all a_closed_endpoint_accepts_nobody
                    twenty_connections_in_turn an_address_in_use_says_so;
                messages: ordered_both_ways a_thousand_in_order the_largest_message;
                requests: both_ask_at_once;
                ends: a_dropped_endpoint_says_goodbye a_restarted_server_is_found;
                sessions: a_lost_link_is_replaced a_restarted_server_says_that_all_is_lost;
                limits: a_thousand_connections;
                shards:
                    newcomers_are_spread sessions_are_found_from_any_shard sessions_go_on_by_datagrams
                    a_shared_address_is_nobody_elses;
            }
        }
    };
}

/// Tests of these cases.
#[macro_export]
macro_rules! tests {
    ($stack:ty, $link:ident; $($group:ident: $($case:ident)*;)*) => {
        $($(
            #[test]
            fn $case() {
                $crate::$group::$case(&$crate::Env::<$stack>::new($crate::Scheme::$link));
            }
        )*)*
    };
    ($stack:ty, $link:ident, $with:ident; $($group:ident: $($case:ident)*;)*) => {
        $($(
            #[test]
            fn $case() {
                $crate::$group::$case(&$crate::Env::<$stack>::new($crate::Scheme::$link).$with());
            }
        )*)*
    };
}
