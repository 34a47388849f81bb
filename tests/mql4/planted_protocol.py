"""Bugs to plant in the Advisor's protocol: each would forge, repeat, delay or hide an order.

See planted.py for what an entry is.
"""

from __future__ import annotations

from typing import Final

from tests.mql4.planted import Bug, By

__all__ = ["PROTOCOL"]

_B: Final = "Include/Bridge/"
_ADMISSION: Final = "test_trade_admission.py::test_"
_ABSENCE: Final = "test_trade_absence.py::test_"
_ORDERS: Final = "test_trade_orders.py::test_"
_RECOVERY: Final = "test_trade_recovery.py::test_"
_FLATTEN: Final = "test_trade_flatten.py::test_"
_ERRORS: Final = "test_trade_errors.py::test_"
_CORE_JOURNAL: Final = "test_core_journal.py::test_"
_START: Final = "test_link_start.py::test_"
_EVENTS: Final = "test_link_events.py::test_"
_PROTECT: Final = "test_trade_protect.py::test_"

PROTOCOL: Final[tuple[Bug, ...]] = (
    # --- forged or altered ----------------------------------------------------------------
    Bug(
        "mac_compared_in_part", _B + "Bytes.mqh",
        "for(int i = 0; i < count; i++) difference |=",
        "for(int i = 0; i < count / 2; i++) difference |=",
        By.TEST, "a_byte_changed_anywhere",
        (_ADMISSION + "a_byte_changed_anywhere_is_dropped_without_an_answer",),
    ),
    Bug(
        "scope_not_asked", _B + "Keys.mqh",
        "if(scope == SCOPE_REDUCE) granted = stop || reduce;",
        "if(scope == SCOPE_REDUCE) granted = stop || reduce || entry;",
        By.TEST, "a_scope_that",
        (_ADMISSION + "a_scope_that_does_not_grant_the_operation_is_dropped",),
    ),
    Bug(
        "resume_by_a_strategy", _B + "Keys.mqh",
        "if(scope == SCOPE_TRADE) granted = stop || reduce || entry;",
        "if(scope == SCOPE_TRADE) granted = stop || reduce || entry || op == OP_RESUME;",
        By.TEST, "a_scope_that",
        (_ADMISSION + "a_scope_that_does_not_grant_the_operation_is_dropped",),
    ),
    Bug(
        "volume_rounded", _B + "Executor.mqh",
        "   entry.volume = DecimalToDouble(request.body.volume, DECIMAL_PLACES_MAX);\n",
        "   entry.volume = DecimalToDouble(request.body.volume, 1);\n",
        By.TEST, "a_record_of_an_open",
        (_ORDERS + "a_record_of_an_open_shows_ticket_volume_and_fill",),
    ),
    Bug(
        "grid_of_volumes_not_checked", _B + "Market.mqh",
        "   if(!DecimalOnGrid(volume, spec.volume_step))\n",
        "   if(volume <= 0)\n",
        By.TEST, "never_rounded",
        (_ORDERS + "what_is_off_a_grid_or_on_the_wrong_side_is_refused_and_never_rounded"
         "[changes0-VOLUME_GRID]",),
    ),
    Bug(
        "magic_off_by_one_bit", _B + "Tag.mqh",
        "   magic = (int)(high >> 1);\n", "   magic = (int)(high >> 1) ^ 1;\n",
        By.TEST, "numbers",
        (_ORDERS + "a_market_order_is_sent_once_as_signed_and_answered_with_the_brokers_numbers",),
    ),
    Bug(
        "part_of_a_close_taken_for_all", _B + "Executor.mqh",
        "   long volume = request.body.volume > 0 ? request.body.volume : order.volume;\n",
        "   long volume = order.volume;\n",
        By.TEST, "a_partial_close",
        (_ORDERS + "a_partial_close_finds_the_new_ticket_of_the_rest",),
    ),
    Bug(
        "flatten_of_any_ticket", _B + "Flatten.mqh",
        "if(tickets[i] == request.ticket) return(true);", "if(tickets[i] > 0) return(true);",
        By.TEST, "outside_the_signed_scope",
        (_FLATTEN + "a_ticket_outside_the_signed_scope_is_refused",),
    ),
    Bug(
        "record_of_another_order", _B + "Scribe.mqh",
        "   record.order_hash = request.order_hash;\n",
        "   record.order_hash = NO_ORDER_HASH;\n",
        By.TEST, "a_record_of_an_open",
        (_ORDERS + "a_record_of_an_open_shows_ticket_volume_and_fill",),
    ),
    Bug(
        "numbers_as_asked_for", _B + "Facts.mqh",
        "   word.volume = DecimalShort(volume);\n   word.status = STATUS_FILLED;\n",
        "   word.volume = DecimalShort(volume);\n   word.status = STATUS_FILLED;\n"
        "   if(request.body.price > 0) word.price = order.Price(request.body.price);\n",
        By.TEST, "the_brokers_numbers",
        (_ORDERS + "a_market_order_is_sent_once_as_signed_and_answered_with_the_brokers_numbers",),
    ),
    Bug(
        "part_of_a_fill_told_as_all", _B + "Facts.mqh",
        "   else if(volume < request.body.volume) word.status = STATUS_PARTIAL;\n", "",
        By.TEST, "fills_in_part",
        (_ORDERS + "an_order_that_fills_in_part_is_partial_and_no_more_is_bought",),
    ),
    # --- twice ----------------------------------------------------------------------------
    Bug(
        "request_id_not_looked_up", _B + "Admission.mqh",
        "   if(IsKnown(room, request, word)) return(false);\n", "",
        By.TEST, "a_repeat_gets",
        (_ADMISSION + "a_repeat_gets_the_stored_word_and_executes_nothing",),
    ),
    Bug(
        "conflict_not_seen", _B + "Admission.mqh",
        "return(row.tomb || row.order_hash == request.order_hash);", "return(true);",
        By.TEST, "conflict",
        (_ADMISSION + "other_bytes_under_a_known_request_id_are_a_conflict_that_changes_nothing",),
    ),
    Bug(
        "intent_not_flushed", _B + "JournalFile.mqh",
        "return(Add(text, true, offset));", "return(Add(text, false, offset));",
        By.TEST, "death_before_the_broker",
        (_RECOVERY + "death_before_the_broker_got_it_is_proven_absent",),
    ),
    Bug(
        "result_not_stored", _B + "Scribe.mqh",
        "   if(!room.journal.Result(row, room.clock.WallMs()))\n",
        "   if(!room.journal.MayAct())\n",
        By.TEST, "a_repeat_after_a_restart",
        (_ADMISSION + "a_repeat_after_a_restart_gets_the_stored_word_byte_for_byte",),
    ),
    Bug(
        "boot_fence_skipped", _B + "Admission.mqh",
        "   if(m_reconciler.IsFenced(room, request)) {\n",
        "   if(IsStopped() && m_reconciler.IsFenced(room, request)) {\n",
        By.TEST, "the_boot_fence",
        (_ABSENCE + "the_boot_fence_keeps_out_what_was_signed_before_the_start",),
    ),
    Bug(
        "sent_again_after_a_requote", _B + "Trader.mqh",
        "   m_error = ticket > 0 ? 0 : GetLastError();\n   return(ticket > 0",
        "   m_error = ticket > 0 ? 0 : GetLastError();\n"
        "   if(m_error == 138 && Open(entry) > 0) return(OrderTicket());\n"
        "   return(ticket > 0",
        By.TEST, "each_definite_answer",
        (_ERRORS + "each_definite_answer_to_an_open_is_rejected_with_its_word",),
    ),
    Bug(
        "a_timeout_taken_for_a_rejection", _B + "Errors.mqh",
        "      case 129: return(CODE_INVALID_PRICE);\n",
        "      case 128:\n      case 129: return(CODE_INVALID_PRICE);\n",
        By.TEST, "found_by_its_tag",
        (_ERRORS + "an_order_that_ran_though_the_answer_was_lost_is_found_by_its_tag[128]",),
    ),
    Bug(
        "journal_shared", _B + "JournalFile.mqh",
        "FileOpen(name, FILE_READ | FILE_WRITE | FILE_BIN);",
        "FileOpen(name, FILE_READ | FILE_WRITE | FILE_BIN | FILE_SHARE_READ | FILE_SHARE_WRITE);",
        By.TEST, "a_second_advisor",
        (_CORE_JOURNAL + "a_second_advisor_cannot_open_the_same_journal",),
    ),
    # --- late -----------------------------------------------------------------------------
    Bug(
        "deadline_not_asked_again", _B + "Executor.mqh",
        "   if(request.deadline.Passed(now + LAST_MS, room.clock.MonoMs() + LAST_MS)) {\n",
        "   if(IsStopped() && request.deadline.Passed(now, room.clock.MonoMs())) {\n",
        By.TEST, "slow_disk",
        (_ADMISSION + "an_order_that_a_slow_disk_held_past_its_deadline_is_not_sent",),
    ),
    Bug(
        "price_not_asked_again", _B + "Executor.mqh",
        "   if(!m_checks.PriceHolds(room, request, spec, word)) {\n",
        "   if(IsStopped() && !m_checks.PriceHolds(room, request, spec, word)) {\n",
        By.TEST, "while_the_disk",
        (_ORDERS + "a_reference_price_that_moves_while_the_disk_is_slow_is_denied",),
    ),
    Bug(
        "step_of_the_clock_ignored", _B + "Admission.mqh",
        "   if(request.IsEntry() && !room.clock.Healthy())\n",
        "   if(request.IsEntry() && IsStopped())\n",
        By.TEST, "a_step_of_the_clock",
        (_ADMISSION + "a_step_of_the_clock_stops_entries_and_nothing_that_reduces",),
    ),
    Bug(
        "flatten_without_its_window", _B + "Admission.mqh",
        "   if(request.op == OP_FLATTEN) until += FLATTEN_WINDOW_MS;\n", "",
        By.TEST, "within_the_window",
        (_FLATTEN + "a_child_may_begin_within_the_window_and_not_after_it",),
    ),
    Bug(
        "older_change_undoes_a_newer", _B + "Checks.mqh",
        "   if(request.token.iat <= applied)\n", "   if(request.token.iat < 0)\n",
        By.TEST, "an_older_modify", (_ORDERS + "an_older_modify_does_not_undo_a_newer_one",),
    ),
    # --- against the trader's limits ------------------------------------------------------
    Bug(
        "cap_on_volume_not_checked", _B + "Checks.mqh",
        "          && room.caps.VolumeAllowed(volume, word)\n", "",
        By.TEST, "the_terminals_own_inputs",
        (_ADMISSION + "the_terminals_own_inputs_refuse_what_was_signed[inputs6-MAX_VOLUME]",),
    ),
    Bug(
        "unknown_entries_not_counted", _B + "Checks.mqh",
        "      if(!tagged || !room.pools.HasMagic(magic)) held++;\n",
        "      if(!tagged) held++;\n",
        By.TEST, "count_against_max_positions",
        (_ADMISSION
         + "positions_and_pending_orders_and_unknown_entries_count_against_max_positions",),
    ),
    Bug(
        "stop_taken_away_in_reduce_only", _B + "Admission.mqh",
        "   bool removes_sl = request.body.old_sl > 0 && request.body.sl == 0;\n",
        "   bool removes_sl = request.body.old_sl < 0;\n",
        By.TEST, "reduce_only",
        (_ADMISSION + "reduce_only_lets_through_what_reduces_and_a_tighter_stop",),
    ),
    Bug(
        "halt_not_kept", _B + "State.mqh",
        '   m_reason = TextIsPrintable(reason) ? reason : "";\n   return(Save());',
        '   m_reason = TextIsPrintable(reason) ? reason : "";\n   return(true);',
        By.TEST, "halt",
        (_ADMISSION + "halt_holds_over_a_restart_and_only_an_operators_resume_ends_it",),
    ),
    Bug(
        "signed_close_of_the_unprotected_ignored", _B + "Protector.mqh",
        'bool closes = request.body.stops_fail == "CLOSE";',
        'bool closes = request.body.stops_fail == "close";',
        By.TEST, "close_was_signed",
        (_PROTECT + "stops_that_are_refused_for_good_close_the_position_if_close_was_signed",),
    ),
    # --- outcomes -------------------------------------------------------------------------
    Bug(
        "one_look_is_enough", _B + "Watch.mqh",
        "   return(began_ms - m_list[i].first_ms >= settle_ms);",
        "   return(began_ms - m_list[i].first_ms >= 0);",
        By.TEST, "two_looks",
        (_ABSENCE + "two_looks_nearer_than_the_settling_time_are_not_enough",),
    ),
    Bug(
        "tombstone_without_a_look", _B + "Reconciler.mqh",
        "   if(age_ms < room.SettleMs() || !TombSeen(room, rid)) return(false);\n",
        "   if(age_ms < room.SettleMs()) return(false);\n",
        By.TEST, "looks_for_the_tag",
        (_ABSENCE + "with_the_journal_lost_a_tombstone_looks_for_the_tag_before_it_is_signed",),
    ),
    Bug(
        "history_too_short_taken_for_absence", _B + "Evidence.mqh",
        "room.pools.Whole() && room.pools.Reaches(request.market_ms / 1000);",
        "room.pools.Whole();",
        By.TEST, "a_history_tab",
        (_ABSENCE + "a_history_tab_that_shows_too_little_proves_no_absence",),
    ),
    Bug(
        "stop_taken_for_our_close", _B + "Evidence.mqh",
        "   if(order.ClosedByBroker() || order.closed <", "   if(order.closed <",
        By.TEST, "its_stop_closed",
        (_RECOVERY + "a_ticket_that_its_stop_closed_is_no_close_of_ours",),
    ),
    Bug(
        "rest_of_a_close_not_followed", _B + "Pools.mqh",
        '      if(rest.comment == "from #" + IntegerToString(closed.ticket)) return(true);\n', "",
        By.TEST, "a_partial_close",
        (_ORDERS + "a_partial_close_finds_the_new_ticket_of_the_rest",),
    ),
    Bug(
        "fenced_flatten_goes_on", _B + "Flatten.mqh",
        "   return(room.journal.Ended(rid));", "   return(room.journal.Ended(rid) && IsStopped());",
        By.TEST, "a_fenced_flatten", (_FLATTEN + "a_fenced_flatten_begins_no_child",),
    ),
    Bug(
        "busy_not_said", _B + "Executor.mqh",
        "   herald.Busy(request.number, request.rid);\n", "",
        By.TEST, "busy", (_ORDERS + "busy_is_said_right_before_the_broker_call",),
    ),
    # --- told, and not told ---------------------------------------------------------------
    Bug(
        "event_number_repeated", _B + "Stream.mqh",
        "   m_seq++;\n   if(Send(", "   if(m_seq == 0) m_seq++;\n   if(Send(",
        By.TEST, "numbers_run",
        (_EVENTS + "numbers_run_without_a_gap_and_heartbeats_take_none",),
    ),
    Bug(
        "lost_event_leaves_no_gap", _B + "Stream.mqh",
        "void CEventStream::Skip(void) {\n   m_seq++;\n", "void CEventStream::Skip(void) {\n",
        By.TEST, "leave_a_gap",
        (_EVENTS + "events_that_nobody_could_hear_leave_a_gap",),
    ),
    Bug(
        "key_printed", _B + "Bridge.mqh",
        'the former keys stay: ", why);',
        'the former keys stay: ", why, m_pump.desk.room.keys.CurveSecret());',
        By.TEST, "holds_a_key", (_START + "nothing_it_prints_holds_a_key",),
    ),
    Bug(
        "unverified_order_answered", _B + "Pump.mqh",
        "   if(answered) Answer(is_word ? word.Json() : state);\n   else link.Drop();\n",
        "   Answer(is_word ? word.Json() : state);\n   if(!answered) link.Drop();\n",
        By.TEST, "gets_no_answer",
        ("test_link_frames.py::test_an_order_that_does_not_verify_gets_no_answer",),
    ),
    # --- further: time, account, files, the link ------------------------------------------
    Bug(
        "deadline_on_one_clock", _B + "Deadline.mqh",
        "return(wall_ms >= m_wall_ms || mono_ms >= m_mono_ms);", "return(wall_ms >= m_wall_ms);",
        By.TEST, "the_earlier_clock",
        ("test_core_clock.py::test_a_deadline_passes_on_the_earlier_clock_as_the_servers_does",),
    ),
    Bug(
        "order_from_the_future", _B + "Admission.mqh",
        "   if(request.token.iat > now + CLOCK_SKEW_MS_MAX)\n",
        "   if(request.token.iat > now + 10 * CLOCK_SKEW_MS_MAX)\n",
        By.TEST, "from_the_future",
        (_ADMISSION + "an_order_at_its_deadline_is_too_late_and_one_from_the_future_too_early",),
    ),
    Bug(
        "real_account_traded", _B + "Account.mqh",
        "   return(m_allow_real || !IsReal());", "   return(m_allow_real || m_number > 0);",
        By.TEST, "a_real_account",
        (_ADMISSION + "a_real_account_is_not_traded_unless_the_input_says_so",),
    ),
    Bug(
        "stale_fence_believed", _B + "Desk.mqh",
        "   CWord unused;\n   if(m_admission.InTime(room, request, unused))\n      m_reconciler",
        "   CWord unused;\n   if(m_admission.InTime(room, request, unused) || !IsStopped())\n"
        "      m_reconciler",
        By.TEST, "a_stale_fence", (_ABSENCE + "a_stale_fence_ends_nothing",),
    ),
    Bug(
        "halt_that_is_old_ignored", _B + "Desk.mqh",
        "   if(request.op == OP_HALT) taken = Lower(request, STATE_HALTED);\n",
        "   CWord late;\n   if(request.op == OP_HALT && m_admission.InTime(room, request, late))\n"
        "      taken = Lower(request, STATE_HALTED);\n",
        By.TEST, "an_old_halt", (_ADMISSION + "an_old_halt_still_halts_and_never_raises",),
    ),
    Bug(
        "flatten_done_with_a_rest_open", _B + "Evidence.mqh",
        "      if(StillOpen(room, tickets[i])) open = true;\n",
        "      if(order.IsOpen()) open = true;\n",
        By.TEST, "counts_as_still_open",
        (_FLATTEN + "the_rest_of_a_partial_close_counts_as_still_open",),
    ),
    Bug(
        "flatten_done_with_a_child_unknown", _B + "Evidence.mqh",
        "return(room.journal.Known(child) && !room.journal.Ended(child));",
        "return(room.journal.Known(child) && IsStopped());",
        By.TEST, "while_a_child_is", (_FLATTEN + "the_whole_is_unknown_while_a_child_is",),
    ),
    Bug(
        "protective_step_not_kept", _B + "Protector.mqh",
        'PROTECT_SET + " " + IntegerToString(word.ticket), false);',
        'PROTECT_SET + " " + IntegerToString(word.ticket), true);',
        By.TEST, "completed_after_a_restart",
        (_PROTECT + "the_step_is_completed_after_a_restart_and_after_the_deadline[point2]",),
    ),
    Bug(
        "tombstone_not_written", _B + "Scribe.mqh",
        "      || !room.journal.Tomb(rid, kid, word.Json(), room.clock.WallMs())) {\n",
        "      || !room.journal.MayAct()) {\n",
        By.TEST, "no_copy_passes_it",
        (_ABSENCE + "a_tombstone_is_attested_with_no_order_hash_and_no_copy_passes_it",),
    ),
    Bug(
        "damage_in_the_journal_not_seen", _B + "JournalFile.mqh",
        "               && link == Link(m_buffer, start, count, m_link);\n",
        "               && StringLen(m_link) == LINK_CHARS;\n",
        By.TEST, "damage_at_any_line",
        (_CORE_JOURNAL + "damage_at_any_line_stops_all_beginning_and_tells_what_still_holds",),
    ),
    Bug(
        "damaged_state_file_believed", _B + "StateFile.mqh",
        '   return(last == "end " + StateCheck(text));', "   return(StringLen(text) > 0);",
        By.TEST, "a_file_changed_at_any_byte",
        ("test_core_state.py::test_a_file_changed_at_any_byte_or_cut_anywhere_means_halted",),
    ),
    Bug(
        "link_without_curve", _B + "Zmq.mqh",
        "SetAll() && SetKey(ZMQ_CURVE_SERVER, server_public)\n      && SetKey",
        "SetAll()\n      && SetKey",
        By.TEST, "no HELLO in",
        ("test_link_session.py::test_hello_is_repeated_until_it_is_welcomed",),
    ),
    Bug(
        "two_advisors_of_an_account", _B + "Lock.mqh",
        "   return(tick - m_since > LOCK_SILENT_MS);", "   return(tick - m_since > 0);",
        By.TEST, "a_second_advisor",
        (_START + "a_second_advisor_of_the_same_account_does_nothing_and_says_so",),
    ),
    Bug(
        "rest_told_as_a_new_position", _B + "Events.mqh",
        "      if(m_now[i].follows) continue;\n", "",
        By.TEST, "followed_to_the_rest",
        (_EVENTS + "a_partial_close_is_followed_to_the_rest",),
    ),
)  # fmt: skip
