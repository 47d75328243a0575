"""Command line of ``make test-faults``: all parts, or those named."""

import logging
import secrets
import sys
import time
from collections.abc import Sequence

from host import command_line
from host.exits import Exit
from lab.faults.accounts.effort import Effort
from lab.faults.parts import PARTS
from lab.programs import installed
from lab.programs.places import NoRoomError

PROGRAM = "python -m lab.faults"
PROGRAMS = {"mosquitto": "mosquitto", "cc": "gcc libc6-dev"}


def command(arguments: Sequence[str]) -> int:
    """Run the parts and return the exit status: OK if all passed, FAIL otherwise."""
    parser = command_line.parser(
        PROGRAM, "Break the real programs on purpose and count what was lost, doubled or invented."
    )
    parser.add_argument("--only", action="append", choices=list(PARTS), metavar="PART", help=", ".join(PARTS))
    parser.add_argument(
        "--seed", type=int, default=None, help="repeat the run of this seed (default: a new seed)"
    )
    parser.add_argument("--short", action="store_true", help="run the short form, as the tests do")
    parser.add_argument("--cuts", type=int, default=0, help="number of power cuts (default: 300)")
    options = parser.parse_args(arguments)
    if lacking := installed.lacking(PROGRAMS):
        print(f"{PROGRAM}: this machine lacks {lacking[0]}", file=sys.stderr)
        return Exit.UNAVAILABLE
    logging.disable(logging.CRITICAL)  # the faults are made on purpose
    seed = secrets.randbelow(10**6) if options.seed is None else options.seed
    print(f"seed {seed}: SEED={seed} repeats this run", flush=True)
    try:
        failed = [
            name
            for name in options.only or PARTS
            if not _run(name, Effort(seed, options.short, options.cuts))
        ]
    except NoRoomError as error:
        print(f"{PROGRAM}: configuration: {error}", file=sys.stderr)
        return Exit.UNAVAILABLE
    print(f"FAILED: {', '.join(failed)} (seed {seed})" if failed else "all parts passed")
    return Exit.FAIL if failed else Exit.OK


def _run(name: str, effort: Effort) -> bool:
    began = time.monotonic()

    def tell(text: str) -> None:
        print(f"{name:>8} {time.monotonic() - began:6.1f} s  {text}", flush=True)

    passed = PARTS[name](effort, tell)
    tell("passed" if passed else "FAILED")
    return passed


if __name__ == "__main__":
    command_line.run(command, PROGRAM)
