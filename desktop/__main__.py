"""`limner`: the window without arguments, the command line with them, a worker with --worker.

Imports as little as possible before it knows which of them is wanted: a window must not wait for anything else.
"""

import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run Limner and return the exit code (0 done, 2 wrong usage, 3 known error, 130 stopped by Ctrl-C)."""
    args = list(sys.argv[1:] if argv is None else argv)
    if args[:1] == ["--worker"] and len(args) == 2:
        from models.workers.worker import main as worker_main

        return worker_main(args[1:])
    if args[:1] == ["--measure"]:
        from models.evaluation.measure import main as measure_main

        return measure_main(args[1:])
    if args and not args[0].startswith("--window"):
        from desktop.cli import main as cli_main

        return cli_main(args)
    return _window(args)


def _window(args: Sequence[str]) -> int:
    from desktop.ui.app import run

    return run(_open_engine, [sys.argv[0], *args])


def _open_engine() -> object:
    from desktop.engine import Engine

    return Engine.open()


if __name__ == "__main__":
    sys.exit(main())
