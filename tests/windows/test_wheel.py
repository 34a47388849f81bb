"""The real MetaTrader5 wheel answers as wheel_answers.json says. Needs Windows, not a terminal."""

from __future__ import annotations

import sys

import pytest

from tests.windows.wheel_file import differences

assert sys.platform == "win32"  # conftest.py leaves it out elsewhere


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # numpy's, about what is passed
def test_the_wheel_answers_as_recorded() -> None:
    import MetaTrader5

    assert not differences(MetaTrader5)
