"""Tell people: one POST to a URL of theirs, in the form that Slack, Mattermost and Teams take."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Protocol

from sync.results import Answer, Failure

URL_SETTING = "LTW_ALERT_URL"
DEADLINE_SECONDS = 10.0


class AlertPoster(Protocol):
    """Sends the alert; ``sync.transport.Transport`` is one."""

    def post(
        self, url: str, *, body: bytes, headers: Mapping[str, str], deadline_seconds: float
    ) -> Answer | Failure: ...


def send_alert(text: str, *, environ: Mapping[str, str], poster: AlertPoster) -> str:
    """Send ``{"text": text}`` to ``LTW_ALERT_URL``; what became of it, fit for a log.

    Never raises: an alert that fails must not hide what it is about.
    """
    url = environ.get(URL_SETTING, "")
    if not url:
        return f"no alert sent: {URL_SETTING} is not set"
    body = json.dumps({"text": text}, ensure_ascii=False).encode("utf-8")
    headers = {"Content-Type": "application/json"}
    match poster.post(url, body=body, headers=headers, deadline_seconds=DEADLINE_SECONDS):
        case Answer(status=status) if 200 <= status <= 299:
            return "alert sent"
        case Answer(status=status):
            return f"alert refused with status {status}: check {URL_SETTING}"
        case Failure(error_kind=kind, detail=detail):
            return f"alert not sent ({kind}): {detail}; check {URL_SETTING}"
