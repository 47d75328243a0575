"""Requirements of kernel links, for the cases that run in network namespaces."""

from tests.lab.conftest import kernel

__all__ = ["kernel"]
