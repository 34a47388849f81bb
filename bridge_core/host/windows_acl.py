"""Who may read a file on Windows: its security descriptor as SDDL text, judged by a pure function.

POSIX modes mean nothing there. The text is read and set with advapi32, never through `os.chmod`
(which only knows the read-only bit) and never through localised command output.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Final

__all__ = ["acl_problem", "make_private", "mend_command", "private_sddl", "read_problem"]

# SDDL writes well-known SIDs as two letters; the local administrator (RID 500) becomes LA.
_ALIASES: Final = {
    "SY": "S-1-5-18",
    "LS": "S-1-5-19",
    "NS": "S-1-5-20",
    "BA": "S-1-5-32-544",
    "OW": "S-1-3-4",
}
_SYSTEM: Final = "S-1-5-18"
_ADMINISTRATORS: Final = "S-1-5-32-544"
_OWNER_RIGHTS: Final = "S-1-3-4"
_OWNER: Final = re.compile(r"O:(S-1-[0-9-]+|[A-Z]{2})")
_DACL: Final = re.compile(r"D:([A-Z_]*)((?:\([^()]*\))*)")
_ACE: Final = re.compile(r"\(([^()]*)\)")


def _sid(text: str, user_sid: str) -> str:
    if text == "LA" and user_sid.endswith("-500"):
        return user_sid
    return _ALIASES.get(text, text)


def acl_problem(sddl: str, user_sid: str) -> str | None:
    """Return what is wrong with the owner and DACL in `sddl`, or None if only we may read.

    Allowed are the user (SID text), SYSTEM and the Administrators group; deny entries only
    narrow and are ignored. Anything that cannot be read counts as a problem.
    """
    owner = _OWNER.search(sddl)
    dacl = _DACL.search(sddl)
    trusted = {user_sid, _SYSTEM, _ADMINISTRATORS}
    if owner is None or _sid(owner[1], user_sid) not in trusted:
        return "is owned by somebody else"
    if dacl is None or "NO_ACCESS_CONTROL" in dacl[1] or not dacl[2]:
        return "has no access list"
    for ace in _ACE.findall(dacl[2]):
        fields = ace.split(";")
        if len(fields) < 6:
            return "has an access list that cannot be read"
        if fields[0] in {"D", "OD", "XD"}:
            continue
        if _sid(fields[5], user_sid) not in trusted | {_OWNER_RIGHTS}:
            return f"can be opened by {fields[5]}"
    return None


def private_sddl(user_sid: str, *, folder: bool) -> str:
    """Return the DACL we give: this user, SYSTEM, Administrators; nothing inherited from above."""
    inherit = "OICI" if folder else ""
    return "D:P" + "".join(
        f"(A;{inherit};FA;;;{sid})" for sid in (user_sid, _SYSTEM, _ADMINISTRATORS)
    )


def mend_command(path: Path) -> str:
    """Return the one command that makes `path` private."""
    return (
        f'icacls "{path}" /inheritance:r /grant:r "%USERNAME%:F" '
        f'"*{_SYSTEM}:F" "*{_ADMINISTRATORS}:F"'
    )


if sys.platform == "win32":
    import ctypes
    from ctypes import wintypes

    _OWNER_AND_DACL: Final = 0x1 | 0x4
    _DACL_PROTECTED: Final = 0x4 | 0x8000_0000
    _TOKEN_QUERY: Final = 0x8
    _TOKEN_USER: Final = 1
    _advapi = ctypes.WinDLL("advapi32", use_last_error=True)
    _kernel = ctypes.WinDLL("kernel32", use_last_error=True)
    # Without prototypes ctypes cuts 64-bit pointers to 32 bits.
    _kernel.GetCurrentProcess.restype = wintypes.HANDLE
    _kernel.CloseHandle.argtypes = [wintypes.HANDLE]
    _kernel.LocalFree.argtypes = [ctypes.c_void_p]
    _kernel.LocalFree.restype = ctypes.c_void_p
    _advapi.OpenProcessToken.argtypes = [
        wintypes.HANDLE, wintypes.DWORD, ctypes.POINTER(wintypes.HANDLE),
    ]  # fmt: skip
    _advapi.GetTokenInformation.argtypes = [
        wintypes.HANDLE, ctypes.c_int, ctypes.c_void_p, wintypes.DWORD,
        ctypes.POINTER(wintypes.DWORD),
    ]  # fmt: skip
    _advapi.ConvertSidToStringSidW.argtypes = [
        ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p),
    ]  # fmt: skip
    _advapi.GetFileSecurityW.argtypes = [
        wintypes.LPCWSTR, wintypes.DWORD, ctypes.c_void_p, wintypes.DWORD,
        ctypes.POINTER(wintypes.DWORD),
    ]  # fmt: skip
    _advapi.SetFileSecurityW.argtypes = [wintypes.LPCWSTR, wintypes.DWORD, ctypes.c_void_p]
    _advapi.ConvertSecurityDescriptorToStringSecurityDescriptorW.argtypes = [
        ctypes.c_void_p, wintypes.DWORD, wintypes.DWORD, ctypes.POINTER(ctypes.c_void_p),
        ctypes.c_void_p,
    ]  # fmt: skip
    _advapi.ConvertStringSecurityDescriptorToSecurityDescriptorW.argtypes = [
        wintypes.LPCWSTR, wintypes.DWORD, ctypes.POINTER(ctypes.c_void_p), ctypes.c_void_p,
    ]  # fmt: skip

    def _must(answer: int) -> None:
        if not answer:
            raise ctypes.WinError(ctypes.get_last_error())

    def _take_text(pointer: ctypes.c_void_p) -> str:
        text = ctypes.wstring_at(pointer.value or 0)
        _kernel.LocalFree(pointer)
        return text

    def _user_sid() -> str:
        token = wintypes.HANDLE()
        _must(
            _advapi.OpenProcessToken(_kernel.GetCurrentProcess(), _TOKEN_QUERY, ctypes.byref(token))
        )
        try:
            # A SID is at most 68 bytes, after one pointer and one DWORD.
            buffer = ctypes.create_string_buffer(256)
            size = wintypes.DWORD()
            _must(_advapi.GetTokenInformation(token, _TOKEN_USER, buffer, 256, ctypes.byref(size)))
            sid = ctypes.c_void_p.from_buffer(buffer)
            text = ctypes.c_void_p()
            _must(_advapi.ConvertSidToStringSidW(sid, ctypes.byref(text)))
            return _take_text(text)
        finally:
            _kernel.CloseHandle(token)

    def _read_sddl(path: Path) -> str:
        size = wintypes.DWORD()
        _advapi.GetFileSecurityW(str(path), _OWNER_AND_DACL, None, 0, ctypes.byref(size))
        buffer = ctypes.create_string_buffer(max(1, size.value))
        _must(
            _advapi.GetFileSecurityW(
                str(path), _OWNER_AND_DACL, buffer, size.value, ctypes.byref(size)
            )
        )
        text = ctypes.c_void_p()
        _must(
            _advapi.ConvertSecurityDescriptorToStringSecurityDescriptorW(
                buffer, 1, _OWNER_AND_DACL, ctypes.byref(text), None
            )
        )
        return _take_text(text)

    def read_problem(path: Path) -> str | None:
        """Return what is wrong with the access list of `path`, or None."""
        try:
            return acl_problem(_read_sddl(path), _user_sid())
        except OSError:
            return "has an access list that cannot be read"

    def make_private(path: Path) -> None:
        """Replace the access list of `path` by ours.

        Raises:
            OSError: the file system or our rights do not allow it.
        """
        descriptor = ctypes.c_void_p()
        sddl = private_sddl(_user_sid(), folder=path.is_dir())
        _must(
            _advapi.ConvertStringSecurityDescriptorToSecurityDescriptorW(
                sddl, 1, ctypes.byref(descriptor), None
            )
        )
        try:
            _must(_advapi.SetFileSecurityW(str(path), _DACL_PROTECTED, descriptor))
        finally:
            _kernel.LocalFree(descriptor)

else:

    def read_problem(path: Path) -> str | None:
        """Elsewhere the mode bits decide (keyfiles)."""
        del path
        return None

    def make_private(path: Path) -> None:
        """Elsewhere the mode bits decide (keyfiles)."""
        del path
