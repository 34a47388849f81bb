"""`python -m bridge_server` is `ztb-server`."""

from __future__ import annotations

import sys

from bridge_server.cli import main

if __name__ == "__main__":
    sys.exit(main())
