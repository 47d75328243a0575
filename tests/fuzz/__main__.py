"""Command line of ``make fuzz SECONDS=600``: every target for its share of the time."""

import argparse
import logging
import secrets
import sys
from pathlib import Path

from tests.fuzz import running
from tests.fuzz.targets import TARGETS

CRASHES = Path("var/fuzz")


def main() -> int:
    """Run the targets; return 1 if any of them crashed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="for all targets together")
    parser.add_argument("--seed", type=int, default=None, help="repeat the run of this seed")
    parser.add_argument("--target", choices=sorted(TARGETS), help="run only this target")
    parser.add_argument("--input", type=Path, help="run this file through --target once")
    options = parser.parse_args()
    logging.disable()  # decoders would warn of almost every input
    if options.input:
        print(TARGETS[options.target].run(options.input.read_bytes()))
        return 0
    chosen = [TARGETS[options.target]] if options.target else list(TARGETS.values())
    seed = secrets.randbelow(10**9) if options.seed is None else options.seed
    executions = crashes = 0
    for target in chosen:
        result = running.run(target, options.seconds / len(chosen), seed)
        print(result, flush=True)
        for (_, report), path in zip(result.crashes.values(), running.save(result, CRASHES), strict=True):
            print(f"  {path}\n{report}")
        executions, crashes = executions + result.executions, crashes + len(result.crashes)
    print(f"{len(chosen)} targets, {executions} executions, seed {seed}: {crashes} crashes")
    return 1 if crashes else 0


if __name__ == "__main__":
    sys.exit(main())
