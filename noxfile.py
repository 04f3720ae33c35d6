"""What is checked: ``nox`` runs tests, lint, types and docs; ``nox -s benchmarks`` measures."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import nox

PYTHONS = ("3.11", "3.12", "3.13")

nox.needs_version = ">=2025.2.9"
nox.options.sessions = ("lint", "types", "tests", "docs")
nox.options.error_on_missing_interpreters = False  # a missing one is skipped, and nox says so
nox.options.reuse_venv = "yes"

BENCHMARKS = Path("tests/benchmarks")
COLOR_TRANSFER = "python-color-transfer==0.1.2a0"


def _let_pyenv_show_all() -> None:
    """Make every Python that pyenv has visible: by default its shims run the chosen one only."""
    pyenv = shutil.which("pyenv")
    if pyenv is None or "PYENV_VERSION" in os.environ:
        return
    listed = subprocess.run(  # noqa: S603
        (pyenv, "versions", "--bare"), capture_output=True, text=True, check=False
    )
    wanted = [
        version
        for version in listed.stdout.split()
        if version.startswith(tuple(f"{python}." for python in PYTHONS))
    ]
    if wanted:
        os.environ["PYENV_VERSION"] = ":".join(wanted)


_let_pyenv_show_all()

PROJECT = nox.project.load_toml("pyproject.toml")


def _install(session: nox.Session, group: str, *, extras: str = "all") -> None:
    session.install(f".[{extras}]", *nox.project.dependency_groups(PROJECT, group))


# half the tests wait for a process or a socket: three at a time keep two cores busy
SIDE_BY_SIDE = ("-n", "3", "--dist", "worksteal")


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests; those of the pictures once, since they are numpy's and OpenCV's doing."""
    _install(session, "tests")
    rest = () if session.python == PYTHONS[0] else ("--ignore", "tests/imaging")
    session.run("pytest", *(session.posargs or (*SIDE_BY_SIDE, *rest)))


@nox.session
def coverage(session: nox.Session) -> None:
    """Show what the tests cover, branches too."""
    _install(session, "tests")
    session.env["COVERAGE_FILE"] = str(Path(session.create_tmp()) / ".coverage")
    session.run("pytest", "--cov", "--cov-report", "term", *SIDE_BY_SIDE)


@nox.session
def lint(session: nox.Session) -> None:
    """Look at style and habits."""
    session.install(*nox.project.dependency_groups(PROJECT, "lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Check the package's types with both type checkers, and what its users would see."""
    _install(session, "types")
    session.run("mypy")
    session.run("mypy", "tests/typing_examples.py")
    session.run("pyright")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation; every warning is an error."""
    _install(session, "docs")
    session.run("sphinx-build", "-W", "--keep-going", "-q", "docs", f"{session.create_tmp()}/site")


def _color_transfer(session: nox.Session) -> str:
    """Install a peer that pins an old numpy and OpenCV where ours do not see them."""
    home = Path(session.create_tmp()) / "color-transfer"
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        session.run("python", "-m", "venv", str(home))
        pip = (str(python), "-m", "pip", "install", "-q", COLOR_TRANSFER)
        session.run(*pip, external=True, success_codes=(0, 1))
    if not any(home.rglob("python_color_transfer")):
        session.warn(f"{COLOR_TRANSFER} does not install on this Python: measured without it")
        return ""
    return str(python.absolute())


@nox.session
def benchmarks(session: nox.Session) -> None:
    """Measure against peers in the same run; takes minutes. Names of benchmarks can be given."""
    _install(session, "benchmarks")
    session.env["COLOR_TRANSFER_PYTHON"] = _color_transfer(session)
    wanted = [BENCHMARKS / f"bench_{name}.py" for name in session.posargs]
    for path in wanted or sorted(BENCHMARKS.glob("bench_*.py")):
        session.run("python", str(path))
