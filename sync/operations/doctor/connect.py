"""Connect: is it the intended warehouse, and do its sessions behave as ours must?"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import requests
from cryptography.hazmat.primitives import serialization

from sync.http.network import canary
from sync.operations.doctor.check import (
    Check,
    Finding,
    Session,
    Visit,
    failed,
    ok,
    skipped,
    some,
    warning,
)
from sync.settings import EmbeddedWarehouse, SnowflakeWarehouse
from sync.warehouse import StatementFailed, WarehouseUnavailable, private_key_der

TIMEOUT_SECONDS = 10
MOST_SKEW_SECONDS = 30
"""A login token is valid for 60 s from the time on its sender's clock."""
DECIDING = (
    "BINARY_INPUT_FORMAT",
    "BINARY_OUTPUT_FORMAT",
    "DATE_INPUT_FORMAT",
    "DATE_OUTPUT_FORMAT",
    "QUOTED_IDENTIFIERS_IGNORE_CASE",
    "ROWS_PER_RESULTSET",
    "TIMESTAMP_INPUT_FORMAT",
    "TIMESTAMP_NTZ_OUTPUT_FORMAT",
    "TIMESTAMP_TYPE_MAPPING",
)
"""Parameters that change what a statement means or returns, and that must have their default;
docs.snowflake.com/en/sql-reference/parameters. TIMEZONE must be UTC."""

_BARE = ("true", "false", "0")
"""Values of the parameters above that are written without quotes."""


def _host(visit: Visit) -> Finding:
    address = _address(visit)
    try:
        response = requests.head(address, timeout=TIMEOUT_SECONDS, allow_redirects=False)
    except requests.RequestException as error:
        return failed(
            f"{address} does not respond ({type(error).__name__})",
            "check SNOWFLAKE_ACCOUNT (organization-account, without .snowflakecomputing.com), "
            "name resolution, the proxy, and that port 443 is open from here"
            if isinstance(visit.settings, SnowflakeWarehouse)
            else "start it: learning-time-webhooks warehouse start",
        )
    milliseconds = response.elapsed.total_seconds() * 1_000
    return ok(f"{address} responds, {milliseconds:,.0f} ms")


