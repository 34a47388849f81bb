"""`ztb version`: light, so that it works when nothing else does."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Final

from bridge_client.cli.output import Answer
from bridge_core.protocol.limits import PROTOCOL_VERSION

if TYPE_CHECKING:
    from bridge_client.cli.main import Context

__all__ = ["package_version", "run"]

_LIBRARIES: Final = ("pyzmq", "msgspec", "cryptography")


def package_version(name: str = "zero-trust-bridge") -> str:
    """Return an installed distribution's version, "not installed" without one."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def run(ctx: Context) -> Answer:
    """Print the versions."""
    libraries = {name: package_version(name) for name in _LIBRARIES}
    ours = package_version()
    ctx.out.fields(
        [
            ("zero-trust-bridge", ours),
            ("protocol", PROTOCOL_VERSION),
            ("python", platform.python_version()),
            *libraries.items(),
        ]
    )
    data = {
        "version": ours,
        "protocol": PROTOCOL_VERSION,
        "python": platform.python_version(),
        "libraries": libraries,
    }
    return Answer(0, data)
