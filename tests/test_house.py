"""The house as drawn: public names, floors, what is loaded when."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import ailab_async

PACKAGE = Path(ailab_async.__file__).parent

FLOORS = {
    **dict.fromkeys(("protocol", "operations", "images", "errors", "events", "carry"), 1),
    **dict.fromkeys(
        ("transport", "retry", "poller", "rhythm", "durations", "timetable", "files", "drafts"), 2
    ),
    **dict.fromkeys(("client", "session", "submission", "task", "batch"), 3),
    **dict.fromkeys(("cli", "local", "__main__"), 4),
    "__init__": 5,
}

HEAVY = (
    "PIL",
    "numpy",
    "cv2",
    "av",
    "patchmatch",
    "starlette",
    "uvicorn",
    "python_multipart",
    "rich",
)


def modules():
    return sorted(PACKAGE.rglob("*.py"))


def room_of(path):
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported_rooms(path):
    """Yield the rooms of the package that a module imports, wherever in it the import stands."""
    package = ("ailab_async", *path.relative_to(PACKAGE).parent.parts)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            stem = base + (node.module.split(".") if node.module else [])
            names = [stem] if len(stem) > 1 else [[*stem, alias.name] for alias in node.names]
        else:
            continue
        for name in names:
            if name[0] == "ailab_async":
                dunder = len(name) > 1 and name[1].startswith("__")
                yield name[1] if len(name) > 1 and not dunder else "__init__"


def test_every_room_has_a_floor():
    assert {room_of(path) for path in modules()} <= set(FLOORS)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_only_go_down(path):
    here = FLOORS[room_of(path)]
    for room in imported_rooms(path):
        assert room in FLOORS, f"{path.name} imports the unknown room {room}"
        if room == "__init__":
            assert here == 4, f"{path.name} imports the top of the package"
        else:
            assert FLOORS[room] <= here, f"{path.name} (floor {here}) imports {room}"


def test_only_the_transport_knows_the_http_library():
    knowing = {
        path.relative_to(PACKAGE).as_posix()
        for path in modules()
        if room_of(path) not in {"cli", "local"} and "AsyncHTTPTransport" in path.read_text()
    }
    assert knowing == {"transport/library.py"}
    assert not any("import httpx" in path.read_text() for path in modules())


def test_the_public_names_are_these():
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    typed = {
        alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    lazy = {name: home for home, names in ailab_async._HOMES.items() for name in names.split()}
    assert typed == lazy
    assert set(ailab_async.__all__) == {*lazy, "__version__"}
    for name in ailab_async.__all__:
        assert getattr(ailab_async, name) is not None
        assert name in dir(ailab_async)
    with pytest.raises(AttributeError, match="no attribute 'AsyncCleint'"):
        ailab_async.AsyncCleint  # noqa: B018


def test_every_error_is_public():
    from ailab_async import errors

    assert set(errors.__all__) <= set(ailab_async.__all__)


def loaded_after(code):
    script = f"import sys\n{code}\nprint(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.split())


def test_nothing_heavy_is_loaded_before_it_is_used():
    light = "from ailab_async import *; AsyncClient(); HDColorMigration('a.jpg'); catalogue()"
    assert not loaded_after(light) & set(HEAVY)
    assert "httpx" not in loaded_after(light)


def test_every_module_says_what_it_is_for():
    for path in modules():
        assert ast.get_docstring(ast.parse(path.read_text())), path
