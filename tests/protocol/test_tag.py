"""The broker tag: never 0, never too large, recomputable from the rid alone (protocol.md 5.7)."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge_core.protocol.tag import COMMENT_TAG_CHARS, Tag, child_rid, make_tag, strategy_of
from tests.support import independent
from tests.support.strategies import accounts, rids


def test_of_a_hundred_thousand_rids_no_magic_is_0_or_out_of_a_terminals_range() -> None:
    for n in range(100_000):
        tag = make_tag("demo", hashlib.sha256(str(n).encode()).hexdigest()[:32])
        magic = tag.mt5_magic(4095)
        assert tag.usable
        assert 0 < tag.mt4_magic < 2**31
        assert 0 < tag.mt5_hash < 2**40
        assert 0 < magic < 2**53
        assert int(float(magic)) == magic


@given(accounts, rids, st.integers(0, 4095))
def test_the_tag_is_what_the_independent_reader_says(acct: str, rid: str, strategy: int) -> None:
    tag = make_tag(acct, rid)
    assert (tag.mt5_hash, tag.mt4_magic, tag.comment) == independent.tag_of(acct, rid)
    assert len(tag.comment) == COMMENT_TAG_CHARS
    assert strategy_of(tag.mt5_magic(strategy)) == strategy
    assert tag.mt5_magic(strategy) & (2**40 - 1) == tag.mt5_hash


def test_account_and_rid_do_not_run_into_each_other() -> None:
    assert make_tag("a", "b" * 32) != make_tag("ab", "b" * 31)


@pytest.mark.parametrize(("mt5", "mt4"), [(0, 1), (1, 0), (0, 0)])
def test_a_hash_part_of_0_asks_for_a_new_rid(mt5: int, mt4: int) -> None:
    assert not Tag(mt5, mt4, "Z").usable


@pytest.mark.parametrize("room", [12, 20, 27, 31, 64])
def test_the_comment_keeps_the_tag_whole_and_as_much_of_the_rest_as_fits(room: int) -> None:
    tag = make_tag("demo", "ab" * 16)
    text = tag.broker_comment("Strategy_v1 EURUSD", room)
    assert len(text) <= room
    assert text.startswith(tag.comment)
    assert f"{tag.comment} Strategy_v1 EURUSD".startswith(text)
    assert tag.broker_comment("", room) == tag.comment


@given(rids, st.integers(1, 2**63 - 1))
def test_a_childs_rid_is_a_legal_rid_of_its_own(rid: str, ticket: int) -> None:
    child = child_rid(rid, ticket)
    assert child == independent.child(rid, ticket)
    assert child != rid
    assert child != child_rid(rid, ticket + 1)
    assert len(child) == 32
