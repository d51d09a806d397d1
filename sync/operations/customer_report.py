"""A report that an operator can hand to a customer: deliveries, endpoints, keys and samples.

It has nothing about other customers and nothing for operators only: the ledger is queried for one
enterprise, states are described in the customer's terms, and a URL is shown as its host only.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field

from sync.clock import Clock
from sync.delivery.endpoints import load_endpoints
from sync.domain.circuit_breaker import EndpointState
from sync.domain.endpoint import Endpoint
from sync.domain.pauses import Pauses
from sync.domain.retry import STEPS
from sync.domain.states import State
from sync.errors import ConfigurationError
from sync.http.secrets import SecretError, SecretStore
from sync.ledger.endpoint_states import EndpointStates
from sync.ledger.pauses import read_pauses
from sync.operations.customer_webhooks import attempts_of, counts_by_day, webhooks_of
from sync.operations.endpoints import host_of
from sync.operations.operation import Action, CommandLine, Enterprise, Report
from sync.operations.report.customer import render
from sync.operations.report.figures import DEFAULT_DAYS
from sync.operations.report.look import write_whole
from sync.operations.samples import samples
from sync.operations.sender import sender
from sync.settings import report_path
from sync.warehouse import Warehouse


def _is_page(path: str) -> str:
    if path and not path.endswith(".html"):
        raise ValueError("must end with .html; the JSON goes beside it")
    return path


class CustomerReport(Action):
    """Write a report for a customer: their deliveries, attempts, key ids and samples.

    One HTML file and the same data as JSON, with nothing about other customers and no secrets.
    """

    name: ClassVar[str] = "customer-report"
    is_read_only: ClassVar[bool] = True

    enterprise: Enterprise = Field(description="The customer's UUID.")
    days: int = Field(
        default=DEFAULT_DAYS, ge=1, le=90, description="Days to cover, including today."
    )
    to: Annotated[str, AfterValidator(_is_page), CommandLine(is_only=True)] = Field(
        default="",
        description="The HTML file to write. Default: customer-<UUID>.html in LTW_REPORTS_DIR.",
    )
    personal: Annotated[bool, CommandLine(is_only=True)] = Field(
        default=False,
        description="Include learners and bodies of delivered webhooks. They are personal data.",
    )

    def run(self, warehouse: Warehouse, clock: Clock) -> Report:
        """Read the data, write both files, and report their paths.

        Raises:
            ConfigurationError: the customer is unknown, or a file cannot be written.
            RelationMissing, StatementFailed: the ledger or a mart cannot be read.
        """
        document = read_customer(
            warehouse,
            os.environ,
            enterprise=self.enterprise,
            days=self.days,
            now=clock(),
            is_personal=self.personal,
        )
        reports = report_path(os.environ).parent
        path = Path(self.to or reports / f"customer-{self.enterprise}.html")
        page = write_whole(render(document), path)
        data = write_whole(
            json.dumps(document, indent=2, default=str) + "\n", path.with_suffix(".json")
        )
        return Report(
            document={
                "html": str(page),
                "json": str(data),
                "days": self.days,
                "states": document["states"],
                "endpoints": len(document["endpoints"]),
                "personal": self.personal,
            },
            outcome=f"written: {page} and {data}",
        )


def read_customer(
    warehouse: Warehouse,
    environ: Mapping[str, str],
    *,
    enterprise: str,
    days: int,
    now: datetime,
    is_personal: bool = False,
) -> dict[str, Any]:
    """All data of the report, for JSON; times are naive UTC. Always six statements.

    Raises:
        ConfigurationError: the customer is unknown, or a setting cannot be read.
    """
    first = (now - timedelta(days=days - 1)).date()
    loaded = load_endpoints(warehouse)
    endpoints = loaded.by_enterprise.get(enterprise, [])
    health = EndpointStates(warehouse).load(one.endpoint_id for one in endpoints)
    pauses = read_pauses(warehouse, now)
    counts = counts_by_day(warehouse, enterprise, first)
    if not endpoints and not counts:
        if problem := loaded.unreadable.get(enterprise):
            raise ConfigurationError(
                f"--enterprise: nothing has been sent to it yet, and {problem}"
            )
        raise ConfigurationError(
            f"--enterprise: {enterprise} has no endpoint and no webhook; check the UUID"
        )
    earlier = counts.pop(None, {})
    by_day = [
        {"day": day, **{one.value: counts.get(day, {}).get(one, 0) for one in State}}
        for day in (first + timedelta(days=n) for n in range(days))
    ]
    secrets, us = SecretStore.from_environment(environ), sender(environ)
    return {
        "customer": {
            "uuid": enterprise,
            "name": next((one.enterprise_customer_name for one in endpoints), None),
        },
        "made_at": now,
        "is_personal": is_personal,
        "sender": {"addresses": list(us.addresses), "support_contact": us.contact or None},
        "retry_seconds": [int(step.total_seconds()) for step in STEPS],
        "states": {one.value: sum(day[one.value] for day in by_day) for one in State},
        "unfinished_from_before": sum(earlier.values()),
        "by_day": by_day,
        "endpoints": [
            _endpoint(one, _condition(one, health[one.endpoint_id], pauses), secrets)
            for one in endpoints
        ],
        "webhooks": webhooks_of(
            warehouse, enterprise, first, health, pauses, is_personal=is_personal
        ),
        "attempts": attempts_of(warehouse, enterprise, first),
        "samples": [
            {
                "endpoint_id": one.endpoint_id,
                "format": one.payload_format,
                "event_type": name,
                "body": json.loads(body),
            }
            for one in endpoints
            for name, body in samples(one, at=now).items()
        ],
    }


def _endpoint(endpoint: Endpoint, condition: str, secrets: SecretStore) -> dict[str, Any]:
    try:
        keys = [one.key_id for one in secrets.signing_keys(endpoint.endpoint_id)]
    except SecretError:
        # The text is for operators, who read it in `ltw endpoints list`.
        keys = []
    return {
        "endpoint_id": endpoint.endpoint_id,
        "host": host_of(endpoint.url),
        "region": endpoint.region,
        "condition": condition,
        "format": endpoint.payload_format,
        "signing_key_ids": keys,
        "authentication": endpoint.scheme,
        "is_learning_time_enabled": endpoint.is_learning_time_enabled,
        "timeout_seconds": endpoint.timeout_seconds,
        "max_requests_per_minute": endpoint.max_requests_per_minute,
        "success_status_codes": sorted(endpoint.successes_with(endpoint.payload_format)),
        "final_status_codes": sorted(endpoint.final_status_codes),
    }


def _condition(endpoint: Endpoint, health: EndpointState, pauses: Pauses) -> str:
    if not endpoint.is_active:
        return "off"
    if health.disabled_at is not None:
        return "disabled"
    if pauses.of(endpoint.endpoint_id, endpoint.enterprise_customer_uuid) is not None:
        return "paused"
    if health.is_blocked_at(pauses.now):
        return "waiting"
    return "failing" if health.is_failing else "good"
