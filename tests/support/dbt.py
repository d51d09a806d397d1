"""dbt in this process, over a project that is parsed once per session."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import pprint
import re
import shutil
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgpack
import yaml

from sync.settings import PORT_SETTING, PROJECT_ROOT
from tests.support.shared import made_once
from tests.support.untraced import untraced_with_its_threads

WITHOUT_FILES = frozenset({"build", "run", "seed", "test", "ls", "--inline"})
"""Commands that need not write the manifest and their results, since no test reads them."""
PARSES_BY = ("--target", "--profiles-dir")
"""Options that change the parse result; of the vars, only those in ``read_by_parsing``."""
PARSED_FOR = ("DBT_TARGET", "SNOWFLAKE_")
"""Prefixes of settings that do so."""
ONLY_TABLES = ("--resource-type", "model", "--resource-type", "seed")
"""For a build whose data tests do not matter here: they take most of its time."""
EVERY_OPTION = {
    "long_video_option": True,
    "long_gap_rule": "cap",
    "course_from_url": True,
    "event_selection": "denylist",
    "emit_zero_rows": True,
    "timezone": "America/New_York",
    "tail_seconds": 5,
    "is_cost_history_read": True,
}
"""Every option switched on, for the SQL that exists only then."""
FAILED = ("error", "fail", "runtime error")
PARTIAL_PARSE = "partial_parse.msgpack"


@dataclass(frozen=True)
class Dbt:
    """Run a dbt command: ``dbt("build", "--select", "marts")``.

    A command gets a copy of the manifest that was parsed once for its target and vars. Only
    ``parse`` really parses.
    """

    target_path: Path
    """Where dbt keeps its files during this session."""
    parsed: Path
    """Directory of the manifests that all workers share."""

    def __call__(self, *arguments: str) -> Any:
        """The command's result.

        Raises:
            AssertionError: it failed; names each failed node and its message.
        """
        from dbt.cli.main import dbtRunner
        from dbt.contracts.graph.manifest import Manifest
        from dbt.plugins.manager import PluginManager
        from dbt_common.behavior_flags import BehaviorFlagRendered

        # dbt reads the source of every frame up to pytest nine times per command, to name a module.
        rendered: Any = BehaviorFlagRendered
        rendered._default_source = staticmethod(lambda: "dbt.adapters")
        # It also searches all installed packages for dbt plugins; there are none.
        plugins: Any = PluginManager
        plugins.get_prefixed_modules = classmethod(lambda *_: {})
        manifest = None
        if "parse" not in arguments:
            manifest = Manifest()
            vars(manifest).update(pickle.loads(self._contents(arguments)))  # noqa: S301
        files = ["--log-level-file", "none"]
        files += ["--no-write-json"] if WITHOUT_FILES.intersection(arguments) else []
        result = untraced_with_its_threads(dbtRunner(manifest=manifest).invoke)(
            ["--quiet", *files, *arguments, *self._places(self.target_path)]
        )
        failures = [
            f"{one.node.name}: {one.message}"
            for one in getattr(result.result, "results", [])
            if str(one.status) in FAILED
        ]
        assert result.success, result.exception or "\n".join(failures)
        return result.result

    def project(self) -> Path:
        """The files of ``dbt parse`` with the default target and vars; not to be changed."""
        return self._parsed(())

    def compiled(self, target: str, **variables: object) -> list[Path]:
        """All statements as compiled for a target, once for all workers.

        The target's name selects the branch of the macros. dbt also needs a connection: every
        target connects to the embedded warehouse, which must have the ledger's tables.
        """

        def compile_all(directory: Path) -> None:
            where = str(self.profiles())
            chosen = ("--target", target, "--profiles-dir", where, "--vars", given)
            replace(self, target_path=directory)("compile", *chosen)

        given = json.dumps(variables)
        key = hashlib.sha256(given.encode()).hexdigest()[:12]
        directory = made_once(self.parsed / f"{target}-{key}", compile_all)
        return sorted((directory / "compiled").rglob("*.sql"))

    def profiles(self) -> Path:
        """The folder of a profile whose target ``snowflake`` connects to the embedded warehouse."""

        def write(directory: Path) -> None:
            profiles = yaml.safe_load((PROJECT_ROOT / "profiles.yml").read_text("utf-8"))
            outputs = profiles["learning_time_webhooks"]["outputs"]
            outputs["snowflake"] = outputs["embedded"]
            (directory / "profiles.yml").write_text(yaml.safe_dump(profiles), "utf-8")

        return made_once(self.parsed / "profiles", write)

    def prepare(
        self, target_path: Path, *, port: int | str | None = None, target: str = "embedded"
    ) -> Path:
        """Create a ``DBT_TARGET_PATH`` for Dagster or another process, which then need not parse.

        dbt parses again if ``port`` (of the embedded warehouse) or ``target`` (the value of
        ``--target``, which Dagster always passes) differs.
        """
        target_path.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.project() / "manifest.json", target_path)
        parsed: dict[str, Any] = msgpack.unpackb((self.project() / PARTIAL_PARSE).read_bytes())
        parsed["state_check"] |= state_of_parsing(
            port=int(port or os.environ[PORT_SETTING]), target=target
        )
        (target_path / PARTIAL_PARSE).write_bytes(msgpack.packb(parsed) or b"")
        return target_path

    def _contents(self, arguments: tuple[str, ...]) -> bytes:
        given = dict(pairwise(arguments))
        options = [part for name in PARSES_BY if name in given for part in (name, given[name])]
        values = yaml.safe_load(given.get("--vars", "{}"))
        if read_by_parsing(only_tables=set(ONLY_TABLES) <= set(arguments)).intersection(values):
            options += ["--vars", given["--vars"]]
        return (self._parsed(tuple(options)) / "manifest.pickle").read_bytes()

    def _parsed(self, options: tuple[str, ...]) -> Path:
        account = [one for one in os.environ.items() if one[0].startswith(PARSED_FOR)]
        key = hashlib.sha256(repr((options, sorted(account))).encode()).hexdigest()

        def parse(directory: Path) -> None:
            from dbt.cli.main import dbtRunner

            files = ["--no-write-json"] if options else []
            command = ["--quiet", *files, "parse", *options, *self._places(directory)]
            done = untraced_with_its_threads(dbtRunner().invoke)(command)
            assert done.success, done.exception
            # Without its indexes, which cannot be pickled; it rebuilds them when needed.
            contents = {k: v for k, v in vars(done.result).items() if not k.startswith("_")}
            (directory / "manifest.pickle").write_bytes(pickle.dumps(contents))

        return made_once(self.parsed / key[:12], parse)

    @staticmethod
    def _places(target_path: Path) -> list[str]:
        where = str(target_path)
        return ["--project-dir", str(PROJECT_ROOT), "--target-path", where, "--log-path", where]


def state_of_parsing(*, port: int, target: str) -> dict[str, dict[str, str]]:
    """The state that dbt compares with a command's, as from ``build_manifest_state_check``."""
    from dbt.adapters.snowflake.connections import SnowflakeCredentials
    from dbt.version import __version__

    profiles = yaml.safe_load((PROJECT_ROOT / "profiles.yml").read_text("utf-8"))
    output = profiles["learning_time_webhooks"]["outputs"]["embedded"]
    data = {name: output[name] for name in output.keys() - {"type", "threads"}} | {"port": port}
    given = SnowflakeCredentials.from_dict(SnowflakeCredentials.translate_aliases(data))
    texts = {
        "profile_hash": pprint.pformat(sorted(given.connection_info())),
        "vars_hash": "\x00".join(("{}", "", target, __version__)),
    }
    return {
        name: {"name": "sha256", "checksum": hashlib.sha256(text.encode()).hexdigest()}
        for name, text in texts.items()
    }


@cache
def read_by_parsing(*, only_tables: bool) -> frozenset[str]:
    """Vars used in YAML or in the configuration of a singular test; all others are read at run
    time. Without a test to run, only those of the sources."""
    project = PROJECT_ROOT / "dbt_project"
    read = [path.read_text("utf-8") for path in project.rglob("_*__sources.yml")]
    if not only_tables:
        read += [path.read_text("utf-8") for path in project.rglob("*.yml")]
        for path in (project / "tests").rglob("*.sql"):
            read += re.findall(r"\{\{ *config\(.*?\) *\}\}", path.read_text("utf-8"), re.DOTALL)
    return frozenset(name for text in read for name in re.findall(r"\bvar\('(\w+)'", text))
