"""With the flag off, a request equals that of a release without learning-time code.

The expected body is built by hand from the payload's description, without the library.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import pytest

from sync.ledger.tables import ensure_ledger
from sync.warehouse import Warehouse
from tests.support.completions import ENTERPRISE, add_completions, completion
from tests.support.delivery import PASSED_AT, SECRET, Run, all_steps
from tests.support.marts import create_marts, endpoint
from tests.support.receiver import receiver

NAMES = ("Example Industries", 'Beispiel "GmbH" & Söhne', "例 \\ 株式会社")


def v2_body(row: Mapping[str, object], recorded_at: datetime) -> bytes:
    """The nested v2.0 body of a completion, in the order of the description."""
    body = {
        "event_type": "course_completion",
        "event_version": "2.0",
        "event_source": "openedx_events",
        "timestamp": recorded_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "enterprise_customer": {
            "uuid": row["enterprise_customer_uuid"],
            "name": row["enterprise_customer_name"],
        },
        "learner": {
            "user_id": row["user_id"],
            "username": row["username"],
            "email": row["email"],
        },
        "course": {"course_key": row["courserun_key"]},
        "completion": {
            "completed": True,
            "completion_date": f"{PASSED_AT}Z",
            "percent_grade": row["percent_grade"],
            "letter_grade": row["letter_grade"] or "",
            "is_passing": True,
        },
    }
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def percipio_body(row: Mapping[str, object], recorded_at: datetime) -> bytes:
    """The flat body, whose time spent is null when unknown."""
    body = {
        "content_id": "course:ExampleX+DATA101",
        "user": row["percipio_user_id"],
        "status": "completed",
        "event_date": f"{PASSED_AT}Z",
        "completion_percentage": 100,
        "duration_spent": None,
        "orgid": row["percipio_organization_id"],
    }
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


@pytest.mark.parametrize(
    ("payload_format", "build"), [("v2", v2_body), ("percipio", percipio_body)]
)
def test_the_bytes_on_the_wire_are_those_of_a_build_without_the_feature(
    warehouse: Warehouse, tmp_path: Path, payload_format: str, build: object
) -> None:
    assert callable(build)
    rows = [
        completion(
            n,
            PASSED_AT,
            enterprise_customer_name=name,
            percent_grade=grade,
            letter_grade=letter,
            percipio_user_id=f"u-{n}",
            percipio_organization_id="org-1",
        )
        for n, (name, grade, letter) in enumerate(
            zip(NAMES, (0.88, 1.0, 0.7), ("B", None, "Pass"), strict=True), start=1
        )
    ]
    with receiver() as target:
        run = Run(host_ports=target.host_port, journals=tmp_path, endpoints=1)
        ensure_ledger(warehouse)
        create_marts(
            warehouse,
            endpoints=[endpoint(1, f"{target.url}/in", payload_format=payload_format)],
            learning_times=[
                {
                    "enterprise_customer_uuid": ENTERPRISE,
                    "user_id": n,
                    "courserun_key": rows[0]["courserun_key"],
                    "passed_at": PASSED_AT,
                    "learning_time_seconds": 26964,
                    "event_count": 12,
                    "computed_through": "2026-03-12T00:00:00",
                }
                for n in (1, 2, 3)
            ],
        )
        add_completions(warehouse, rows)
        all_steps(warehouse, run)
        recorded = warehouse.rows(
            "select webhook_id, user_id, recorded_at from analytics.sync.webhook_outbox"
        )
        expected = {
            one["webhook_id"]: build(rows[int(one["user_id"]) - 1], one["recorded_at"])
            for one in recorded
        }
        assert {one.webhook_id: one.body for one in target.received} == expected
        for one in target.received:
            signed = f"{one.webhook_id}.{one.headers['webhook-timestamp']}.".encode() + one.body
            key = base64.b64decode(SECRET.removeprefix("whsec_"))
            signature = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
            assert one.headers["webhook-signature"] == f"v1,{signature}"
