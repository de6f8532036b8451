"""The direction of imports: `pipeline` uses `transforms`, never back."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FORBIDDEN = {"pipeline", "apache_beam", "yaml", "google"}


def imports(path: Path) -> set[str]:
    """The top-level packages that a module imports."""
    imported = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            imported.add(str(node.module).partition(".")[0])
    return imported


@pytest.mark.parametrize(
    "path", sorted((ROOT / "transforms").rglob("*.py")), ids=lambda path: path.name
)
def test_transforms_know_nothing_of_the_pipeline(path: Path) -> None:
    assert not imports(path) & FORBIDDEN


def test_yaml_is_known_in_one_place() -> None:
    modules = (ROOT / "pipeline").rglob("*.py")
    assert {path.name for path in modules if "yaml" in imports(path)} == {"yaml_nodes.py"}
