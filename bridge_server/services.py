"""`ztb-server service print`: prints a service definition, never installs one."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

from bridge_core.protocol.errors import ConfigError

__all__ = [
    "KINDS", "service_text", "service_warning", "this_user", "usual_kind", "write_service",
]  # fmt: skip

KINDS: Final = ("systemd", "task", "winsw")

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

# InteractiveToken: it runs on the desktop of the user who is logged in, where a terminal's window
# can be, and no password is stored. A battery must not keep it from starting.
_TASK: Final = """<?xml version="1.0" encoding="UTF-16"?>
<!-- schtasks /create /tn "ztb {tag}" /xml FILE   (as the terminal's own Windows user) -->
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo><Description>zero-trust bridge, {account}</Description></RegistrationInfo>
  <Triggers><LogonTrigger><Enabled>true</Enabled>{user}</LogonTrigger></Triggers>
  <Principals>
    <Principal id="Author">{user}<LogonType>InteractiveToken</LogonType>\
<RunLevel>LeastPrivilege</RunLevel></Principal>
  </Principals>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>
    <RestartOnFailure><Interval>PT1M</Interval><Count>999</Count></RestartOnFailure>
  </Settings>
  <Actions Context="Author">
    <Exec>
      <Command>{python}</Command>
      <Arguments>-m bridge_server run --config "{config}"</Arguments>
      <WorkingDirectory>{folder}</WorkingDirectory>
    </Exec>
  </Actions>
</Task>
"""

_WINSW: Final = """<?xml version="1.0" encoding="UTF-8"?>
<!-- Beside a WinSW program of the same name (ztb-NAME.exe, ztb-NAME.xml): ztb-NAME.exe install -->
<service>
  <id>ztb-{account}</id>
  <name>zero-trust bridge, {account}</name>
  <description>zero-trust bridge, account {account}</description>
  <executable>{python}</executable>
  <arguments>-m bridge_server run --config "{config}"</arguments>
  <workingdirectory>{folder}</workingdirectory>
  <startmode>Automatic</startmode>
  <stoptimeout>15 sec</stoptimeout>
  <onfailure action="restart" delay="2 sec"/>
  <resetfailure>1 hour</resetfailure>
  <log mode="none"/>
</service>
"""

_NO_DESKTOP: Final = (
    "MetaTrader 5 needs the desktop of the user who is logged in, and a service has none: on "
    "Windows use --kind task"
)


def service_text(kind: str, account: str, config: Path, user: str = "") -> str:
    r"""Return the definition for one configuration file.

    `user` is whom a task starts for, as DOMAIN\NAME; "": whoever registers it.
    """
    values = {
        "account": account,
        "python": sys.executable,
        "config": str(config),
        "folder": str(config.parent),
    }
    if kind == "systemd":  # where a lone % is a specifier
        return _SYSTEMD.format(**{name: text.replace("%", "%%") for name, text in values.items()})
    escaped = {name: escape(value) for name, value in values.items()}
    if kind == "winsw":  # it expands %NAME% in every text; %25 is no escape there
        return _WINSW.format(**escaped)
    return _TASK.format(
        **escaped,
        tag=account.replace("--", "- -").rstrip("-"),  # a comment may hold no two dashes
        user=f"<UserId>{escape(user)}</UserId>" if user else "",
    )


def service_warning(kind: str, backend: str, config: Path) -> str:
    """Return what speaks against this kind of service here, "" when nothing does."""
    if backend == "mt5" and kind != "task":
        return _NO_DESKTOP
    if kind == "winsw" and str(config).count("%") > 1:
        return (
            "WinSW replaces %NAME% by what the environment holds: move the folder to a plain path"
        )
    return ""


def usual_kind(backend: str) -> str:
    """Return the kind of service that fits this machine and this backend."""
    return "task" if os.name == "nt" or backend == "mt5" else "systemd"


def this_user() -> str:
    r"""Return the Windows user this runs as, DOMAIN\NAME; "" elsewhere."""
    if os.name != "nt":
        return ""
    domain, name = os.environ.get("USERDOMAIN", ""), os.environ.get("USERNAME", "")
    return f"{domain}\\{name}" if domain and name else ""


def write_service(path: Path, kind: str, text: str) -> None:
    """Write a definition into a new file, in the encoding that its reader wants.

    Raises:
        ConfigError: the file exists, or cannot be written.
    """
    encoding = "utf-16" if kind == "task" else "utf-8"  # schtasks refuses UTF-8
    try:
        with path.open("x", encoding=encoding, newline="\n") as file:
            file.write(text)
    except FileExistsError:
        raise ConfigError(
            "CONFIG", f"{path} exists and is left as it is: choose another --out"
        ) from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigError(
            "CONFIG", f"{path} cannot be written ({reason}): choose another --out"
        ) from None
