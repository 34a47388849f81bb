"""A table of correlations: one line `symbol,symbol,correlation` for each pair.

Lines that are blank or begin with `#` say nothing. The table holds both orders of a pair.
"""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Final

from bridge_core.protocol.errors import ConfigError
from bridge_core.protocol.limits import SYMBOL_CHARS_MAX

__all__ = ["load_correlations"]

_BYTES_MAX: Final = 1_048_576
_RHO: Final = re.compile(r"\A-?(0|1)(\.[0-9]{1,8})?\Z")


def load_correlations(path: Path) -> dict[tuple[str, str], Decimal]:
    """Return the correlation (-1 to 1) of each pair of symbols in a file.

    Raises:
        ConfigError: CONFIG: it cannot be read, or a line is not what it should be; it is named.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(_BYTES_MAX + 1)
        text = raw.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            "CONFIG", f"{path}: correlation_file cannot be read ({type(error).__name__}): check it"
        ) from error
    if len(raw) > _BYTES_MAX:
        raise ConfigError("CONFIG", f"{path}: is larger than {_BYTES_MAX} bytes")
    table: dict[tuple[str, str], Decimal] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        parts = [part.strip() for part in line.split(",")]
        one, other, rho = (*parts, "", "", "")[:3]
        why = _wrong(parts, table)
        if why:
            raise ConfigError("CONFIG", f"{path}: line {number}: {why}; write EURUSD,GBPUSD,0.85")
        table[one, other] = table[other, one] = Decimal(rho)
    return table


def _wrong(parts: list[str], table: dict[tuple[str, str], Decimal]) -> str:
    if len(parts) != 3:
        return f"{len(parts)} fields instead of 3"
    one, other, rho = parts
    if not all(0 < len(name) <= SYMBOL_CHARS_MAX for name in (one, other)) or one == other:
        return "not two symbols"
    if not _RHO.match(rho) or abs(Decimal(rho)) > 1:
        return "the correlation is no number from -1 to 1"
    return "the pair stands there twice" if (one, other) in table else ""
