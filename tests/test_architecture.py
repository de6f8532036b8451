"""The direction of imports: `pipeline` imports `transforms`, never the other way."""

import ast
from pathlib import Path

import pytest

from stylebeam.pipeline.methods import METHODS

ROOT = Path(__file__).parents[1]
FORBIDDEN = {"stylebeam.pipeline", "apache_beam", "yaml", "google"}


def imports(path: Path) -> set[str]:
    """Return the packages that a module imports."""
    imported = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            imported |= {_package(alias.name) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            imported |= {_package(f"{node.module}.{alias.name}") for alias in node.names}
    return imported


def _package(module: str) -> str:
    """Return the package of a module: `stylebeam.pipeline`, `stylebeam.transforms`, or others."""
    names = module.split(".")
    return ".".join(names[:2]) if names[0] == "stylebeam" else names[0]


@pytest.mark.parametrize(
    "path",
    sorted((ROOT / "transforms").rglob("*.py")),
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_transforms_do_not_import_the_pipeline(path: Path) -> None:
    assert not imports(path) & FORBIDDEN


def test_only_two_modules_import_yaml() -> None:
    modules = (ROOT / "pipeline").rglob("*.py")
    assert {path.name for path in modules if "yaml" in imports(path)} == {
        "yaml_nodes.py",
        "yaml_limits.py",
    }


def test_only_the_registry_imports_a_method() -> None:
    names = {options.__module__ for options in METHODS.values()}
    assert len(names) > 2
    folder = ROOT / "pipeline" / "methods"
    modules = {*(ROOT / "pipeline").rglob("*.py"), *(ROOT / "stylebeam").glob("*.py")}
    others = sorted(modules - set(folder.glob("*.py")))
    assert [path for path in others if any(name in path.read_text() for name in names)] == []
