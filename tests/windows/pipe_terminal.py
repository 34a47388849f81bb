"""A terminal's end of the pipe, for the real wheel: it says what it is told to, or dies of it.

    python pipe_terminal.py FOLDER      # makes terminal64.exe there, serves until it is ended

Measured with wheel 5.0.6231: the pipe is named by the SHA-256 of the resolved path in lower case;
a message is a length, a command and its payload, an answer a length, the command, a code (1 is
fine) and its payload. `initialize` asks for the build (command 4), then for the state (0x6d) until
it is 2.

The file `say` in FOLDER holds how to answer everything else: `code N`, `zeros N` (fine, N bytes),
`other` (another command's answer), `late S` (seconds), `drop` (the pipe), `die`. The file `heard`
gets one line for each message: command and payload, in hex.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import struct
import sys
import time
from ctypes import wintypes
from pathlib import Path
from typing import Final

assert sys.platform == "win32"

BUILD: Final = 4
STATE: Final = 0x6D
AUTHORISED: Final = 2
_BYTES: Final = 65_536

_kernel = ctypes.WinDLL("kernel32", use_last_error=True)
_kernel.CreateNamedPipeW.restype = ctypes.c_void_p
_kernel.CreateNamedPipeW.argtypes = [wintypes.LPCWSTR, *[wintypes.DWORD] * 6, ctypes.c_void_p]
_kernel.ConnectNamedPipe.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
_kernel.DisconnectNamedPipe.argtypes = [ctypes.c_void_p]
for _name in ("ReadFile", "WriteFile"):
    getattr(_kernel, _name).argtypes = [
        ctypes.c_void_p, ctypes.c_void_p, wintypes.DWORD, ctypes.POINTER(wintypes.DWORD),
        ctypes.c_void_p,
    ]  # fmt: skip


class Terminal:
    """One pipe, one client at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        exe = folder / "terminal64.exe"
        exe.touch()
        path = "\\\\?\\" + str(exe.resolve()).lower()
        name = hashlib.sha256(path.encode("utf-16-le")).hexdigest().upper()
        self._pipe = _kernel.CreateNamedPipeW(
            f"\\\\.\\pipe\\MT5.Terminal.{name}", 3, 0, 1, _BYTES, _BYTES, 0, None
        )

    def serve(self) -> None:
        """Answer until the process ends."""
        while True:
            _kernel.ConnectNamedPipe(self._pipe, None)
            while message := self._read():
                self._answer(message)
            _kernel.DisconnectNamedPipe(self._pipe)

    def _read(self) -> bytes:
        buffer, size = ctypes.create_string_buffer(_BYTES), wintypes.DWORD()
        if not _kernel.ReadFile(self._pipe, buffer, _BYTES, ctypes.byref(size), None):
            return b""
        return buffer.raw[: size.value]

    def _write(self, command: int, code: int, payload: bytes = b"") -> None:
        body = struct.pack("<Ii", command, code) + payload
        data, size = struct.pack("<I", len(body)) + body, wintypes.DWORD()
        _kernel.WriteFile(self._pipe, data, len(data), ctypes.byref(size), None)

    def _answer(self, message: bytes) -> None:
        command: int = struct.unpack_from("<I", message, 4)[0]
        with (self._folder / "heard").open("a") as file:
            file.write(f"{command:x} {message[8:].hex()}\n")
        how, _, number = (self._folder / "say").read_text().partition(" ")
        if command == BUILD:
            self._write(command, 1, struct.pack("<I", 5_000))
        elif command == STATE:
            self._write(command, 1, struct.pack("<I", AUTHORISED))
        elif how == "code":
            self._write(command, int(number))
        elif how == "zeros":
            self._write(command, 1, bytes(int(number)))
        elif how == "other":
            self._write(command + 1, 1, bytes(4))
        elif how == "late":
            time.sleep(float(number))
            self._write(command, -1)
        elif how == "drop":
            _kernel.DisconnectNamedPipe(self._pipe)
            _kernel.ConnectNamedPipe(self._pipe, None)
        elif how == "die":
            os._exit(0)


if __name__ == "__main__":
    terminal = Terminal(Path(sys.argv[1]))
    print("serving", flush=True)
    terminal.serve()
