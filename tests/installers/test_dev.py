"""The set-up script: what it says when something of the machine is missing, and that an old Python can read it."""

import ast
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "installers" / "dev.py"


@pytest.fixture
def dev(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module, with an empty .venv of its own."""
    spec = importlib.util.spec_from_file_location("limner_dev", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(module, "BIN", tmp_path / ".venv" / "bin")
    monkeypatch.setattr(module, "LOG", tmp_path / "install.log")
    return module


def test_uses_the_standard_library_only() -> None:
    names = {
        (node.module if isinstance(node, ast.ImportFrom) else alias.name).split(".")[0]
        for node in ast.walk(ast.parse(SCRIPT.read_text()))
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }
    assert names <= set(sys.stdlib_module_names)


def test_an_old_python_can_read_it_and_is_told(dev: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    ast.parse(SCRIPT.read_text(), feature_version=(3, 7))
    monkeypatch.setattr(dev.sys, "version_info", (3, 8, 1))
    with pytest.raises(dev.Fault, match=r"Python 3\.8; install Python 3\.11"):
        dev.check_python()


def test_a_missing_compiler_is_one_sentence(
    dev: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(dev.shutil, "which", lambda _: None)
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(dev, "make_venv", lambda: None)
    assert dev.main(["run"]) == 3
    said = capsys.readouterr().err
    assert "no C++ compiler" in said and said.count("\n") == 1


def test_a_full_disk_is_one_sentence(dev: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dev.shutil, "disk_usage", lambda _: type("U", (), {"free": 1e9})())
    with pytest.raises(dev.Fault, match=r"only 1\.0 GB are free"):
        dev.check_space()


def test_no_display_is_one_sentence(
    dev: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(dev.sys, "platform", "linux")
    monkeypatch.setattr(dev, "prepare", lambda _: None)
    assert dev.main(["run"]) == 3
    assert "no display" in capsys.readouterr().err


def test_a_failed_install_says_what_failed(dev: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dev, "python_path", lambda: Path(sys.executable))
    monkeypatch.setattr(dev, "LOCKS", SCRIPT.parent / "nowhere")
    with pytest.raises(dev.Fault, match="installing the packages failed"):
        dev.install("the packages", "runtime.txt")


@pytest.mark.parametrize(
    ("log", "sentence"),
    [
        ("OSError: [Errno 28] No space left on device", "disk filled up"),
        ("NewConnectionError(…)", "could not be reached"),
    ],
)
def test_known_install_failures(dev: ModuleType, log: str, sentence: str) -> None:
    dev.LOG.write_text(log)
    assert sentence in dev.failure("the packages")


def test_a_stamp_holds_until_the_lock_changes(dev: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    locks = tmp_path / "lock"
    locks.mkdir()
    (locks / "runtime.txt").write_text("a==1")
    dev.VENV.mkdir()
    monkeypatch.setattr(dev, "LOCKS", locks)
    dev.stamp("runtime.txt")
    assert dev.is_stamped("runtime.txt")
    (locks / "runtime.txt").write_text("a==2")
    assert not dev.is_stamped("runtime.txt")


def test_wrong_usage_is_exit_code_2(dev: ModuleType) -> None:
    assert dev.main([]) == 2
    assert dev.main(["dance"]) == 2


def test_the_lock_pins_every_package_exactly() -> None:
    for lock in (SCRIPT.parent / "lock").glob("*.txt"):
        rows = [r for r in lock.read_text().splitlines() if r and not r.startswith(("#", "-r "))]
        assert rows and all("==" in r for r in rows), lock.name
