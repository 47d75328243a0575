"""YAML without its surprises: what two people could read differently is refused with its place.

| written | YAML 1.1 reads | here |
|---|---|---|
| ``015``, ``0x1F``, ``1_000`` | 13, 31, 1000 | refused |
| ``1:30`` | 90 | refused |
| ``<<: *other`` | the keys of another section | refused |
| a key twice | the last of both | refused |

Messages never repeat a value, which may be a secret.
"""

import re
from collections.abc import Iterator

import yaml

_INT, _FLOAT, _MERGE = (f"tag:yaml.org,2002:{name}" for name in ("int", "float", "merge"))
_DECIMAL = re.compile(
    r"[-+]?(?:0|[1-9][0-9]*)?(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|nan)", re.IGNORECASE
)


class SettingsError(Exception):
    """Error in the settings. The text names the file, the place and what to do."""


def load(text: str) -> object:
    """Read one document. Raises SettingsError with the place, and what ``yaml`` raises."""
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        for place, found in _nodes(node):
            _refuse(place, found)
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _nodes(root: yaml.Node) -> Iterator[tuple[str, yaml.Node]]:
    """Every node once, with the path of its setting: an alias may name one any number of times."""
    waiting, seen = [("", root)], set[int]()
    while waiting:
        path, node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        yield f"{path}: " if path else "", node
        if isinstance(node, yaml.MappingNode):
            for key, value in reversed(node.value):
                waiting += [(_below(path, key), value), (path, key)]
        elif isinstance(node, yaml.SequenceNode):
            waiting += [(f"{path}[{index}]", item) for index, item in enumerate(node.value)][::-1]


def _below(path: str, key: yaml.Node) -> str:
    name = key.value if isinstance(key, yaml.ScalarNode) else "?"
    return f"{path}.{name}" if path else name


def _refuse(place: str, node: yaml.Node) -> None:
    line = f"{place}line {node.start_mark.line + 1}"
    if isinstance(node, yaml.MappingNode):
        _refuse_twice(node)
    elif node.tag == _MERGE:
        raise SettingsError(f"{line}: `<<` is not read: write the settings themselves")
    elif node.tag in (_INT, _FLOAT) and not _DECIMAL.fullmatch(node.value):
        text = "a number with a leading zero, a colon or the like"
        raise SettingsError(f"{line}: {text}: write it in plain digits, or a text in quotes")


def _refuse_twice(node: yaml.MappingNode) -> None:
    names = set[tuple[str, str]]()
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode):
            if (key.tag, key.value) in names:
                raise SettingsError(
                    f"line {key.start_mark.line + 1}: `{key.value}` is written twice: keep one"
                )
            names.add((key.tag, key.value))
