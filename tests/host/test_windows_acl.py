"""Access lists of Windows, judged from their text; the reading itself needs that platform."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bridge_core.host.windows_acl import (
    acl_problem,
    make_private,
    mend_command,
    private_sddl,
    read_problem,
)

ME = "S-1-5-21-1004336348-1177238915-682003330-1001"
OTHER = "S-1-5-21-1004336348-1177238915-682003330-1002"


@pytest.mark.parametrize(
    "sddl",
    [
        f"O:{ME}D:PAI(A;;FA;;;SY)(A;;FA;;;BA)(A;;FA;;;{ME})",
        f"O:BAG:SYD:P(A;;FA;;;{ME})",
        f"O:{ME}D:AI(D;;FA;;;WD)(A;ID;FA;;;{ME})(A;ID;FA;;;OW)",
        f"O:{ME}" + private_sddl(ME, folder=False),
        f"O:{ME}" + private_sddl(ME, folder=True),
    ],
)
def test_only_the_user_system_and_administrators_may_read(sddl: str) -> None:
    assert acl_problem(sddl, ME) is None


@pytest.mark.parametrize(
    "sddl",
    [
        f"O:{ME}D:AI(A;;FA;;;{ME})(A;ID;0x1200a9;;;BU)",
        f"O:{ME}D:AI(A;;FA;;;{ME})(A;;FR;;;WD)",
        f"O:{ME}D:AI(A;;FA;;;{ME})(A;;FR;;;AU)",
        f"O:{ME}D:P(A;;FA;;;{OTHER})",
        f"O:{OTHER}D:P(A;;FA;;;{ME})",
        f"D:P(A;;FA;;;{ME})",
        f"O:{ME}",
        f"O:{ME}D:NO_ACCESS_CONTROL",
        f"O:{ME}D:",
        f"O:{ME}D:P(A;FA)",
        f"O:{ME}D:P(A;;FA;;;LA)",
        "",
        "garbage",
    ],
)
def test_anybody_else_or_anything_unclear_is_a_problem(sddl: str) -> None:
    assert acl_problem(sddl, ME) is not None


def test_the_local_administrator_is_known_under_the_short_name() -> None:
    admin = ME.rpartition("-")[0] + "-500"
    assert acl_problem("O:LAD:P(A;;FA;;;LA)", admin) is None


def test_the_mending_command_names_the_path() -> None:
    assert '"C:\\x y\\a.key"' in mend_command(Path("C:\\x y\\a.key"))


@pytest.mark.skipif(sys.platform != "win32", reason="platform: Windows access lists")
def test_a_file_made_private_has_no_problem(tmp_path: Path) -> None:
    path = tmp_path / "a.key"
    path.write_bytes(b"x")
    make_private(path)
    assert read_problem(path) is None
