"""Making key files: who gets which keys of an account (protocol.md 4).

A root stays in the bundle that signs with it. The server's folder gets derived keys only, and of
the event root only `event<srv`; the EA's file gets what only an EA may verify and attest with.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from bridge_client.cli.layout import EA_PATH
from bridge_core.host.bundles import (
    Bundle,
    EventRoot,
    ServerKeys,
    VerifyKeys,
    load_bundle,
    verify_file,
)
from bridge_core.host.ea_keys import (
    ea_keys,
    ea_set,
    format_ea_set,
    load_ea_keys,
    replace_ea_keys,
    save_ea_keys,
)
from bridge_core.host.keyfiles import (
    load_key_file,
    random_key,
    replace_key_file,
    save_key_file,
    write_secret_file,
)
from bridge_core.host.sockets import new_curve_keys
from bridge_core.protocol.errors import ConfigError
from bridge_core.protocol.keys import KeyState, Mode
from bridge_core.protocol.operations import Purpose, Scope

__all__ = [
    "Added", "Ended", "Held", "NewAccount", "add_bundle", "end_set", "held_in", "new_account",
    "take_back",
]  # fmt: skip

_LETTER: Final = {
    Scope.TRADE: "t", Scope.REDUCE: "r", Scope.QUERY: "q", Scope.OPERATOR: "o",
}  # fmt: skip


class _Realm(NamedTuple):
    """What every bundle of one account shares."""

    acct: str
    mode: Mode
    server_public: str
    event_kid: str
    event_srv: str
    event_ea: str  # "" where no EA attests

    def __repr__(self) -> str:
        return f"<realm {self.acct} {self.mode}>"


class NewAccount(NamedTuple):
    """What keys an account needs; `ea_endpoint` is "" where no EA executes."""

    name: str
    mode: Mode
    ea_endpoint: str = ""

    @property
    def attested(self) -> bool:
        """Whether orders carry a MAC for the EA and it attests them: never in a rehearsal."""
        return bool(self.ea_endpoint) and self.mode is Mode.LIVE


def _kid(letter: str, number: int) -> str:
    # The random part keeps two accounts' kids apart in logs and on one machine.
    return f"{letter}{number}-{secrets.token_hex(2)}"


def _bundle(realm: _Realm, scope: Scope, number: int) -> Bundle:
    pair = new_curve_keys()
    return Bundle(
        kid=_kid(_LETTER[scope], number),
        acct=realm.acct,
        mode=realm.mode,
        scope=scope,
        ea=bool(realm.event_ea),
        root=random_key().hex(),
        curve_public=pair.public.decode("ascii"),
        curve_secret=pair.secret.decode("ascii"),
        server_public=realm.server_public,
        event_kid=realm.event_kid,
        event_srv=realm.event_srv,
        event_ea=realm.event_ea,
    )


def new_account(folder: Path, wanted: NewAccount) -> dict[str, str]:
    """Write every key file of a new account; return the key ids by role."""
    own, ea = new_curve_keys(), new_curve_keys()
    events = EventRoot(
        kid=_kid("e", 1), acct=wanted.name, mode=wanted.mode, root=random_key().hex()
    )
    realm = _Realm(
        acct=wanted.name,
        mode=wanted.mode,
        server_public=own.public.decode("ascii"),
        event_kid=events.kid,
        event_srv=events.key(Purpose.EVENT_SRV).hex(),
        event_ea=events.key(Purpose.EVENT_EA).hex() if wanted.attested else "",
    )
    server = ServerKeys(
        acct=realm.acct,
        mode=realm.mode,
        ea=wanted.attested,
        curve_public=realm.server_public,
        curve_secret=own.secret.decode("ascii"),
        event_kid=realm.event_kid,
        event_srv=realm.event_srv,
        ea_public=ea.public.decode("ascii") if wanted.ea_endpoint else "",
    )
    save_key_file(folder / "server/keys/server.key", server)
    save_key_file(folder / "operator/event.key", events)
    bundles = {
        role: _bundle(realm, scope, 1)
        for role, scope in (("connector", Scope.TRADE), ("operator", Scope.OPERATOR))
    }
    for role, bundle in bundles.items():
        save_key_file(folder / role / "keys/connector.key", bundle)
        save_key_file(folder / "server/keys" / f"{bundle.kid}.key", verify_file(bundle))
    if wanted.ea_endpoint:
        sets = tuple(ea_set(bundle) for bundle in bundles.values())
        save_ea_keys(folder / EA_PATH, ea_keys(server, ea, events, wanted.ea_endpoint, sets))
    return {"event": events.kid} | {role: bundle.kid for role, bundle in bundles.items()}


class Held(NamedTuple):
    """One key set as an account's folder knows it; an empty folder means it is not here.

    `ea_has_it` is None where no EA's file is here.
    """

    kid: str
    scope: str
    state: str
    folder: str
    server_has_it: bool
    ea_has_it: bool | None = None


def _bundles(account: Path) -> dict[Path, Bundle]:
    return {
        path.parent.parent: load_bundle(path)
        for path in sorted(account.glob("*/keys/connector.key"))
    }


def _verified(account: Path) -> dict[str, VerifyKeys]:
    found = [
        load_key_file(path, VerifyKeys)
        for path in sorted((account / "server/keys").glob("*.key"))
        if path.name != "server.key"
    ]
    return {one.kid: one for one in found}


def held_in(account: Path) -> list[Held]:
    """Return the key sets of an account's folder, by key id.

    Raises:
        ConfigError: no key set here, or a damaged or unsafe key file.
    """
    bundles = {bundle.kid: (path, bundle) for path, bundle in _bundles(account).items()}
    verified = _verified(account)
    if not bundles and not verified:
        raise ConfigError(
            "NO_ACCOUNT", f"{account} holds no key set: name the account's folder with --account"
        )
    path = account / EA_PATH
    in_ea = load_ea_keys(path).kids() if path.exists() else None
    rows = []
    for kid in sorted(bundles.keys() | verified.keys()):
        scope = bundles[kid][1].scope if kid in bundles else verified[kid].scope
        rows.append(
            Held(
                kid=kid,
                scope=str(scope),
                state=str(verified[kid].state) if kid in verified else "",
                folder=bundles[kid][0].name if kid in bundles else "",
                server_has_it=kid in verified,
                ea_has_it=kid in in_ea if in_ea is not None else None,
            )
        )
    return rows


class Added(NamedTuple):
    """A further bundle and the files that the other sides need; no EA file without an EA."""

    bundle: Bundle
    server_file: Path
    ea_file: Path | None


def add_bundle(account: Path, folder: Path, scope: Scope) -> Added:
    """Write a further bundle into `folder`; the server and the EA learn of it too.

    The server's file goes into the account's `server/keys`, the EA's line into `ea/bridge.key`; or
    beside the bundle when that side is on another machine. A failure leaves neither changed.

    Raises:
        ConfigError: no bundle here to learn the server's public key from, the EA's file is full or
            damaged, or a file cannot be written.
    """
    known = _bundles(account)
    if not known:
        raise ConfigError(
            "NO_ACCOUNT",
            f"{account} holds no bundle to learn the server's public key from: name the "
            "account's folder with --account",
        )
    one = next(iter(known.values()))
    realm = _Realm(
        acct=one.acct,
        mode=one.mode,
        server_public=one.server_public,
        event_kid=one.event_kid,
        event_srv=one.event_srv,
        event_ea=one.event_ea,
    )
    letter = _LETTER[scope]
    used = {held.kid for held in held_in(account)}
    bundle = _bundle(realm, scope, 1 + sum(kid.startswith(letter) for kid in used))
    save_key_file(folder / "keys/connector.key", bundle)
    server_file = _add_to_server(account, folder, bundle)
    try:
        ea_file = _add_to_ea(account, folder, bundle)
    except BaseException:
        server_file.unlink()
        raise
    return Added(bundle, server_file, ea_file)


def take_back(account: Path, added: Added) -> None:
    """Undo what `add_bundle` changed outside the bundle's own folder."""
    added.server_file.unlink(missing_ok=True)
    if added.ea_file == account / EA_PATH:
        replace_ea_keys(added.ea_file, load_ea_keys(added.ea_file).without_set(added.bundle.kid))


