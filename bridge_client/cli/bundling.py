"""Making key files: who gets which keys of an account (protocol.md 4).

A root stays in the bundle that signs with it. The server's folder gets derived keys only, and of
the event root only `event<srv`; the EA's file gets what only an EA may verify and attest with.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Final, NamedTuple

from bridge_client.cli.layout import EA_PATH
from bridge_core.host.bundles import (
    Bundle,
    EventRoot,
    ServerKeys,
    VerifyKeys,
    load_bundle,
    verify_file,
)
from bridge_core.host.ea_keys import ea_keys, ea_set, save_ea_keys
from bridge_core.host.keyfiles import load_key_file, random_key, save_key_file
from bridge_core.host.sockets import new_curve_keys
from bridge_core.protocol.errors import ConfigError
from bridge_core.protocol.keys import Mode
from bridge_core.protocol.operations import Purpose, Scope

__all__ = ["Held", "NewAccount", "add_bundle", "held_in", "new_account"]

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


def _curve() -> tuple[str, str]:
    pair = new_curve_keys()
    return pair.public.decode("ascii"), pair.secret.decode("ascii")


def _bundle(realm: _Realm, scope: Scope, number: int) -> Bundle:
    public, secret = _curve()
    return Bundle(
        kid=_kid(_LETTER[scope], number),
        acct=realm.acct,
        mode=realm.mode,
        scope=scope,
        ea=bool(realm.event_ea),
        root=random_key().hex(),
        curve_public=public,
        curve_secret=secret,
        server_public=realm.server_public,
        event_kid=realm.event_kid,
        event_srv=realm.event_srv,
        event_ea=realm.event_ea,
    )


def new_account(folder: Path, wanted: NewAccount) -> dict[str, str]:
    """Write every key file of a new account; return the key ids by role."""
    public, secret = _curve()
    events = EventRoot(
        kid=_kid("e", 1), acct=wanted.name, mode=wanted.mode, root=random_key().hex()
    )
    realm = _Realm(
        acct=wanted.name,
        mode=wanted.mode,
        server_public=public,
        event_kid=events.kid,
        event_srv=events.key(Purpose.EVENT_SRV).hex(),
        event_ea=events.key(Purpose.EVENT_EA).hex() if wanted.attested else "",
    )
    ea = new_curve_keys()
    server = ServerKeys(
        acct=realm.acct,
        mode=realm.mode,
        ea=wanted.attested,
        curve_public=public,
        curve_secret=secret,
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
    """One key set as an account's folder knows it; an empty folder means it is not here."""

    kid: str
    scope: str
    state: str
    folder: str
    server_has_it: bool


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
            )
        )
    return rows


def add_bundle(account: Path, folder: Path, scope: Scope) -> tuple[Bundle, Path]:
    """Write a further bundle into `folder`; return it and the file that the server needs.

    The server's file goes into the account's `server/keys`, or beside the bundle when the server's
    side is on another machine.

    Raises:
        ConfigError: no bundle here to learn the server's public key from.
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
    server = account / "server/keys"
    if not server.is_dir():
        server = folder / "for-server"
        server.mkdir(mode=0o700)
    path = server / f"{bundle.kid}.key"
    save_key_file(path, verify_file(bundle))
    return bundle, path
