"""`python -m tests.support.fake_metatrader5 FOLDER`: a terminal and a market, for tests by hand."""

from __future__ import annotations

import sys

from tests.support.fake_metatrader5.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
