"""The job that sends webhooks."""

import hashlib
import os

import dagster as dg

from sync.ledger.identity import place_of
from sync.settings import load_settings

WEBHOOKS_JOB = "completion_webhooks_job"
WAREHOUSE_TAG = "webhooks/warehouse"


def warehouse_tags() -> dict[str, str]:
    """Distinguishes runs of this code location from those of others on the same Dagster."""
    place = place_of(load_settings(os.environ))
    return {WAREHOUSE_TAG: hashlib.sha256(place.encode()).hexdigest()[:16]}


@dg.definitions
def webhooks_job() -> dg.Definitions:
    """The job's tags depend on the environment, so it is created when Dagster loads."""
    job = dg.define_asset_job(
        WEBHOOKS_JOB,
        selection=dg.AssetSelection.groups("webhooks"),
        # Sending waits on I/O in its own threads.
        executor_def=dg.in_process_executor,
        tags={"dagster/max_retries": "1"} | warehouse_tags(),
        description="Detect new completions and send their webhooks.",
    )
    return dg.Definitions(jobs=[job])
