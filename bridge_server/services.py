"""`ztb-server service`: prints a service definition, never installs one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

__all__ = ["KINDS", "service_text"]

KINDS: Final = ("systemd", "task")

_SYSTEMD: Final = """[Unit]
Description=zero-trust bridge, account {account}
After=network-online.target time-sync.target
Wants=network-online.target

[Service]
ExecStart="{python}" -m bridge_server run --config "{config}"
WorkingDirectory={folder}
Restart=on-failure
RestartSec=2
KillSignal=SIGTERM
TimeoutStopSec=15
NoNewPrivileges=yes
PrivateTmp=yes
ProtectSystem=strict
ReadWritePaths={folder}
LimitCORE=0

[Install]
WantedBy=multi-user.target
"""

_TASK: Final = """<?xml version="1.0" encoding="UTF-16"?>
<!-- schtasks /create /tn ztb /xml FILE   (as the terminal's own Windows user) -->
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo><Description>zero-trust bridge, {account}</Description></RegistrationInfo>
  <Triggers><LogonTrigger><Enabled>true</Enabled></LogonTrigger></Triggers>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>
    <RestartOnFailure><Interval>PT1M</Interval><Count>999</Count></RestartOnFailure>
  </Settings>
  <Actions>
    <Exec>
      <Command>{python}</Command>
      <Arguments>-m bridge_server run --config "{config}"</Arguments>
      <WorkingDirectory>{folder}</WorkingDirectory>
    </Exec>
  </Actions>
</Task>
"""


def service_text(kind: str, account: str, config: Path) -> str:
    """Return the definition for one configuration file."""
    values = {
        "account": account,
        "python": sys.executable,
        "config": str(config),
        "folder": str(config.parent),
    }
    if kind == "systemd":  # where a lone % is a specifier
        return _SYSTEMD.format(**{name: text.replace("%", "%%") for name, text in values.items()})
    return _TASK.format(**{name: escape(value) for name, value in values.items()})
