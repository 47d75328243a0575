"""Modules that a library imports, and the resident agent does not use, are loaded only when they are used."""

import importlib
import sys
from types import ModuleType
from typing import Any


class _Deferred(ModuleType):
    """Stands for a module until something of it is asked for; then the module itself takes its place."""

    def __getattr__(self, name: str) -> Any:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


def defer(name: str) -> None:
    """Let ``import name`` cost nothing from now on, unless it has been imported already.

    ``importlib.util.LazyLoader`` would not do: an import statement asks for the module's ``__spec__``, upon
    which it loads the module.
    """
    if name in sys.modules:
        return
    package, _, submodule = name.rpartition(".")
    deferred = _Deferred(name)
    sys.modules[name] = deferred  # first: the package may import it
    if package:
        setattr(importlib.import_module(package), submodule, deferred)
