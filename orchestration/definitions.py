"""What Dagster loads: everything below ``defs/``."""

import os
from pathlib import Path

import dagster as dg

from sync.operations.environment import check_environment


@dg.definitions
def defs() -> dg.Definitions:
    """Nothing happens at import; Dagster calls this when it loads the code location."""
    check_environment(os.environ)
    return dg.load_from_defs_folder(path_within_project=Path(__file__))
