"""The tests of the Advisor are awake: bugs planted in its source are found (hunt.py).

The long run hunts a few of them, `make soak` and `make ea-planted` all.
"""

from __future__ import annotations

import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest

from tests.mql4.hunt import BUGS, SOURCE, bug, control, copy_of_source, hunt, main, plant, table
from tests.mql4.needs import needs_compiler
from tests.mql4.planted import Bug, By
from tests.mql4.toolchain import HARNESS

# One found by g++, one by the harness, one by a test that fails.
FEW: Final = ("uninitialised_local", "linger_not_set", "mac_compared_in_part")
HARMLESS: Final = Bug(
    "harmless", "Include/Bridge/Tag.mqh", "#define TAG_CHARS 12", "#define TAG_CHARS 12  // same",
    By.LINT, "a finding",
)  # fmt: skip


@pytest.mark.parametrize("planted", BUGS, ids=lambda planted: planted.name)
def test_each_planted_text_is_in_the_source_once_and_its_tests_are_there(planted: Bug) -> None:
    assert (SOURCE / planted.file).read_text("utf-8").count(planted.text) == 1
    assert planted.replacement != planted.text
    assert planted.says
    assert bool(planted.tests) == (planted.by not in (By.LINT, By.GXX))
    for name in planted.tests:
        file, _, test = name.partition("::")
        function = re.escape(test.partition("[")[0])
        assert re.search(rf"^def {function}\(", (HARNESS / file).read_text("utf-8"), re.MULTILINE)


def test_no_two_planted_bugs_have_the_same_name() -> None:
    assert len({each.name for each in BUGS}) == len(BUGS)


def test_a_text_that_the_source_does_not_have_any_more_is_an_error(tmp_path: Path) -> None:
    source = copy_of_source(tmp_path)
    with pytest.raises(ValueError, match=r"0 times in Include/Bridge/Tag\.mqh, not once"):
        plant(HARMLESS._replace(text="int gone = 0;"), source)
    with pytest.raises(ValueError, match=r"moved: its text is \d+ times"):
        plant(HARMLESS._replace(name="moved", text="return"), source)


@pytest.mark.long  # builds the Advisor
def test_a_change_that_harms_nothing_is_not_called_found() -> None:
    result = hunt(HARMLESS)
    assert not result.found
    assert table([result]).startswith("MISSED")


def test_an_unknown_name_is_refused_before_anything_is_built(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["no_such_bug"]) == 2
    assert "--list names them" in capsys.readouterr().err
    assert main(["--list"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(BUGS)


@pytest.mark.long
@needs_compiler
def test_planted_bugs_are_found_and_the_unchanged_source_passes() -> None:
    bugs = BUGS if os.environ.get("ZTB_SOAK") else tuple(bug(name) for name in FEW)
    assert control(bugs) == ""
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(hunt, bugs))
    print(table(results))
    assert all(each.found for each in results), table(results)
