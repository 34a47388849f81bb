"""The key files of one account: who holds which keys, as files (protocol.md 4).

`server/keys/server.key` and one `<kid>.key` per key set go to the server; a folder with
`keys/connector.key` is a bundle and stays with whoever signs; `operator/event.key` is the root of
the event keys and leaves the operator's folder only as derived keys.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, NoReturn

from msgspec import Meta, Struct

from bridge_core.host.cores import forbid_core_dumps
from bridge_core.host.keyfiles import load_key_file, parse_key_hex
from bridge_core.host.sockets import CurveKeys
from bridge_core.protocol.errors import ConfigError
from bridge_core.protocol.keys import KeySet, KeyState, Mode, Secret, derive, derive_set, purposes
from bridge_core.protocol.operations import Purpose, Scope

__all__ = [
    "Bundle", "EventRoot", "ServerKeys", "VerifyKeys", "load_bundle", "load_server_keys",
    "load_verify_sets", "server_purposes", "verify_file",
]  # fmt: skip

# A name or key of another shape could not be signed, derived from or given to libzmq.
KidText = Annotated[str, Meta(pattern=r"\A[a-z0-9-]{2,16}\Z")]
AcctText = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_-]{1,24}\Z")]
_Z85: Final = r"[0-9a-zA-Z.:+=^!/*?&<>()\[\]{}@%$#-]{40}"
CurveText = Annotated[str, Meta(pattern=rf"\A{_Z85}\Z")]

_BUNDLE: Final = "ztb-bundle/1"
_SERVER: Final = "ztb-server/1"
_VERIFY: Final = "ztb-verify/1"
_EVENT: Final = "ztb-event-root/1"


class _KeyFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    def __reduce__(self) -> NoReturn:
        raise TypeError("a key file is not pickled")


class Bundle(_KeyFile, frozen=True, kw_only=True):
    """Everything one signer holds. `root`, secrets and keys are hex or Z85 text."""

    kind: str = _BUNDLE
    kid: KidText
    acct: AcctText
    mode: Mode
    scope: Scope
    ea: bool
    root: str
    curve_public: CurveText
    curve_secret: CurveText
    server_public: CurveText
    event_kid: KidText
    event_srv: str
    event_ea: str = ""

    def __repr__(self) -> str:
        """Name the bundle, never its keys."""
        return f"<Bundle {self.kid} {self.scope} {self.acct} {self.mode}>"

    def key_set(self) -> KeySet:
        """Return the signer's own derived keys."""
        base = KeySet(kid=self.kid, acct=self.acct, mode=self.mode, scope=self.scope, keys={})
        return derive_set(parse_key_hex(self.root), base, purposes(self.scope, ea=self.ea))

    def curve(self) -> CurveKeys:
        """Return the signer's CURVE pair."""
        return CurveKeys(self.curve_public.encode("ascii"), self.curve_secret.encode("ascii"))

    def event_keys(self) -> dict[Purpose, bytes]:
        """Return the keys that verify events."""
        keys = {Purpose.EVENT_SRV: parse_key_hex(self.event_srv)}
        if self.event_ea:
            keys[Purpose.EVENT_EA] = parse_key_hex(self.event_ea)
        return keys


class ServerKeys(_KeyFile, frozen=True, kw_only=True):
    """The server's own identity and its event key."""

    kind: str = _SERVER
    acct: AcctText
    mode: Mode
    ea: bool
    curve_public: CurveText
    curve_secret: CurveText
    event_kid: KidText
    event_srv: str
    # The one identity that the EA's socket lets in; "" on an account without an EA.
    ea_public: Annotated[str, Meta(pattern=rf"\A({_Z85})?\Z")] = ""

    def __repr__(self) -> str:
        """Name the account, never the keys."""
        return f"<ServerKeys {self.acct} {self.mode}>"

    def curve(self) -> CurveKeys:
        """Return the server's CURVE pair."""
        return CurveKeys(self.curve_public.encode("ascii"), self.curve_secret.encode("ascii"))


