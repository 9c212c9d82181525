//! What each scenario makes the server count, seen while it runs.

use std::cell::RefCell;
use std::collections::BTreeSet;

use proto_core::wire::Frame;
use proto_core::wire::checksum::crc32c;
use proto_core::wire::{Packet, Record};
use proto_core::{Stats, code};

use crate::{acks, control, lies, memory, numbers, pressure, sessions, strangers};

/// A name, and what it runs.
pub(crate) type Scenario = (&'static str, fn());

macro_rules! scenarios {
    ($($module:ident: $($name:ident),+;)+) => {
        /// All scenarios.
        pub(crate) const ALL: &[Scenario] = &[$($((stringify!($name), $module::$name)),+),+];
    };
}

scenarios! {
    acks:
        row_09_credit_a_byte_at_a_time_costs_the_queue_and_no_more,
        row_13_who_acknowledges_nothing_is_closed_and_costs_one_queue_until_then,
        row_10_an_ack_of_what_was_never_sent_settles_nothing,
        row_15_no_ack_is_answered_by_an_ack,
        row_22_a_packet_counts_once_and_only_among_the_last_1024;
    control:
        row_02_what_cannot_be_decoded_has_no_effect_but_the_end,
        row_03_unknown_core_frames_end_the_connection_and_extensions_are_skipped,
        row_04_a_record_has_512_frames,
        row_28_floods_of_control_frames_cost_an_answer_each_at_most,
        row_29_sixty_four_channels_however_far_apart_and_short_names,
        row_35_nothing_is_skipped_beyond_the_window,
        row_48_core_frames_that_are_not_there_are_refused,
        row_49_no_message_is_compressed,
        row_50_reasons_are_cut_and_shown_escaped;
    lies:
        row_11_who_acknowledges_what_is_still_to_come_is_found_out,
        row_14_lies_about_delays_neither_stop_probes_nor_make_a_flood_of_them,
        row_31_what_a_peer_calls_urgent_starves_nothing_and_binds_nobody,
        row_33_a_clock_that_leaps_or_runs_backwards_ends_nobody_and_fires_nothing_twice,
        row_37_a_path_that_swallows_large_packets_gets_small_ones,
        row_38_who_lies_about_marks_gets_none_and_nothing_else_changes;
    memory:
        row_16_the_length_that_a_piece_claims_is_paid_for_by_what_comes,
        row_17_pieces_agree_and_bytes_that_are_there_stay,
        row_18_dust_costs_its_message_and_gaps_are_counted,
        row_19_messages_of_nothing_cost_64_bytes_and_their_tokens,
        row_20_what_is_beyond_the_window_ends_the_connection_or_is_dropped,
        row_30_requests_and_their_cancellations_are_bounded,
        row_30_a_request_that_was_taken_counts_until_its_handler_ends,
        row_32_tokens_are_paid_for_each_message_and_not_for_each_record,
        row_34_no_lifetime_is_longer_than_a_day_and_none_grows,
        row_53_a_million_lifetimes_are_no_million_timers;
    numbers:
        row_06_nobody_gets_more_than_three_times_what_came,
        row_12_ranges_beyond_measure_are_refused_or_cost_nothing,
        row_21_numbers_that_leap_by_powers_of_two_are_told_apart,
        row_24_who_knows_the_name_of_a_session_has_nothing_of_it,
        row_24_who_guesses_at_sessions_learns_slowly_that_a_guess_was_wrong,
        row_25_the_higher_incarnation_has_the_session_and_the_other_is_told,
        row_26_who_was_overtaken_is_fenced_and_its_claim_is_old,
        row_27_a_packet_shown_again_from_elsewhere_moves_nobody,
        row_27_all_answers_to_an_unproven_address_share_what_came_from_it;
    pressure:
        row_51_all_connections_together_have_a_budget,
        row_51_what_is_only_claimed_ends_nobody,
        row_32_connections_from_one_network_share_a_budget,
        row_32_connections_of_one_user_share_a_budget;
    sessions:
        row_36_lies_about_what_arrived_end_the_session_and_repeat_nothing;
    strangers:
        row_01_random_datagrams_of_every_length_leave_a_counter_and_nothing_else,
        row_05_a_flood_of_spoofed_inits_keeps_nothing_and_the_waiting_room_is_full_in_time,
        row_07_a_token_is_good_for_its_address_and_15_seconds,
        row_08_a_handshake_that_is_never_finished_ends_after_10_seconds_whatever_comes,
        row_08_an_init_that_makes_no_sense_takes_no_place_and_no_turn,
        row_08_in_a_full_waiting_room_the_oldest_of_those_that_have_proven_nothing_gives_way,
        row_08_who_waits_for_the_application_does_not_give_way,
        row_45_clients_are_let_in_at_a_rate_and_the_others_cost_a_packet,
        row_39_a_forged_list_of_versions_downgrades_nobody,
        row_41_nothing_is_taken_before_the_handshake_is_over,
        row_23_a_close_from_off_the_path_ends_nothing,
        row_52_ids_tokens_and_numbers_cannot_be_guessed_and_no_map_hashes_what_peers_choose,
        row_54_ids_are_short_and_what_is_not_proven_gets_no_words_of_its_choice;
}

const CODES: [(&str, u64); 8] = [
    ("PROTOCOL_VIOLATION", code::PROTOCOL_VIOLATION),
    ("FRAME_ENCODING", code::FRAME_ENCODING),
    ("FRAME_UNKNOWN", code::FRAME_UNKNOWN),
    ("FLOW_CONTROL", code::FLOW_CONTROL),
    ("MESSAGE_TOO_LARGE", code::MESSAGE_TOO_LARGE),
    ("EXCESSIVE", code::EXCESSIVE),
    ("RESUME_UNKNOWN", code::RESUME_UNKNOWN),
    ("SUPERSEDED", code::SUPERSEDED),
];

thread_local! {
    static COUNTED: RefCell<Option<BTreeSet<String>>> = const { RefCell::new(None) };
}

/// What counts something while `scenario` runs: reasons of `Drop`, fields of `Stats`, codes of CLOSE.
pub(crate) fn counted(scenario: fn()) -> BTreeSet<String> {
    COUNTED.set(Some(BTreeSet::new()));
    scenario();
    COUNTED.take().expect("it was begun")
}

fn note(names: impl IntoIterator<Item = String>) {
    COUNTED.with_borrow_mut(|counted| {
        if let Some(counted) = counted {
            counted.extend(names);
        }
    });
}

fn is_noting() -> bool {
    COUNTED.with_borrow(Option::is_some)
}

/// The server has sent this.
pub(crate) fn note_sent(packet: &[u8]) {
    if !is_noting() {
        return;
    }
    let payload = match Packet::decode(packet, crc32c) {
        Ok(Packet::Short(short)) => short.payload,
        Ok(Packet::Long(long)) => long.payload,
        Err(_) => return,
    };
    let codes = Record::new(payload).filter_map(|frame| match frame {
        Ok(Frame::Close(close)) => CODES.iter().find(|(_, code)| *code == close.code),
        _ => None,
    });
    note(codes.map(|(name, _)| (*name).to_owned()));
}

/// This is what the server has counted.
pub(crate) fn note_stats(stats: &Stats) {
    if !is_noting() {
        return;
    }
    let drops = stats.drops.iter().filter(|(_, count)| *count > 0);
    note(drops.map(|(reason, _)| reason.name().to_owned()));
    let text = format!("{stats:?}");
    let fields = text.split([',', '{', '}']).filter_map(|field| field.trim().split_once(": "));
    let fields = fields.filter(|(_, value)| value.parse().is_ok_and(|value: u64| value > 0));
    note(fields.map(|(name, _)| name.to_owned()));
}
