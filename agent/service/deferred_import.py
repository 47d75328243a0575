"""Modules that a library imports, and the resident agent does not use, are loaded only when they are used."""

import importlib
import sys
from _thread import allocate_lock
from types import ModuleType
from typing import Any

_making_room = allocate_lock()


class _Deferred(ModuleType):
    """Stands for a module until something of it is asked for; then the module itself takes its place."""

    def __getattr__(self, name: str) -> Any:
        if name == "__path__":  # every ``from`` import asks whether this is a package, and would load it
            raise AttributeError(name)
        return getattr(_load(self), name)


class _Taken:
    """Stands for what importers took out of a deferred module by name, until it is called or looked into."""

    __slots__ = ("_module", "_name")

    def __init__(self, module: _Deferred, name: str) -> None:
        self._module = module
        self._name = name

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return getattr(_load(self._module), self._name)(*arguments, **named)

    def __getattr__(self, name: str) -> Any:
        return getattr(getattr(_load(self._module), self._name), name)


def defer(name: str, *taken: str, **answers: object) -> None:
    """Let ``import name`` cost nothing from now on, unless it has been imported already; not for a package.

    ``taken`` are names that importers take out of it and use later, if ever. ``answers`` are what they use of
    it while they are imported: a stand-in that serves them as well. ``importlib.util.LazyLoader`` would not
    do: an import statement asks for the module's ``__spec__``, upon which it loads the module.
    """
    if name in sys.modules:
        return
    package, _, submodule = name.rpartition(".")
    deferred = _Deferred(name)
    vars(deferred).update({each: _Taken(deferred, each) for each in taken}, **answers)
    sys.modules[name] = deferred  # first: the package may import it
    if package:
        setattr(importlib.import_module(package), submodule, deferred)


def _load(deferred: _Deferred) -> ModuleType:
    with _making_room:  # of two threads the second must not make away with what the first has loaded
        if sys.modules.get(deferred.__name__) is deferred:
            del sys.modules[deferred.__name__]
    return importlib.import_module(deferred.__name__)
