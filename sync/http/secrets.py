"""Secrets by name, from the environment or a mounted directory; never from the warehouse."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sync.errors import SyncError
from sync.http.signing import SigningError, SigningKey, parse_key
from sync.settings import home

ENVIRONMENT_PREFIX = "LTW_SECRET_"
DIRECTORY_SETTING = "LTW_SECRETS_DIR"
MOST_KEYS = 20
"""Maximum live keys of one endpoint; the attempt log has room for this many ids."""
# A name becomes part of a path: no separator and no leading dot.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class SecretError(SyncError):
    """A secret exists but cannot be used; the text names it and never shows it."""


class MissingSecret(SecretError):
    """A secret is in none of its possible places; the text names them all."""


@dataclass(frozen=True)
class SecretStore:
    """Looks secrets up at each call, so a rotated file takes effect without a restart.

    An environment variable takes precedence over a file for the same secret.
    """

    environment: Mapping[str, str] = field(repr=False)
    directory: Path | None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> SecretStore:
        """The store that the process environment configures.

        The directory is ``LTW_SECRETS_DIR``, else ``secrets`` in the home directory, where
        `make dev` stores the secrets of its sample endpoints.
        """
        directory = environment.get(DIRECTORY_SETTING)
        return cls(environment, Path(directory) if directory else home(environment) / "secrets")

    def get(self, name: str) -> str:
        """The value of a secret, without the trailing line breaks and byte order mark that editors
        and ``echo`` add.

        Raises:
            MissingSecret: neither the variable nor the file exists, or the one found is empty.
            SecretError: the name is invalid, or the file cannot be read.
        """
        if not _NAME.fullmatch(name):
            raise SecretError("a secret's name is letters, digits, '.', '_' and '-'")
        value = self.environment.get(environment_variable(name)) or self._from_file(name)
        value = value.removeprefix("\ufeff").rstrip("\r\n")
        if not value:
            place = (
                f"the file {self.directory / name}"
                if self.directory
                else f"a file {name} in the directory named by {DIRECTORY_SETTING} (not set)"
            )
            raise MissingSecret(
                f"no secret {name!r}: set {environment_variable(name)} or provide {place}"
            )
        return value

    def signing_keys(self, endpoint_id: int) -> tuple[SigningKey, ...]:
        """The live signing keys of an endpoint, newest first; separated by lines or spaces.

        Raises:
            SecretError: the secret ``webhook-signing-{endpoint_id}`` is missing, or has an invalid
                key or more than ``MOST_KEYS``.
        """
        name = signing_secret_name(endpoint_id)
        texts = self.get(name).split()
        if not texts:
            raise MissingSecret(f"secret {name!r} is blank; it needs at least one signing key")
        if len(texts) > MOST_KEYS:
            raise SecretError(
                f"secret {name!r} holds {len(texts)} signing keys, {MOST_KEYS} at most; remove "
                "those that no receiver needs any more"
            )
        keys = []
        for position, text in enumerate(texts, start=1):
            try:
                keys.append(parse_key(text))
            except SigningError as error:
                raise SecretError(f"secret {name!r}, key {position}: {error}") from error
        return tuple(keys)

    def _from_file(self, name: str) -> str:
        if self.directory is None:
            return ""
        path = self.directory / name
        try:
            return path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""
        except UnicodeDecodeError:
            # `from None`: the cause contains the bytes that could not be decoded.
            raise SecretError(f"secret {name!r}: {path} is not UTF-8 text") from None
        except OSError as error:
            raise SecretError(f"secret {name!r}: cannot read {path}: {error.strerror}") from error


def environment_variable(name: str) -> str:
    """The variable for a secret: ``LTW_SECRET_WEBHOOK_SIGNING_7`` for ``webhook-signing-7``."""
    return ENVIRONMENT_PREFIX + re.sub(r"[^A-Z0-9]", "_", name.upper())


def signing_secret_name(endpoint_id: int) -> str:
    """The name of the secret with an endpoint's signing keys."""
    return f"webhook-signing-{endpoint_id}"
