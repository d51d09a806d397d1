"""What Dagster loads: everything below ``defs/``."""

import os

import dagster as dg

import orchestration.defs
from sync.operations.environment import check_environment
from sync.settings import PROJECT_ROOT


@dg.definitions
def defs() -> dg.Definitions:
    """Nothing happens at import; Dagster calls this when it loads the code location.

    ``dg.load_from_defs_folder`` does the same, and warns wherever the code location has not the
    name in pyproject.toml: in every ``dagster job execute -m orchestration.definitions``.
    """
    check_environment(os.environ)
    return dg.ComponentTree.from_module(orchestration.defs, PROJECT_ROOT).build_defs()