def _add_to_server(account: Path, folder: Path, bundle: Bundle) -> Path:
    server = account / "server/keys"
    if not server.is_dir():
        server = folder / "for-server"
        server.mkdir(mode=0o700)
    path = server / f"{bundle.kid}.key"
    save_key_file(path, verify_file(bundle))
    return path


def _add_to_ea(account: Path, folder: Path, bundle: Bundle) -> Path | None:
    path = account / EA_PATH
    if path.exists():
        replace_ea_keys(path, load_ea_keys(path).with_set(ea_set(bundle)))
        return path
    if not bundle.ea:
        return None
    path = folder / "for-ea" / f"{bundle.kid}.key"
    write_secret_file(path, format_ea_set(ea_set(bundle)))
    return path


class Ended(NamedTuple):
    """What `end_set` changed; None: that side does not hold the set, or is not here."""

    scope: str
    server_file: Path | None
    ea_file: Path | None


def end_set(account: Path, kid: str, state: KeyState, not_after_ms: int = 0) -> Ended:
    """Retire a key set until a date (UTC ms), or revoke it at once; the EA drops a revoked one.

    Raises:
        ConfigError: NO_KEY, nobody here knows the kid; KEY_SETS, it is the last one alive; or a
            file cannot be read or written.
    """
    server_file = account / "server/keys" / f"{kid}.key"
    ea_file = account / EA_PATH
    held = load_key_file(server_file, VerifyKeys) if server_file.exists() else None
    ea = load_ea_keys(ea_file) if ea_file.exists() else None
    in_ea = ea is not None and kid in ea.kids()
    if held is None and not in_ea:
        raise ConfigError(
            "NO_KEY",
            f"no side of {account} that is here verifies key id {kid}: see `ztb keys list`, and "
            "run this where the server's folder is",
        )
    others = [one for one in _verified(account).values() if one.kid != kid]
    if held is not None and not any(one.state is not KeyState.REVOKED for one in others):
        raise ConfigError(
            "KEY_SETS", f"key id {kid} is the last that is not revoked: `ztb keys add` one first"
        )
    if held is not None:
        ended = msgspec.structs.replace(held, state=state, not_after_ms=not_after_ms)
        replace_key_file(server_file, ended)
    drop = in_ea and state is KeyState.REVOKED
    if ea is not None and drop:
        replace_ea_keys(ea_file, ea.without_set(kid))
    scope = held.scope if held is not None else next(
        one.scope for one in (ea.sets if ea is not None else ()) if one.kid == kid
    )  # fmt: skip
    return Ended(str(scope), server_file if held is not None else None, ea_file if drop else None)
