"""The table of correlations: exact, whole, and each fault named by its line."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from bridge_core.host.correlations import load_correlations
from bridge_core.protocol.errors import ConfigError


def _refused(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load_correlations(path)
    return caught.value.detail


def test_a_pair_is_found_in_either_order_and_its_number_is_exact(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text("# of a year\n\nEURUSD,GBPUSD,0.85\n EURUSD , USDCHF , -0.9\n", "utf-8")
    table = load_correlations(path)
    assert table["EURUSD", "GBPUSD"] == table["GBPUSD", "EURUSD"] == Decimal("0.85")
    assert table["USDCHF", "EURUSD"] == Decimal("-0.9")
    assert len(table) == 4


def test_what_an_editor_on_windows_leaves_is_read(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_bytes("\ufeffEURUSD,GBPUSD,1\r\n".encode())
    assert load_correlations(path)["EURUSD", "GBPUSD"] == 1


@pytest.mark.parametrize(
    "line",
    ["EURUSD,GBPUSD", "EURUSD,GBPUSD,0.8,0.9", "EURUSD,GBPUSD,1.01", "EURUSD,GBPUSD,-2",
     "EURUSD,GBPUSD,nan", "EURUSD,GBPUSD,", "EURUSD,GBPUSD,0;8", "EURUSD,GBPUSD,1e0",
     "EURUSD,,0.8", "EURUSD,EURUSD,1", f"EURUSD,{'X' * 32},0.8", "GBPUSD,AUDUSD,0.5"],
)  # fmt: skip
def test_a_line_that_is_no_pair_stops_the_start_and_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text(f"AUDUSD,GBPUSD,0.5\n{line}\n", "utf-8")
    assert f"{path}: line 2: " in _refused(path)


def test_a_file_that_is_not_there_or_no_text_or_huge_is_said_so(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    assert "FileNotFoundError" in _refused(path)
    path.write_bytes(b"\xff\xfe")
    assert "UnicodeDecodeError" in _refused(path)
    path.write_bytes(b"\n" * 1_048_577)
    assert "larger" in _refused(path)
