"""The teams that own assets and checks, under one name on every screen, in texts and in alerts.

They are the owners of the groups of the dbt project (``_groups.yml``); a test keeps them equal.
"""

from enum import StrEnum


class Team(StrEnum):
    """Who is told, and whom to ask."""

    INTEGRATIONS = "Integrations"
    LEARNING_DATA = "Learning data"

    @property
    def owners(self) -> list[str]:
        """As Dagster takes the owners of an asset."""
        return [owner_of(self)]


def owner_of(team: str) -> str:
    """The name of a team as Dagster wants it."""
    return f"team:{team}"
