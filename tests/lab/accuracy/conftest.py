"""What parts that measure on real links need."""

from tests.lab.namespaces.conftest import kernel

__all__ = ["kernel"]
