"""The C++ compiler behind the harness: where it is, with which warnings, what is missing."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

__all__ = ["HARNESS", "MISSING", "SANITIZE", "STANDARD", "WARNINGS", "compiler", "zmq_header"]

HARNESS: Final = Path(__file__).resolve().parent
MISSING: Final = "install g++ libzmq3-dev"
STANDARD: Final = ("-std=c++17", "-isystem", str(HARNESS))
# What MetaEditor warns of, as far as g++ sees it too: 43-45 loss of data and sign, 60 not set,
# 61-64 hidden names, 80 precedence, 83 unused results. Flow analysis needs -O1.
WARNINGS: Final = (
    "-Werror",
    "-Wall",
    "-Wextra",
    "-Wconversion",
    "-Wshadow",
    "-Wsign-compare",
    "-Wparentheses",
    "-Wmaybe-uninitialized",
    "-Wno-unused-variable",
    "-Wno-unused-but-set-variable",
    "-Wno-unused-parameter",
    "-Wno-unused-function",
    "-Wno-implicit-fallthrough",
    "-Wno-missing-field-initializers",
)
SANITIZE: Final = (
    "-fsanitize=address,undefined,float-cast-overflow",
    "-fno-sanitize-recover=undefined,float-cast-overflow",
    "-fno-omit-frame-pointer",
    "-ftrivial-auto-var-init=pattern",
    "-g1",
)


def compiler() -> str | None:
    """The path of g++ (or of $CXX), None if there is none."""
    return shutil.which(os.environ.get("CXX", "g++"))


def zmq_header() -> bool:
    """Whether the header of libzmq is installed."""
    roots = ("/usr/include", "/usr/local/include", "/opt/homebrew/include")
    return any(Path(root, "zmq.h").is_file() for root in roots)
