"""``make fuzz SECONDS=600``: every target for its share of the time, in an order of its own each time."""

import argparse
import logging
import secrets
import sys
from pathlib import Path

from tests.fuzz import running
from tests.fuzz.targets import TARGETS

CRASHES = Path("var/fuzz")


def main() -> int:
    """Run what the command line asks for; 1 where anything crashed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="for all targets together")
    parser.add_argument("--seed", type=int, default=None, help="as an earlier run printed it")
    parser.add_argument("--target", choices=sorted(TARGETS), help="this one alone")
    parser.add_argument("--input", type=Path, help="run this file through --target once")
    options = parser.parse_args()
    logging.disable()  # a decoder that warns of what it reads would warn of all of it
    if options.input:
        print(TARGETS[options.target].run(options.input.read_bytes()))
        return 0
    chosen = [TARGETS[options.target]] if options.target else list(TARGETS.values())
    seed = secrets.randbelow(10**9) if options.seed is None else options.seed
    executions = crashes = 0
    for target in chosen:
        result = running.run(target, options.seconds / len(chosen), seed)
        print(result, flush=True)
        for (_, told), path in zip(result.crashes.values(), running.save(result, CRASHES), strict=True):
            print(f"  {path}\n{told}")
        executions, crashes = executions + result.executions, crashes + len(result.crashes)
    print(f"{len(chosen)} targets, {executions} executions, seed {seed}: {crashes} crashes")
    return 1 if crashes else 0


if __name__ == "__main__":
    sys.exit(main())
