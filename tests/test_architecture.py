"""The direction of imports: `pipeline` uses `transforms`, never back."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FORBIDDEN = {"pipeline", "apache_beam", "yaml", "google"}


@pytest.mark.parametrize(
    "path", sorted((ROOT / "transforms").rglob("*.py")), ids=lambda path: path.name
)
def test_transforms_know_nothing_of_the_pipeline(path: Path) -> None:
    imported = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            imported.add(str(node.module).partition(".")[0])
    assert not imported & FORBIDDEN


def test_yaml_is_known_in_one_place() -> None:
    users = {
        path.name
        for path in (ROOT / "pipeline").rglob("*.py")
        if "import yaml\n" in path.read_text()
    }
    assert users == {"yaml_nodes.py"}