class VerifyKeys(_KeyFile, frozen=True, kw_only=True):
    """One key set as its verifier holds it: derived keys only."""

    kind: str = _VERIFY
    kid: KidText
    acct: AcctText
    mode: Mode
    scope: Scope
    state: KeyState = KeyState.ACTIVE
    not_after_ms: int = 0
    curve_public: CurveText
    keys: dict[Purpose, str]

    def __repr__(self) -> str:
        """Name the set, never its keys."""
        return f"<VerifyKeys {self.kid} {self.scope} {self.state}>"

    def key_set(self) -> KeySet:
        """Return the set with its keys as bytes."""
        return KeySet(
            kid=self.kid,
            acct=self.acct,
            mode=self.mode,
            scope=self.scope,
            state=self.state,
            not_after_ms=self.not_after_ms,
            curve_public=self.curve_public,
            # Not the items: a loop's own variable would show in a traceback with locals.
            keys={purpose: parse_key_hex(self.keys[purpose]) for purpose in self.keys},
        )


class EventRoot(_KeyFile, frozen=True, kw_only=True):
    """The root of an account's event keys; belongs to no trade root."""

    kind: str = _EVENT
    kid: KidText
    acct: AcctText
    mode: Mode
    root: str

    def __repr__(self) -> str:
        """Name the set, never its root."""
        return f"<EventRoot {self.kid} {self.acct}>"

    def key(self, purpose: Purpose) -> bytes:
        """Return one derived event key."""
        root = parse_key_hex(self.root)
        return derive(root, mode=self.mode, acct=self.acct, kid=self.kid, purpose=purpose)


def server_purposes(scope: Scope) -> tuple[Purpose, ...]:
    """Return what the server may hold of a set: never a key that only the EA verifies."""
    forbidden = {Purpose.ORDER_EA, Purpose.ADMIN_EA, Purpose.REPLY_EA}
    return tuple(p for p in purposes(scope, ea=False) if p not in forbidden)


def verify_file(bundle: Bundle) -> VerifyKeys:
    """Return the file the server needs to verify what this bundle signs."""
    held = bundle.key_set().keys
    return VerifyKeys(
        kid=bundle.kid,
        acct=bundle.acct,
        mode=bundle.mode,
        scope=bundle.scope,
        curve_public=bundle.curve_public,
        keys={purpose: held[purpose].hex() for purpose in server_purposes(bundle.scope)},
    )


def _expect(kind: str, wanted: str, path: Path) -> None:
    if kind != wanted:
        raise ConfigError("KEY_FILE", f"{path} holds {kind!r}, not {wanted!r}: use the right file")


def load_bundle(path: Path) -> Bundle:
    """Return a signer's bundle; from here on this process leaves no core file.

    Raises:
        ConfigError: not owner-only, damaged, of another kind, or a weak key.
    """
    forbid_core_dumps()
    bundle = load_key_file(path, Bundle)
    _expect(bundle.kind, _BUNDLE, path)
    parse_key_hex(bundle.root)
    return bundle


def load_server_keys(path: Path) -> ServerKeys:
    """Return the server's own key file; from here on this process leaves no core file.

    Raises:
        ConfigError: as `load_bundle`.
    """
    forbid_core_dumps()
    keys = load_key_file(path, ServerKeys)
    _expect(keys.kind, _SERVER, path)
    return keys


def _secrets_of(loaded: VerifyKeys) -> list[Secret]:
    return [Secret(text.encode()) for text in (loaded.curve_public, *loaded.keys.values())]


def load_verify_sets(folder: Path, own: ServerKeys) -> dict[str, KeySet]:
    """Return every key set in the folder, by kid.

    Raises:
        ConfigError: a file of another account or mode, two files of one kid, one CURVE identity
            in two sets, or one key in two sets.
    """
    sets: dict[str, KeySet] = {}
    # The EA's and the server's identities belong to no set.
    seen = {Secret(text.encode()): "server" for text in (own.curve_public, own.ea_public) if text}
    for path in sorted(folder.glob("*.key")):
        if path.name == "server.key":
            continue
        loaded = load_key_file(path, VerifyKeys)
        _expect(loaded.kind, _VERIFY, path)
        if (loaded.acct, loaded.mode) != (own.acct, own.mode):
            raise ConfigError(
                "KEY_FILE",
                f"{path} belongs to account {loaded.acct} ({loaded.mode}), this server serves "
                f"{own.acct} ({own.mode}): remove it",
            )
        if loaded.kid in sets:
            raise ConfigError("KEY_FILE", f"{path} repeats key id {loaded.kid}: remove one file")
        for secret in _secrets_of(loaded):
            if secret in seen:
                raise ConfigError(
                    "KEY_FILE",
                    f"{path} shares a key with key id {seen[secret]}: make one of them again",
                )
            seen[secret] = loaded.kid
        sets[loaded.kid] = loaded.key_set()
    return sets
