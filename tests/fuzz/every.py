"""Every target by name."""

from __future__ import annotations

from typing import Final

from tests.fuzz.files import FILES
from tests.fuzz.hop import HOP
from tests.fuzz.target import Target
from tests.fuzz.wire import WIRE

__all__ = ["TARGETS"]

TARGETS: Final[dict[str, Target]] = {target.name: target for target in (*WIRE, *HOP, *FILES)}
