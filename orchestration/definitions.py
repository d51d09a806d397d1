"""Entry point for Dagster: loads everything under ``defs/``."""

import os
import warnings

import dagster as dg

import orchestration.defs
from sync.operations.environment import check_environment
from sync.settings import PROJECT_ROOT


@dg.definitions
def defs() -> dg.Definitions:
    """Nothing happens at import; Dagster calls this when it loads the code location.

    ``dg.load_from_defs_folder`` does the same plus two things: it describes every component type of
    every installed library, which takes 0.4 s of 2.6, and it warns if the code location's name
    differs from pyproject.toml, as in ``dagster job execute -m orchestration.definitions``."""
    check_environment(os.environ)
    with warnings.catch_warnings():
        # The loader and code references may change in Dagster; its version is pinned.
        for category in (dg.BetaWarning, dg.PreviewWarning):
            warnings.simplefilter("ignore", category)
        tree = dg.ComponentTree.from_module(orchestration.defs, PROJECT_ROOT)
        return tree.build_defs(tree.defs_module_path)
