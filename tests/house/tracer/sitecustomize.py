"""Record of every call that a program makes, written as it ends; Python imports a module of this name first.

``tests.house.walk`` puts this folder on the path of the programs that it starts. The file that it leaves has
the functions by file and name, and three numbers a call: nanoseconds of CLOCK_MONOTONIC, the function, and
1 where the call had the record or its receipt in hand. All processes of a machine share that clock.

A value is *the record* when it has the round trip in it that only the followed record has: as seconds or
microseconds, in text or bytes, or within containers and frozen structs. Its epoch counts as well, since every
identity names it. A struct that is called a receipt is *the receipt*, and so is the topic of one. Objects
that change hold state and are not looked into.
"""

import atexit
import json
import os
import re
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from types import CellType, CodeType, FrameType, FunctionType
from typing import Any

ROOT = os.environ["WALK_ROOT"] + "/"
FOLDER = os.environ["WALK_FOLDER"]
LEAST_S, MOST_S = 1.84, 1.99
# The same bounds in microseconds and in seconds.
DIGITS = r"(?<![\d.])(?:1(?:8[4-9]|9[0-8])\d{4}(?!\d)|1\.(?:8[4-9]|9[0-8]))"
IN_TEXT = re.compile(DIGITS + r"|/receipt")
IN_BYTES = re.compile(IN_TEXT.pattern.encode())
# A batch of judged records in a group is six containers deep.
DEPTH, BREADTH = 7, 64

numbers: dict[CodeType, int] = {}
functions: list[tuple[str, str]] = []
calls: list[tuple[int, int, int]] = []
epochs: set[str] = set()


def is_record(value: object, depth: int = DEPTH) -> bool:
    """Look for the record or its receipt in a value."""
    if isinstance(value, int | float):
        return LEAST_S <= value < MOST_S or LEAST_S <= value / 1e6 < MOST_S
    if isinstance(value, str):
        return value in epochs or IN_TEXT.search(value) is not None
    if isinstance(value, bytes | bytearray):
        return IN_BYTES.search(value) is not None
    return depth > 0 and any(is_record(part, depth - 1) for part in _parts(value))


def _parts(value: Any) -> Iterable[object]:
    """Direct parts of a container, a closure or a struct that does not change."""
    kind: Any = type(value)
    if isinstance(value, tuple | list | set | frozenset):
        return list(value)[:BREADTH]
    if isinstance(value, dict):
        return list(value.values())[:BREADTH]
    if isinstance(value, type):
        return ()
    if kind is FunctionType:
        return [_content(cell) for cell in value.__closure__ or ()]
    struct, data = getattr(kind, "__struct_config__", None), getattr(kind, "__dataclass_params__", None)
    if struct is not None and "Receipt" in kind.__name__:
        return ["/receipt"]
    if struct is not None and struct.frozen:
        if {"epoch", "seq"} <= set(kind.__struct_fields__):
            epochs.add(value.epoch)
        return [getattr(value, name, None) for name in kind.__struct_fields__]
    if data is not None and data.frozen:
        return [getattr(value, name, None) for name in kind.__dataclass_fields__]
    return ()


def _content(cell: CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # not assigned yet
        return None


def on_event(frame: FrameType, event: str, argument: object) -> None:
    """Note a call with its arguments, or a return with its value, of a function of the repository."""
    if event not in ("call", "return"):
        return
    code = frame.f_code
    number = numbers.get(code)
    if number is None:
        is_ours = code.co_filename.startswith(ROOT)
        # Two threads may number a function twice, which costs an entry and harms nothing.
        number = numbers[code] = len(functions) if is_ours else -1
        if is_ours:
            functions.append((code.co_filename.removeprefix(ROOT), code.co_qualname))
    if number >= 0:
        values = [argument] if event == "return" else _arguments(frame)
        calls.append((time.monotonic_ns(), number, int(any(map(is_record, values)))))


def _arguments(frame: FrameType) -> list[object]:
    code, found = frame.f_code, frame.f_locals
    count = code.co_argcount + code.co_kwonlyargcount
    return [found[name] for name in (*code.co_varnames[:count], *code.co_freevars) if name in found]


def write() -> None:
    """Leave the record in a file of this process's own."""
    sys.setprofile(None)
    file = Path(FOLDER, f"{os.getpid()}.json")
    file.write_text(json.dumps({"functions": functions, "calls": calls}), encoding="utf-8")


atexit.register(write)
threading.setprofile(on_event)
sys.setprofile(on_event)
