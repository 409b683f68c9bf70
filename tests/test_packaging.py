"""What is built from this tree installs and works anywhere; what is installed is pinned."""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
DEFAULTS = ("recipes.toml", "mcp.json", "inferencers.toml")
EXAMPLES = ("mcp-hello", "mcp-clock", "mcp-textops")

IMPORT_EVERYTHING = """
import importlib, pkgutil, woollama
found = [each.name for each in pkgutil.walk_packages(woollama.__path__, "woollama.")]
for name in found:
    if not name.endswith("__main__"):
        importlib.import_module(name)
print(len(found), woollama.__file__)
"""


def run(command: Sequence[str | Path], cwd: Path, **environment: str) -> str:
    finished = subprocess.run(command, cwd=cwd, env=environment or None, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, f"{command}\n{finished.stdout}{finished.stderr}"
    return finished.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the source distribution of this tree, and the wheel that was built from that alone."""
    directory = tmp_path_factory.mktemp("built")
    run([sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", directory], cwd=ROOT)
    (archive,) = directory.glob("*.tar.gz")
    with tarfile.open(archive) as unpacked:
        unpacked.extractall(directory, filter="data")
    (source,) = directory.glob("woollama-*/")
    run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", directory], cwd=source)
    return directory


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (found,) = built.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a new environment with the wheel in it; the dependencies are this environment's."""
    home = tmp_path_factory.mktemp("installed")
    run([sys.executable, "-m", "venv", "--without-pip", home / "venv"], cwd=home)
    python = home / "venv/bin/python"
    run([sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", wheel], cwd=home)
    (site,) = (home / "venv/lib").glob("python*/site-packages")
    (site / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return python


def test_the_wheel_holds_the_package_the_defaults_and_the_examples(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        for name in DEFAULTS:
            assert archive.read(f"woollama/defaults/{name}") == (ROOT / name).read_bytes()
    assert {f"woollama/defaults/examples/{name}/server.py" for name in EXAMPLES} <= names
    assert "woollama/py.typed" in names
    modules = {str(path.relative_to(ROOT / "src")) for path in (ROOT / "src").rglob("*.py")}
    assert modules <= names
    assert {name.split("/")[0].split("-")[0] for name in names} == {"woollama"}


def test_every_module_of_the_installed_wheel_imports(installed: Path, tmp_path: Path) -> None:
    count, place = run([installed, "-W", "error", "-c", IMPORT_EVERYTHING], cwd=tmp_path).split()
    assert int(count) > 20
    assert Path(place).is_relative_to(installed.parents[1])


def test_the_installed_commands_answer_without_any_configuration(installed: Path, tmp_path: Path) -> None:
    empty = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    for command in PROJECT["project"]["scripts"]:
        assert "usage" in run([installed.parent / command, "--help"], cwd=tmp_path, **empty).lower()
    run([installed.parent / "woollama", "check"], cwd=tmp_path, **empty)


def pins(name: str) -> dict[str, str]:
    """Package -> exact version of one constraints file."""
    text = (ROOT / f"constraints/{name}.txt").read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9-]+)==([^\s;]+)", text, flags=re.MULTILINE))


@pytest.mark.parametrize("name", ["runtime", "local", "dev"])
def test_everything_is_pinned_and_hashed(name: str) -> None:
    text = (ROOT / f"constraints/{name}.txt").read_text(encoding="utf-8")
    blocks = re.split(r"\n(?=\S)", text.strip())
    assert len(blocks) == len(pins(name))
    assert [block for block in blocks if "--hash=sha256:" not in block] == []


def test_the_constraints_agree_with_each_other() -> None:
    assert pins("runtime").items() <= pins("local").items() <= pins("dev").items()


def test_the_constraints_satisfy_what_the_project_asks_for() -> None:
    project, groups = PROJECT["project"], PROJECT["dependency-groups"]
    wanted = {
        "runtime": [*project["dependencies"], *groups["build"]],
        "local": project["optional-dependencies"]["local"],
        "dev": [each for each in groups["dev"] if isinstance(each, str)],
    }
    for name, requirements in wanted.items():
        pinned = pins(name)
        for requirement in map(Requirement, requirements):
            assert requirement.specifier.contains(pinned[requirement.name]), f"{name}: {requirement}"
