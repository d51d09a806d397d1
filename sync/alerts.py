"""Tell people: one POST to a URL of theirs, or a call of a function of theirs.

The POST has the form that Slack, Mattermost and Teams take. The function is for anything else:
mail, a pager, another body.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterable, Mapping
from itertools import takewhile
from typing import Protocol

from sync.results import Answer, Failure

URL_SETTING = "LTW_ALERT_URL"
HOOK_SETTING = "LTW_ALERT_HOOK"
"""``module:function``, called with the text."""
DEADLINE_SECONDS = 10.0


class AlertPoster(Protocol):
    """Sends the alert; ``sync.transport.Transport`` is one."""

    def post(
        self, url: str, *, body: bytes, headers: Mapping[str, str], deadline_seconds: float
    ) -> Answer | Failure: ...


def send_alert(text: str, *, environ: Mapping[str, str], poster: AlertPoster) -> str:
    """Send ``{"text": text}`` to ``LTW_ALERT_URL`` and call ``LTW_ALERT_HOOK`` with the text.

    What became of it, fit for a log. Never raises: an alert that fails must not hide what it is
    about.
    """
    url, hook = environ.get(URL_SETTING, ""), environ.get(HOOK_SETTING, "")
    if not url and not hook:
        return f"no alert sent: neither {URL_SETTING} nor {HOOK_SETTING} is set"
    said = []
    if url:
        said.append(_post(text, url, poster))
    if hook:
        said.append(_call(text, hook))
    return "; ".join(said)


def failures_in_a_row(successes: Iterable[bool]) -> int:
    """How many runs have failed since the last success; newest first."""
    return sum(1 for _ in takewhile(lambda success: not success, successes))


def is_worth_an_alert(failures: int) -> bool:
    """The 1st, 2nd, 4th, 8th … failure in a row: an outage of a night is nine alerts, not hundreds.

    The numbers grow with the outage, so silence never lasts longer than the outage has already.
    """
    return failures > 0 and failures & (failures - 1) == 0


def _post(text: str, url: str, poster: AlertPoster) -> str:
    body = json.dumps({"text": text}, ensure_ascii=False).encode("utf-8")
    headers = {"Content-Type": "application/json"}
    match poster.post(url, body=body, headers=headers, deadline_seconds=DEADLINE_SECONDS):
        case Answer(status=status) if 200 <= status <= 299:
            return "alert sent"
        case Answer(status=status):
            return f"alert refused with status {status}: check {URL_SETTING}"
        case Failure(error_kind=kind, detail=detail):
            return f"alert not sent ({kind}): {detail}; check {URL_SETTING}"


def _call(text: str, hook: str) -> str:
    module, _, function = hook.partition(":")
    try:
        getattr(importlib.import_module(module), function)(text)
    # The function is not ours, and whatever it raises must not hide the failure it is told of.
    except Exception as error:
        return f"{HOOK_SETTING} {hook!r} failed with {type(error).__name__}"
    return f"{HOOK_SETTING} called"
