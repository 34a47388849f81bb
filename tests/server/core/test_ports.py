"""The seam's own small words."""

from __future__ import annotations

from bridge_server.core.ports import Identity, blank


def test_a_terminal_that_was_never_read_shows_its_account_and_nothing_else() -> None:
    identity = Identity(
        login=7, server="Demo", kind="demo", currency="USD", margin_mode="hedging", leverage=100
    )
    shot = blank(identity)
    assert shot.identity is identity
    assert (shot.taken_wall_ms, shot.connected) == (0, False)
    assert not any((shot.positions, shot.orders, shot.quotes, shot.symbols))
    assert shot.account.equity == shot.account.free_margin == 0
