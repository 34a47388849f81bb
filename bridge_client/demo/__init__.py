"""`ztb demo`: a real server process, a small strategy, attacks and a kill, judged at the end.

It may not import the server's side: it starts `python -m bridge_server run` like anyone else, and
reads what the broker wrote down.
"""

from __future__ import annotations

from bridge_client.demo.options import DemoOptions
from bridge_client.demo.stage import play

__all__ = ["DemoOptions", "play"]
