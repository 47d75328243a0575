"""Imports between rooms: arrows, circles, floors, and arrows against the declared layers.

A *room* is a folder that holds modules. The *parts* of a package are what lies directly in it, modules and
folders alike; a folder stands for all that is in it. An *arrow* joins two parts, or two rooms, of which one
imports the other, however many imports there are. Imports inside functions count, and so do those for types.

Circles are looked for among the parts of every package at every depth. No circle can hide from that: it
shows in the smallest package that has all its modules. Loose modules (``collector.settings`` beside
``collector.service``) are parts of their own there, so a package may keep its settings beside its rooms.

*Upward* is an arrow that a contract of type ``layers`` in ``pyproject.toml`` forbids. The contract covers
both ends, and it has the importing one below the imported one, or beside it with ``|`` between them.
"""

import ast
import re
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tests.house.tree import Module, Tree

Arrow = tuple[str, str]


@dataclass(frozen=True)
class Inside:
    """Parts of one package and the arrows between them."""

    package: str
    parts: frozenset[str]
    arrows: frozenset[Arrow]


def rooms(modules: Iterable[Module]) -> Counter[str]:
    """Number of modules in each folder that holds any beside its ``__init__.py``."""
    return Counter(module.room for module in modules if not module.is_package)


def imports(modules: Sequence[Module]) -> set[Arrow]:
    """Imports of these modules from one another, as (importing module, imported module)."""
    known = {module.name for module in modules}
    found: set[Arrow] = set()
    for module in modules:
        for node in ast.walk(module.syntax):
            found.update(
                (module.name, name)
                for name in _imported(node, module)
                for name in [name if name in known else name.rpartition(".")[0]]
                if name in known and name != module.name
            )
    return found


def between_rooms(modules: Sequence[Module], between_modules: set[Arrow]) -> set[Arrow]:
    """Arrows from folder to folder."""
    room = {module.name: module.room for module in modules}
    return {(room[a], room[b]) for a, b in between_modules if room[a] != room[b]}


def inside_packages(modules: Sequence[Module], between_modules: set[Arrow]) -> list[Inside]:
    """Parts and arrows of every package, of nested ones too."""
    parts: dict[str, set[str]] = {module.name: set() for module in modules if module.is_package}
    for module in modules:
        above = module.name.rpartition(".")[0]
        if above in parts:
            parts[above].add(module.name)
    arrows = defaultdict(set)
    for a, b in between_modules:
        package = _common_package(a, b)
        ends = (_part(package, a), _part(package, b))
        # An import of or by the package's own `__init__` joins no two parts.
        if package in parts and package not in ends:
            arrows[package].add(ends)
    return [Inside(name, frozenset(parts[name]), frozenset(arrows[name])) for name in sorted(parts)]


def circles(arrows: Iterable[Arrow]) -> list[list[str]]:
    """Strongly connected components of two parts or more, each sorted."""
    reached = _reached(arrows)
    found = {
        tuple(sorted(other for other in ahead if part in reached.get(other, ())))
        for part, ahead in reached.items()
        if part in ahead
    }
    return [list(circle) for circle in sorted(found)]


def floors(inside: Inside) -> int:
    """Length of the longest chain of arrows through a package, in parts; a circle counts as one part."""
    reached = _reached(inside.arrows)
    if not reached:
        return 1 if inside.parts else 0
    height: dict[str, int] = {}
    # Whatever reaches less lies lower, so everything below a part has its height before the part has.
    for part in sorted(reached, key=lambda name: len(reached[name] | {name})):
        below = [other for other in reached[part] if part not in reached[other]]
        height[part] = 1 + max((height[other] for other in below), default=0)
    return max(height.values())


def contracts(tree: Tree) -> int:
    """Number of contracts of layers that this tree declares, one for each container."""
    return len(_layers(tree))


def upward(tree: Tree, between_modules: set[Arrow]) -> set[Arrow]:
    """Arrows between members of layers that go against a contract of this tree's own ``pyproject.toml``."""
    found = set()
    for layers in _layers(tree):
        for a, b in between_modules:
            lower, upper = _member(a, layers), _member(b, layers)
            if lower and upper and lower != upper and _is_upward(layers[lower], layers[upper]):
                found.add((lower, upper))
    return found


def _imported(node: ast.AST, module: Module) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    base = node.module or ""
    if node.level:
        parts = module.room.split(".")
        base = ".".join([*parts[: len(parts) - node.level + 1], *([base] if base else [])])
    return [f"{base}.{alias.name}" for alias in node.names]


def _common_package(a: str, b: str) -> str:
    common = []
    for one, other in zip(a.split("."), b.split("."), strict=False):
        if one != other:
            break
        common.append(one)
    return ".".join(common)


def _part(package: str, module: str) -> str:
    depth = package.count(".") + 2
    return ".".join(module.split(".")[:depth])


def _reached(arrows: Iterable[Arrow]) -> dict[str, set[str]]:
    """Everything that each part reaches along arrows, itself only where it lies on a circle."""
    direct = defaultdict(set)
    parts = set()
    for a, b in arrows:
        direct[a].add(b)
        parts |= {a, b}
    reached = {}
    for part in parts:
        seen: set[str] = set()
        waiting = list(direct[part])
        while waiting:
            here = waiting.pop()
            if here not in seen:
                seen.add(here)
                waiting += direct[here]
        reached[part] = seen
    return reached


@dataclass(frozen=True)
class _Place:
    """Place of a layer from the top, and whether its members may not import each other either."""

    floor: int
    independent: bool


def _is_upward(lower: _Place, upper: _Place) -> bool:
    return lower.floor > upper.floor or (lower == upper and lower.independent)


def _layers(tree: Tree) -> list[dict[str, _Place]]:
    """One table a contract and container: member of a layer to the layer's place."""
    found = []
    for path, text in tree.files.items():
        # The laboratory may bring a project file of its own.
        if not path.endswith("pyproject.toml"):
            continue
        settings = tomllib.loads(text).get("tool", {}).get("importlinter", {})
        for contract in settings.get("contracts", []):
            if contract.get("type") != "layers":
                continue
            for container in contract.get("containers", [""]):
                prefix = f"{container}." if container else ""
                found.append({
                    prefix + member: _Place(floor, independent=":" not in layer)
                    for floor, layer in enumerate(contract["layers"])
                    for member in re.findall(r"[\w.]+", layer)
                })  # fmt: skip
    return found


def _member(module: str, layers: dict[str, _Place]) -> str | None:
    """Nearest name at or above ``module`` that is a member of a layer."""
    while module and module not in layers:
        module = module.rpartition(".")[0]
    return module or None
