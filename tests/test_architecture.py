"""The direction of imports: `pipeline` uses `transforms`, never back."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FORBIDDEN = {"stylebeam.pipeline", "apache_beam", "yaml", "google"}


def imports(path: Path) -> set[str]:
    """The packages that a module imports."""
    imported = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            imported |= {_package(alias.name) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            imported |= {_package(f"{node.module}.{alias.name}") for alias in node.names}
    return imported


def _package(module: str) -> str:
    """The package that a module is of: of our own two, which of them."""
    names = module.split(".")
    return ".".join(names[:2]) if names[0] == "stylebeam" else names[0]


@pytest.mark.parametrize(
    "path", sorted((ROOT / "transforms").rglob("*.py")), ids=lambda path: path.name
)
def test_transforms_know_nothing_of_the_pipeline(path: Path) -> None:
    assert not imports(path) & FORBIDDEN


def test_yaml_is_known_in_one_place() -> None:
    modules = (ROOT / "pipeline").rglob("*.py")
    assert {path.name for path in modules if "yaml" in imports(path)} == {"yaml_nodes.py"}
