"""The teams that own assets and checks, with the same name on every screen and in alerts.

They are the owners of the dbt groups (``_groups.yml``); a test keeps them equal.
"""

from enum import StrEnum


class Team(StrEnum):
    """Who gets alerts, and whom to ask."""

    INTEGRATIONS = "Integrations"
    LEARNING_DATA = "Learning data"

    @property
    def owners(self) -> list[str]:
        """Owners in the form that Dagster expects for an asset."""
        return [owner_of(self)]


def owner_of(team: str) -> str:
    """The name of a team in the form that Dagster expects."""
    return f"team:{team}"
