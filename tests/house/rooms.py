"""Imports between rooms: arrows, circles, floors, and arrows against the declared layers.

A *room* is a folder that holds modules. The *parts* of a package are what lies directly in it, modules and
folders alike; a folder stands for all that is in it. An *arrow* joins two parts, or two rooms, of which one
imports the other, however many imports there are. Imports inside functions count, and so do those for types.

Circles are looked for among the parts of every package at every depth. No circle can hide from that: it
shows in the smallest package that has all its modules. Loose modules (``collector.settings`` beside
``collector.service``) are parts of their own there, so a package may keep its settings beside its rooms.

*Upward* is an arrow that a contract of type ``layers`` in a ``pyproject.toml`` forbids. The contract covers
both ends, and it has the importing one below the imported one, or beside it with ``|`` between them.
"""

import ast
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Sequence

from tests.house.tree import Module, Tree

Arrow = tuple[str, str]
# Member of a layer to its floor from the top, and whether the members of that floor may import each other.
Layers = dict[str, tuple[int, bool]]


def imports(modules: Sequence[Module]) -> set[Arrow]:
    """Imports of these modules from one another, as (importing module, imported module)."""
    known = {module.name for module in modules}
    found = set()
    for module in modules:
        for node in ast.walk(module.syntax):
            for name in _imported(node, module):
                target = name if name in known else name.rpartition(".")[0]
                if target in known and target != module.name:
                    found.add((module.name, target))
    return found


def parts(modules: Iterable[Module]) -> dict[str, set[str]]:
    """Packages, nested ones too, with what lies directly in each."""
    found: dict[str, set[str]] = {module.name: set() for module in modules if module.is_package}
    for module in modules:
        above = module.name.rpartition(".")[0]
        if above in found:
            found[above].add(module.name)
    return found


def arrows(package: str, between_modules: Iterable[Arrow]) -> set[Arrow]:
    """Arrows between the parts of one package; those from and to its ``__init__.py`` are none."""
    inside = f"{package}."
    depth = package.count(".") + 2
    ends = {
        (".".join(a.split(".")[:depth]), ".".join(b.split(".")[:depth]))
        for a, b in between_modules
        if a.startswith(inside) and b.startswith(inside)
    }
    return {(a, b) for a, b in ends if a != b}


def circles(found: Iterable[Arrow]) -> list[list[str]]:
    """Strongly connected components of two parts or more, each sorted."""
    reached = _reached(found)
    components = {
        tuple(sorted(other for other in ahead if part in reached[other]))
        for part, ahead in reached.items()
        if part in ahead
    }
    return [list(circle) for circle in sorted(components)]


def floors(members: Iterable[str], found: Iterable[Arrow]) -> int:
    """Length of the longest chain of arrows, in parts; a circle counts as one part."""
    reached = _reached(found)
    height = dict.fromkeys(members, 1)
    # Whatever reaches less lies lower, so everything below a part has its height before the part has.
    for part in sorted(reached, key=lambda name: len(reached[name] | {name})):
        below = [other for other in reached[part] if part not in reached[other]]
        height[part] = 1 + max((height[other] for other in below), default=0)
    return max(height.values(), default=0)


def contracts(tree: Tree) -> list[Layers]:
    """Contracts of layers that this tree declares, one for each container."""
    settings = [tomllib.loads(text) for path, text in tree.files.items() if path.endswith("pyproject.toml")]
    linted = [one.get("tool", {}).get("importlinter", {}) for one in settings]
    return [
        {
            f"{container}.{member}".lstrip("."): (floor, ":" in layer)
            for floor, layer in enumerate(contract["layers"])
            for member in re.findall(r"[\w.]+", layer)
        }
        for one in linted
        for contract in one.get("contracts", [])
        if contract["type"] == "layers"
        for container in contract.get("containers", [""])
    ]


def upward(layers: Layers, between_modules: Iterable[Arrow]) -> set[Arrow]:
    """Arrows between members of layers that go against the contract."""
    ends = {(_member(a, layers), _member(b, layers)) for a, b in between_modules}
    return {
        (a, b)
        for a, b in ends
        if a and b and a != b
        if layers[a][0] > layers[b][0] or (layers[a] == layers[b] and not layers[a][1])
    }


def _imported(node: ast.AST, module: Module) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    above = module.room.split(".")[: 1 - node.level or None] if node.level else []
    base = ".".join([*above, *([node.module] if node.module else [])])
    return [f"{base}.{alias.name}" for alias in node.names]


def _reached(found: Iterable[Arrow]) -> dict[str, set[str]]:
    """Everything that each part reaches along arrows, itself only where it lies on a circle."""
    direct = defaultdict(set)
    for a, b in found:
        direct[a].add(b)
        direct.setdefault(b, set())
    reached = {}
    for part in direct:
        seen: set[str] = set()
        waiting = list(direct[part])
        while waiting:
            here = waiting.pop()
            if here not in seen:
                seen.add(here)
                waiting += direct[here]
        reached[part] = seen
    return reached


def _member(module: str, layers: Layers) -> str:
    """Nearest name at or above ``module`` that is a member of a layer, or nothing."""
    while module and module not in layers:
        module = module.rpartition(".")[0]
    return module
