"""Keys: HKDF against an independent RFC 5869, separation by every input, scopes (protocol.md 4)."""

from __future__ import annotations

import hashlib
import hmac
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge_core.protocol.keys import (
    EVENT_PURPOSES,
    KeySet,
    KeyState,
    Mode,
    derive,
    derive_set,
    purposes,
    request_purpose,
)
from bridge_core.protocol.operations import OPERATIONS, Lane, Op, Purpose, Scope, granted
from tests.support import independent
from tests.support.strategies import accounts, kids

ROOT = bytes(range(32))
QUERIES = {
    Op.HELLO, Op.PING, Op.HEALTH, Op.GET_ACCOUNT, Op.GET_POSITIONS, Op.GET_ORDERS, Op.GET_QUOTE,
    Op.GET_SYMBOL, Op.GET_HISTORY, Op.GET_LIMITS, Op.SYNC_ALL, Op.GET_STATUS, Op.GET_JOURNAL,
    Op.GET_LOG, Op.CHECK,
}  # fmt: skip
SCOPES = {
    Scope.QUERY: QUERIES,
    Scope.REDUCE: QUERIES | {Op.CLOSE, Op.CANCEL, Op.FLATTEN, Op.FENCE, Op.HALT, Op.REDUCE_ONLY},
    Scope.TRADE: QUERIES
    | {Op.OPEN, Op.CLOSE, Op.MODIFY, Op.CANCEL, Op.FLATTEN, Op.FENCE, Op.HALT, Op.REDUCE_ONLY}
    | {Op.HEARTBEAT},
    Scope.OPERATOR: QUERIES | {Op.HALT, Op.REDUCE_ONLY, Op.RESUME, Op.SETTLE},
}


def test_the_independent_hkdf_gives_the_first_test_case_of_rfc_5869() -> None:
    okm = independent.hkdf(bytes([0x0B] * 22), bytes(range(13)), bytes(range(0xF0, 0xFA)), 42)
    assert okm.hex() == (
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
    )


@pytest.mark.parametrize(
    ("key", "data", "wanted"),
    [
        (b"\x0b" * 20, b"Hi There",
         "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
        (b"Jefe", b"what do ya want for nothing?",
         "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
        (b"\xaa" * 20, b"\xdd" * 50,
         "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
        (b"\xaa" * 131, b"Test Using Larger Than Block-Size Key - Hash Key First",
         "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"),
    ],
)  # fmt: skip
def test_hmac_sha256_here_is_the_one_of_rfc_4231(key: bytes, data: bytes, wanted: str) -> None:
    assert hmac.new(key, data, hashlib.sha256).hexdigest() == wanted
    assert hmac.digest(key, data, "sha256").hex() == wanted


@given(
    root=st.binary(min_size=32, max_size=32),
    mode=st.sampled_from(Mode),
    acct=accounts,
    kid=kids,
    purpose=st.sampled_from(Purpose),
)
def test_a_derived_key_is_what_the_independent_hkdf_says(
    root: bytes, mode: Mode, acct: str, kid: str, purpose: Purpose
) -> None:
    ours = derive(root, mode=mode, acct=acct, kid=kid, purpose=purpose)
    assert ours == independent.key(root, mode.value, acct, kid, purpose.value)


def test_no_two_roots_modes_accounts_kids_or_purposes_share_a_key() -> None:
    # Pairs such as (acct "a", kid "bc") and (acct "ab", kid "c") would collide without lengths.
    inputs = list(
        itertools.product(
            (ROOT, bytes(31) + b"\x01"), Mode, ("a", "ab", "abc"), ("bc", "cc", "c-"), Purpose
        )
    )
    keys = {
        derive(root, mode=mode, acct=acct, kid=kid, purpose=purpose)
        for root, mode, acct, kid, purpose in inputs
    }
    assert len(keys) == len(inputs)


@pytest.mark.parametrize("length", [0, 1, 16, 31, 33, 64])
def test_a_root_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="root key length"):
        derive(bytes(length), mode=Mode.PAPER, acct="a", kid="k1", purpose=Purpose.QUERY_SRV)


@pytest.mark.parametrize("scope", Scope)
@pytest.mark.parametrize("op", Op)
def test_each_scope_is_granted_exactly_what_is_documented(scope: Scope, op: Op) -> None:
    assert (op in granted(scope)) == (op in SCOPES[scope])


@pytest.mark.parametrize("ea", [False, True])
@pytest.mark.parametrize("scope", Scope)
def test_each_scope_holds_exactly_the_keys_of_what_it_may_ask(scope: Scope, ea: bool) -> None:
    held = set(purposes(scope, ea=ea))
    for op in granted(scope):
        srv, executor = request_purpose(op, scope)
        assert srv in held
        assert executor is None or executor in held
    for op in set(Op) - granted(scope):
        assert OPERATIONS[op].purpose not in held or scope is Scope.REDUCE
    assert (Purpose.REPLY_EA in held) is ea
    assert not held & set(EVENT_PURPOSES)


def test_only_an_operator_signs_with_admin_keys_and_only_the_stop_lane_changes_key() -> None:
    for op, spec in OPERATIONS.items():
        for scope in (Scope.QUERY, Scope.REDUCE, Scope.TRADE):
            assert request_purpose(op, scope) == (spec.purpose, spec.purpose_ea)
        stop = spec.lane is Lane.STOP
        wanted = (Purpose.ADMIN_SRV, Purpose.ADMIN_EA) if stop else (spec.purpose, spec.purpose_ea)
        assert request_purpose(op, Scope.OPERATOR) == wanted


def _set(**changes: object) -> KeySet:
    base = {"kid": "k1", "acct": "demo", "mode": Mode.PAPER, "scope": Scope.TRADE, "keys": {}}
    return KeySet(**{**base, **changes})  # type: ignore[arg-type]


def test_a_set_is_derived_with_its_own_identity_and_the_rest_is_kept() -> None:
    base = _set(state=KeyState.RETIRING, not_after_ms=5, curve_public="pub")
    full = derive_set(ROOT, base, purposes(Scope.TRADE, ea=False))
    assert set(full.keys) == set(purposes(Scope.TRADE, ea=False))
    for purpose, key in full.keys.items():
        assert key == independent.key(ROOT, "paper", "demo", "k1", purpose.value)
    assert (full.state, full.not_after_ms, full.curve_public) == (KeyState.RETIRING, 5, "pub")


@pytest.mark.parametrize(
    ("state", "not_after", "now", "alive"),
    [
        (KeyState.ACTIVE, 0, 10**12, True),
        (KeyState.ACTIVE, 100, 99, True),
        (KeyState.ACTIVE, 100, 100, False),
        (KeyState.RETIRING, 100, 99, True),
        (KeyState.RETIRING, 100, 100, False),
        (KeyState.RETIRING, 0, 1, False),  # retiring without a date is no life at all
        (KeyState.REVOKED, 0, 1, False),
        (KeyState.REVOKED, 100, 1, False),
    ],
)
def test_a_retiring_set_lives_until_its_date_and_a_revoked_one_not_at_all(
    state: KeyState, not_after: int, now: int, alive: bool
) -> None:
    assert _set(state=state, not_after_ms=not_after).alive(now) is alive


def test_a_key_set_never_prints_its_keys() -> None:
    full = derive_set(ROOT, _set(), [Purpose.ORDER_SRV])
    secret = full.keys[Purpose.ORDER_SRV]
    for text in (repr(full), str(full), f"{full}"):
        assert secret.hex() not in text
        assert repr(secret)[2:-1] not in text
        assert text == "<KeySet k1 trade active>"
