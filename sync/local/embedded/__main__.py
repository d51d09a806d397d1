"""Run the embedded warehouse in the foreground."""

from __future__ import annotations

import argparse
from pathlib import Path

from sync.local.embedded.server import serve


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m sync.local.embedded", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--directory", type=Path, required=True)
    arguments = parser.parse_args()
    serve(arguments.port, arguments.directory)


if __name__ == "__main__":
    main()
