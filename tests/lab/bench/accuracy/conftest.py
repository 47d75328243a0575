"""What parts that measure on real links need."""

from tests.lab.netns.conftest import kernel

__all__ = ["kernel"]