def _key(visit: Visit) -> Finding:
    key = serialization.load_der_private_key(
        private_key_der(visit.account("takes any login")), password=None
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    mark = base64.b64encode(hashlib.sha256(public).digest()).decode()
    return ok(f"its public key fingerprint is SHA256:{mark}")


def _clock(visit: Visit) -> Finding:
    """Before the login, whose token a wrong clock makes invalid; from a response of the host."""
    try:
        response = requests.head(_address(visit), timeout=TIMEOUT_SECONDS, allow_redirects=False)
    except requests.RequestException:
        return skipped("the host does not respond")
    if "date" not in response.headers:
        return skipped("the response of the host has no Date header")
    theirs = parsedate_to_datetime(response.headers["date"])
    skew = (datetime.now(UTC) - theirs).total_seconds()
    # The header counts in whole seconds.
    if abs(skew) <= MOST_SKEW_SECONDS:
        return ok(f"{max(0, round(abs(skew)) - 1)} s from the warehouse's")
    return failed(
        f"{abs(skew):,.0f} s {'ahead of' if skew > 0 else 'behind'} the warehouse's, so no login "
        "token is valid",
        "set this machine's clock with NTP",
    )


def _login(visit: Visit) -> Finding:
    settings = visit.settings
    try:
        visit.session()
    except WarehouseUnavailable as error:
        return failed(" ".join(str(error).split()), _LOGIN_REPAIR)
    who = settings.user if isinstance(settings, SnowflakeWarehouse) else "embedded"
    return ok(f"accepted for {who}")


_LOGIN_REPAIR = (
    "for 'JWT token is invalid' compare the key above with RSA_PUBLIC_KEY_FP of `describe user`; "
    "for 250001 with a network policy, allow this machine's address"
)


def _place(visit: Visit) -> Finding:
    visit.account("is in no region")
    row = visit.session().rows(
        "select current_region() as region, current_version() as version,"
        " current_account() as account"
    )[0]
    return ok(f"{row['account']} in {row['region']}, version {row['version']}")


def _roles(visit: Visit) -> Finding:
    visit.account("has no roles")
    found = {kind: _role(visit, kind) for kind in (Session.DELIVERY, Session.BUILD)}
    roles = ", ".join(f"{kind}: {role}" for kind, (role, _) in found.items())
    secondary = [f"{kind}" for kind, (_, others) in found.items() if others]
    if secondary:
        return warning(
            f"{roles}; sessions have secondary roles ({', '.join(secondary)}), so a missing grant "
            "does not show",
            "alter user … set default_secondary_roles = ()",
        )
    return ok(roles)


def _role(visit: Visit, kind: Session) -> tuple[str, str]:
    row = visit.session(kind).rows(
        "select current_role() as role,"
        " parse_json(current_secondary_roles()):roles::varchar as others"
    )[0]
    return row["role"], row["others"]


def _warehouses(visit: Visit) -> Finding:
    """SHOW WAREHOUSES lists those that the role may use, and needs no running one.

    The delivery warehouse is tried before the pins, so that it wakes once.
    """
    visit.account("has no virtual warehouses")
    names = {
        kind: visit.account("", kind).warehouse.upper()
        for kind in (Session.DELIVERY, Session.BUILD)
    }
    problems = [
        f"{name} does not exist, or {kind} may not use it"
        for kind, name in names.items()
        if not any(row["name"] == name for row in warehouses(visit, kind))
    ]
    if problems:
        return failed("; ".join(problems), _WAREHOUSE_REPAIR)
    return idle(visit, Session.BUILD) or ok(f"{some(sorted(set(names.values())))} may be used")


def idle(visit: Visit, kind: Session) -> Finding | None:
    """A failure if a session's warehouse cannot run a query; if it can, this wakes it."""
    name = visit.account("has no virtual warehouses", kind).warehouse.upper()
    try:
        visit.session(kind).rows("select count(*) as n from table(generator(rowcount => 1))")
    except StatementFailed as error:
        return failed(f"{name} cannot run a query: {error}", _WAREHOUSE_REPAIR)
    return None


_WAREHOUSE_REPAIR = (
    "grant usage on the warehouse to the role; if its monitor suspended it, raise the quota"
)


def _edition(visit: Visit) -> Finding:
    """No function reports it. Retention above a day requires Enterprise:
    docs.snowflake.com/en/user-guide/data-time-travel."""
    account = visit.account("has no edition")
    kept = [
        int(row["retention_time"] or 0)
        for row in visit.session().rows(f"show schemas in database {account.database}")
        if str(row.get("retention_time") or "").isdigit()
    ]
    if any(days > 1 for days in kept):
        return ok(f"Enterprise or higher: a schema keeps {max(kept)} days of time travel")
    return ok("unknown: Standard, or a higher edition whose longer retention is not used")


def _parameters(kind: Session) -> Check:
    def look(visit: Visit) -> Finding:
        rows = visit.session(kind).rows("show parameters in session")
        wrong = wrong_parameters({row["key"].upper(): row for row in rows})
        if not wrong:
            return ok("time zone UTC, formats at their defaults")
        repair = "alter user … set " + ", ".join(
            f"{name} = {value if value.lower() in _BARE else repr(value)}"
            for name, _, value in wrong
        )
        found = ", ".join(f"{name} is {value}" for name, value, _ in wrong)
        return failed(f"statements may have another meaning: {found}", repair)

    return Check("Connect", f"parameters of {kind}", look)


def wrong_parameters(
    found: Mapping[str, Mapping[str, str]],
) -> Sequence[tuple[str, str, str]]:
    """Name, value and required value of each wrong parameter, from SHOW PARAMETERS."""
    wrong = [
        (name, row["value"], row["default"])
        for name in DECIDING
        if (row := found.get(name)) is not None and row["value"].upper() != row["default"].upper()
    ]
    zone = found.get("TIMEZONE")
    if zone is not None and zone["value"] not in ("UTC", "Etc/UTC"):
        wrong.append(("TIMEZONE", zone["value"], "UTC"))
    return wrong


def warehouses(visit: Visit, kind: Session) -> Sequence[Mapping[str, object]]:
    """The virtual warehouses that a session may use, as SHOW WAREHOUSES describes them."""
    return visit.session(kind).rows("show warehouses")


def _address(visit: Visit) -> str:
    match visit.settings:
        case EmbeddedWarehouse(port=port):
            return f"http://127.0.0.1:{port}/health"
        case SnowflakeWarehouse() as account:
            return f"https://{canary(account)}/"


CHECKS = (
    Check("Connect", "host", _host),
    Check("Connect", "clock", _clock),
    Check("Connect", "key", _key),
    Check("Connect", "login", _login),
    Check("Connect", "region", _place),
    Check("Connect", "roles", _roles),
    Check("Connect", "warehouses", _warehouses),
    Check("Connect", "edition", _edition),
    *(_parameters(kind) for kind in (Session.DELIVERY, Session.BUILD)),
)
