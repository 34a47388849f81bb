"""The table of alerts: whole, closed, and readable when a word is of another version."""

from __future__ import annotations

import pytest

from bridge_core.protocol.alerts import ALERTS, AlertCode, Severity, rank, severity_of


def test_every_code_has_a_row_whose_fix_names_no_placeholder() -> None:
    assert set(ALERTS) == set(AlertCode)
    for code, row in ALERTS.items():
        assert row.meaning
        assert row.by
        assert row.fix
        assert "{" not in row.fix, code


def test_severities_rise() -> None:
    assert [rank(one) for one in Severity] == [0, 1, 2, 3]
    assert [str(one) for one in Severity] == ["info", "warning", "error", "critical"]


@pytest.mark.parametrize(
    ("code", "severity"),
    [("GHOST_FILL", "critical"), ("UNKNOWN", "error"), ("ZONE", "warning"), ("TEST", "info"),
     ("OF_ANOTHER_VERSION", "warning"), ("", "warning")],
)  # fmt: skip
def test_a_code_has_its_severity_and_an_unknown_one_is_a_warning(code: str, severity: str) -> None:
    assert severity_of(code) == severity


def test_a_severity_of_another_version_counts_as_a_warning() -> None:
    assert rank("catastrophe") == rank("warning")
