"""Start of a console script: imports the program, or names the package that it lacks.

Only the standard library is imported here, because every other package may be the missing one.
"""

import importlib
import sys
from pathlib import Path
from typing import NoReturn

from host.exits import Exit

# Their absence is a fault of the wheel, and no installation of the user's.
_OWN = frozenset({"agent", "collector", "host", "lab", "net", "outbox", "peer", "wire"})


def start(program: str, module: str, distribution: str) -> NoReturn:
    """Run ``main`` of ``module``; ``distribution`` is what to install, with its extra.

    A missing package is one line, with the remedy, and ``Exit.UNAVAILABLE``.
    """
    try:
        main = importlib.import_module(module).main
    except ImportError as error:
        if (problem := missing(error, distribution)) is None:
            raise
        print(f"{program}: {problem}", file=sys.stderr)  # noqa: T201 -- before the program is there
        sys.exit(Exit.UNAVAILABLE)
    main()
    sys.exit(Exit.OK)


def missing(error: ImportError, distribution: str) -> str | None:
    """Describe a package that cannot be imported, with its remedy; None for a module of ours."""
    name = (error.name or "").partition(".")[0]
    if not name or name in _OWN:
        return None
    pip = Path(sys.prefix) / "bin" / "pip"
    state = "is not installed" if isinstance(error, ModuleNotFoundError) else f"cannot be used ({error})"
    return f"the Python package {name} {state}: {pip} install '{distribution}'"
