"""YAML, read safely (no tags, no key that stands twice) and written in one form."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from orchestra.core.errors import OrchestraError
from orchestra.core.spelling import nearest

# libyaml reads ten times as fast, where PyYAML was built with it.
SAFE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _UniqueKeys(SAFE):
    """Safe YAML in which a key written twice is an error; plain YAML would drop the first one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = (key_node.tag, getattr(key_node, "value", None))
            if isinstance(key_node, yaml.ScalarNode) and key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key_node.value!r} stands twice", key_node.start_mark
                )
            if isinstance(key_node, yaml.ScalarNode):
                seen.add(key)
        return super().construct_mapping(node, deep)


def load_yaml(path: Path, *, what: str, error: type[OrchestraError]) -> Any:
    """Read one YAML file; `error` is raised, naming line and cure, where it cannot be read."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeys)  # nosec B506 # a safe loader
    except FileNotFoundError:
        near = nearest(path.name, _files_beside(path))
        cure = f"Did you mean {str(path.parent / near)!r}?" if near else "Check the path."
        raise error(f"There is no {what} file {str(path)!r}. {cure}") from None
    except (OSError, ValueError, yaml.YAMLError) as cause:
        raise error(f"{path} cannot be read as a {what}: {cause}. Mend the file.") from cause


def _files_beside(path: Path) -> list[str]:
    """Names of the YAML files in the folder of `path`."""
    return sorted(file.name for file in path.parent.glob("*.y*ml"))


def yaml_text(raw: Mapping[str, Any], header: str = "") -> str:
    """`raw` as YAML under `header`: keys in their order, characters as they are."""
    return header + yaml.safe_dump(dict(raw), sort_keys=False, allow_unicode=True, width=100)
