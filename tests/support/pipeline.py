"""The three steps of a run on one warehouse session and one receiver, each callable separately."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from sync.clock import Clock, warehouse_clock
from sync.delivery.build import BuildReport, EnrichmentPolicy, build
from sync.delivery.learning_time import LearningTimeClient
from sync.delivery.record import record
from sync.delivery.scheduler import Limits
from sync.delivery.send import Sender, SendReport, send_due
from sync.domain.destination import NotReady, Ready
from sync.domain.endpoint import Endpoint
from sync.domain.rollout import EVERYBODY, Rollout
from sync.http.addresses import AddressPolicy
from sync.http.destination import HttpDestination
from sync.http.secrets import SecretStore
from sync.http.transport import Transport
from sync.http.urls import parse_development_targets
from sync.ledger.outbox import Outbox
from sync.ledger.tables import ensure_ledger
from sync.warehouse import Warehouse
from tests.support.completions import COURSE_RUN, ENTERPRISE, completion
from tests.support.ledger_rows import WITH_MESSAGES
from tests.support.marts import ANY_RECEIVER, create_marts, endpoint, point_endpoints
from tests.support.receiver import Receiver
from tests.support.scenarios import Scenarios

PASSED_AT = "2026-03-10T17:42:31"
ACTIVATED_AT = datetime(2026, 3, 1)
SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
OTHER_ENTERPRISE = "11111111-2222-4333-8444-555555555555"


class Pipeline:
    """The three steps of a run, on one warehouse session and one receiver."""

    def __init__(
        self,
        warehouse: Warehouse,
        target: Receiver,
        journals: Path,
        scenarios: Scenarios | None = None,
    ) -> None:
        if scenarios is None:
            ensure_ledger(warehouse)
        self.warehouse = warehouse
        self.target = target
        self.journals = journals
        self.scenarios = scenarios
        self.clock: Clock = warehouse_clock(warehouse)
        self.secrets = {f"LTW_SECRET_WEBHOOK_SIGNING_{n}": SECRET for n in range(1, 10)}

    def stand(self, name: str, make: Callable[[Pipeline], object]) -> None:
        """Start from the result of ``make``, which runs once; later tests restore its tables.

        It starts with two completions and one endpoint, which points to this test's receiver.
        """
        assert self.scenarios is not None

        def build(warehouse: Warehouse) -> None:
            ensure_ledger(warehouse)
            create_marts(
                warehouse,
                completions=[completion(1, PASSED_AT), completion(2, PASSED_AT)],
                endpoints=[endpoint(1, f"{self.target.url}/hooks/example")],
            )
            make(Pipeline(warehouse, self.target, self.journals))
            point_endpoints(warehouse, ANY_RECEIVER, instead_of=self.target.url)

        self.scenarios.stand(name, build)
        point_endpoints(self.warehouse, self.target.url)
        self.target.answers.clear()
        self.target.received.clear()

    def already_built(self) -> None:
        """Start with two messages that were never sent."""
        self.stand("built", lambda made: (made.detect(), made.build()))

    def already_sent(self) -> None:
        """Start with two delivered messages."""
        self.stand("sent", lambda made: (made.detect(), made.build(), made.send()))

    def detect(self, **options: object) -> object:
        settings = {"activated_at": ACTIVATED_AT} | options
        return record(self.warehouse, run_id="run-1", clock=self.clock, **settings)  # pyright: ignore[reportArgumentType]

    def build(
        self,
        *,
        enabled: bool = False,
        max_wait: timedelta = timedelta(hours=1),
        rollout: Rollout = EVERYBODY,
    ) -> BuildReport:
        policy = EnrichmentPolicy(enabled=enabled, max_wait=max_wait, rollout=rollout)
        client = LearningTimeClient(self.warehouse)
        return build(self.warehouse, self.outbox, client, policy=policy, clock=self.clock)

    def send(self, **limits: int) -> SendReport:
        policy = AddressPolicy(development_targets=parse_development_targets(self.target.host_port))
        with Transport(policy=policy) as transport:
            return send_due(
                self.warehouse,
                Sender(
                    run_id="run-1",
                    clock=self.clock,
                    destination=HttpDestination(policy, SecretStore(self.secrets, None), transport),
                    journal_directory=self.journals,
                    limits=Limits(**limits),  # pyright: ignore[reportArgumentType]
                ),
            )

    def readiness(self, endpoint: Endpoint) -> Ready | NotReady:
        policy = AddressPolicy(development_targets=parse_development_targets(self.target.host_port))
        store = SecretStore(self.secrets, None)
        with Transport(policy=policy) as transport:
            return HttpDestination(policy, store, transport).readiness(endpoint)

    @property
    def outbox(self) -> Outbox:
        return Outbox(self.warehouse, self.clock, "run-1")

    def rows(self, columns: str) -> list[dict[str, object]]:
        return self.warehouse.rows(f"select {columns} from {WITH_MESSAGES} order by user_id")

    def later(self, span: timedelta) -> None:
        now = self.clock
        self.clock = lambda: now() + span


def learning_time(user_id: int, **changes: object) -> dict[str, object]:
    """A row of ``completion_learning_time``."""
    return {
        "enterprise_customer_uuid": ENTERPRISE,
        "user_id": user_id,
        "courserun_key": COURSE_RUN,
        "passed_at": PASSED_AT,
        "learning_time_seconds": 26964,
        "event_count": 12,
        "last_loaded_at": "2026-03-10T18:00:00",
        "computed_through": "2026-03-12T00:00:00",
    } | changes
