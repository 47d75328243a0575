"""Command line of ``make test-hostile``: all attacks, or those named."""

import logging
import secrets
import sys
import time
from collections.abc import Sequence

from host import command_line
from host.exits import Exit
from lab.hostile.attacks import ATTACKS
from lab.hostile.effort import AttackEffort
from lab.testbed.base import TestbedError

PROGRAM = "python -m lab.hostile"


def command(arguments: Sequence[str]) -> int:
    """Run the attacks and return the exit status: OK if every one was held off, FAIL otherwise."""
    parser = command_line.parser(
        PROGRAM, "Flood, starve and forge against the real programs, and count how good sites are served."
    )
    parser.add_argument(
        "--only", action="append", choices=list(ATTACKS), metavar="ATTACK", help=", ".join(ATTACKS)
    )
    parser.add_argument(
        "--seed", type=int, default=None, help="repeat the run of this seed (default: a new seed)"
    )
    parser.add_argument("--short", action="store_true", help="run the short form, as the tests do")
    options = parser.parse_args(arguments)
    logging.disable(logging.CRITICAL)  # refusals are provoked on purpose
    seed = secrets.randbelow(10**6) if options.seed is None else options.seed
    print(f"seed {seed}: SEED={seed} repeats this run", flush=True)
    try:
        broken = [
            name for name in options.only or ATTACKS if not _run(name, AttackEffort(seed, options.short))
        ]
    except TestbedError as error:
        print(f"{PROGRAM}: configuration: {error}", file=sys.stderr)
        return Exit.UNAVAILABLE
    finally:
        logging.disable(logging.NOTSET)
    print(f"BROKEN: {', '.join(broken)} (seed {seed})" if broken else "all attacks were held off")
    return Exit.FAIL if broken else Exit.OK


def _run(name: str, effort: AttackEffort) -> bool:
    began = time.monotonic()

    def tell(text: str) -> None:
        print(f"{name:>14} {time.monotonic() - began:6.1f} s  {text}", flush=True)

    return ATTACKS[name](effort, tell)


if __name__ == "__main__":
    command_line.run(command, PROGRAM)
