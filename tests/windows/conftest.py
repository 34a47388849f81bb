"""Which tests run where: in the bottle or on Windows, beside a bottle, or everywhere."""

from __future__ import annotations

import os
import sys
from typing import Final

BOTTLE: Final = "ZTB_WINE"  # the path of wine, set by __main__.py

collect_ignore: list[str] = []
if sys.platform != "win32":
    collect_ignore += ["test_inside.py", "test_wheel.py", "test_wheel_pipe.py", "test_worker.py"]
if not os.environ.get(BOTTLE):
    collect_ignore += ["test_server_in_wine.py"]
