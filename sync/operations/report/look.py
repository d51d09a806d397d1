"""What every page shares: self-contained HTML, light and dark, written atomically."""

from __future__ import annotations

from pathlib import Path

from sync.domain.states import State
from sync.errors import ConfigurationError
from sync.operations.report.charts import DARK, LIGHT


def html(template: str, **facts: object) -> str:
    """A page of one of the templates beside this file; every fact is escaped."""
    from jinja2 import Environment, FileSystemLoader

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True
    )
    return environment.get_template(template).render(light=LIGHT, dark=DARK, State=State, **facts)


def write_whole(text: str, path: Path) -> Path:
    """Write a file atomically, so that a reader never sees half of it; its absolute path.

    Raises:
        ConfigurationError: the directory cannot be written.
    """
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_text(text, encoding="utf-8")
        return unfinished.replace(path).resolve()
    except OSError as error:
        raise ConfigurationError(
            f"cannot write {path}: {error.strerror}; name another file"
        ) from error
