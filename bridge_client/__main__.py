"""`python -m bridge_client` is `ztb`."""

from __future__ import annotations

import sys

from bridge_client.cli.main import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
