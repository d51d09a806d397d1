"""Report a wrong environment variable immediately and by name, not in a run at night.

Only its text is checked: no file is opened and no network is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from sync import logs, telemetry
from sync.delivery.flag import flag_settings
from sync.errors import ConfigurationError
from sync.http.network import canary, network_policy, refusal_of
from sync.operations.alerts import HOOK_SETTING, URL_SETTING
from sync.operations.dial import credits_a_month
from sync.operations.operation import as_timestamp
from sync.operations.sender import sender
from sync.settings import load_settings

ACTIVATED_AT_SETTING = "WEBHOOKS_ACTIVATED_AT"
FURTHEST = timedelta(days=366)
"""A start is planned weeks ahead; a year ahead is a typo, and nothing would ever be sent."""

UNSET_YEAR = 1970
"""Tools and typos produce the epoch, year 1 and a year without its century."""


def check_environment(environ: Mapping[str, str]) -> None:
    """Read every setting that a run, a sensor or an alert will read.

    Raises:
        ConfigurationError: a variable is invalid; names it and what it accepts.
    """
    settings = load_settings(environ)
    policy = network_policy(environ, settings)
    canary(settings, environ)
    flag_settings(environ)
    activated_at(environ)
    credits_a_month(environ)
    sender(environ)
    logs.format_and_level(environ)
    for name in telemetry.ENDPOINT_SETTINGS:
        value = environ.get(name, "")
        if value and not value.startswith(("http://", "https://")):
            raise ConfigurationError(f"{name} must be a URL that begins with http:// or https://")
    for name in sorted(environ):
        if environ[name] and (name == URL_SETTING or name.startswith(f"{URL_SETTING}_")):
            # The address of an incoming webhook is a secret, so it is not shown.
            refusal = refusal_of(environ[name], policy)
            if refusal is not None:
                raise ConfigurationError(f"{name} cannot be posted to: {refusal}")
    module, _, function = environ.get(HOOK_SETTING, "").partition(":")
    if environ.get(HOOK_SETTING) and not (module and function.isidentifier()):
        raise ConfigurationError(
            f"{HOOK_SETTING} is {environ[HOOK_SETTING]!r}; it must look like module:function"
        )


def activated_at(environ: Mapping[str, str]) -> str:
    """``WEBHOOKS_ACTIVATED_AT`` as it stands; empty when it is not set.

    Raises:
        ConfigurationError: it is not a time, or not a plausible one.
    """
    text = environ.get(ACTIVATED_AT_SETTING, "").strip()
    if text:
        as_activation(text, setting=ACTIVATED_AT_SETTING)
    return text


def as_activation(text: str, *, setting: str, now: datetime | None = None) -> datetime:
    """The time of activation as naive UTC, like a TIMESTAMP_NTZ; without a zone it is UTC.

    Raises:
        ConfigurationError: names ``setting`` and the form.
    """
    try:
        found = as_timestamp(text)
    except ValueError as error:
        raise ConfigurationError(f"{setting}: {error}") from None
    if found.year <= UNSET_YEAR:
        raise ConfigurationError(
            f"{setting} is {text!r}, which is before all completions: all of them would be sent. "
            "Was it meant to be empty? To send all of them, set a date after 1970"
        )
    if found > (now or datetime.now(UTC)).replace(tzinfo=None) + FURTHEST:
        raise ConfigurationError(
            f"{setting} is {text!r}, more than a year ahead: no completion before it would ever be "
            "sent"
        )
    return found
