"""Alert people: a POST to a URL of theirs, a call to a function of theirs, or both.

The POST has the format that Slack, Mattermost and Teams accept. The function is for anything else:
mail, a pager, another body. A team may have its own URL; alerts for teams without one go to the
common URL.
"""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Collection, Iterable, Mapping
from itertools import takewhile

from sync.domain.responses import Failure, Response
from sync.http.authorization import WebhookPoster

URL_SETTING = "LTW_ALERT_URL"
"""Followed by ``_`` and a team's name: that team's own URL."""
HOOK_SETTING = "LTW_ALERT_HOOK"
"""``module:function``, called with the text."""
DEADLINE_SECONDS = 10.0


def send_alert(
    text: str, *, teams: Collection[str], environ: Mapping[str, str], poster: WebhookPoster
) -> str:
    """Send ``{"text": text}`` to the teams it concerns and call ``LTW_ALERT_HOOK`` with the text.

    A team is alerted at its own URL, or at ``LTW_ALERT_URL`` if it has none or ``teams`` is empty.
    No URL gets a text twice.

    Returns the outcome, for the log. Never raises: a failed alert must not hide the failure that it
    reports.
    """
    own = [team_setting(one) for one in sorted(teams)]
    settings = [one if environ.get(one) else URL_SETTING for one in own] or [URL_SETTING]
    targets = {environ[one]: one for one in settings if environ.get(one)}
    said = [_post(text, url, setting, poster) for url, setting in targets.items()]
    if hook := environ.get(HOOK_SETTING, ""):
        said.append(_call(text, hook))
    return "; ".join(said) or f"no alert sent: neither {URL_SETTING} nor {HOOK_SETTING} is set"


def team_setting(team: str) -> str:
    """The setting for a team's own URL: ``LTW_ALERT_URL_LEARNING_DATA`` for "Learning data"."""
    return f"{URL_SETTING}_{re.sub(r'[^A-Z0-9]+', '_', team.upper())}"


def failures_in_a_row(successes: Iterable[bool]) -> int:
    """How many runs have failed since the last success; newest first."""
    return sum(1 for _ in takewhile(lambda success: not success, successes))


def is_worth_an_alert(failures: int) -> bool:
    """The 1st, 2nd, 4th, 8th … failure in a row: a night-long outage is nine alerts, not hundreds.

    The gaps grow with the outage, so silence never lasts longer than the outage so far.
    """
    return failures > 0 and failures & (failures - 1) == 0


def _post(text: str, url: str, setting: str, poster: WebhookPoster) -> str:
    body = json.dumps({"text": text}, ensure_ascii=False).encode("utf-8")
    headers = {"Content-Type": "application/json"}
    match poster.post(url, body=body, headers=headers, deadline_seconds=DEADLINE_SECONDS):
        case Response(status=status) if 200 <= status <= 299:
            return "alert sent"
        case Response(status=status):
            return f"alert refused with status {status}: check {setting}"
        case Failure(error_kind=kind, detail=detail):
            return f"alert not sent ({kind}): {detail}; check {setting}"


def _call(text: str, hook: str) -> str:
    module, _, function = hook.partition(":")
    try:
        getattr(importlib.import_module(module), function)(text)
    # The function is not ours, and whatever it raises must not hide the failure itself.
    except Exception as error:
        return f"{HOOK_SETTING} {hook!r} failed with {type(error).__name__}"
    return f"{HOOK_SETTING} called"
