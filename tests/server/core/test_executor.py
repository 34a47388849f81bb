"""The side door's protocol: what counts as an executor that attests."""

from __future__ import annotations

from bridge_core.protocol.codes import Refusal
from bridge_core.protocol.operations import Op
from bridge_core.protocol.signing import Frames
from bridge_server.core.executor import (
    Attestor,
    ExecutorPost,
    ExecutorState,
    HasHop,
    Inquiry,
)


class _Hop:
    def about(self) -> ExecutorState:
        return ExecutorState()

    def self_test(self) -> bool:
        return True


class _Attestor(_Hop):
    def refuses(self, kid: str, *, entry: bool) -> Refusal | None:
        del kid, entry
        return None

    def ask(self, inquiry: Inquiry) -> None:
        del inquiry

    def forward(self, op: Op, frames: Frames) -> None:
        del op, frames

    def hold(self, op: Op, frames: Frames) -> None:
        del op, frames

    def release(self) -> None:
        return None

    def take(self) -> list[ExecutorPost]:
        return []


def test_an_executor_attests_only_if_it_can_be_asked_and_stopped() -> None:
    assert isinstance(_Attestor(), Attestor)
    assert isinstance(_Attestor(), HasHop)
    assert isinstance(_Hop(), HasHop)
    assert not isinstance(_Hop(), Attestor)
    assert not isinstance(object(), HasHop)


def test_an_executor_that_was_never_heard_is_away() -> None:
    state = ExecutorState()
    assert not state.alive
    assert not state.linked
    assert state.why
