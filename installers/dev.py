#!/usr/bin/env python3
"""Set Limner up from source and start it: `run [-- ARGS]` and `test [-- PYTEST ARGS]`.

Standard library only, and readable by any Python 3, so that an old one is told so in a sentence. Makes .venv beside the
project, installs the pinned packages (llama.cpp is compiled, which takes minutes the first time), then runs. Knows
nothing of Limner itself but the name of its command.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
LOCKS = ROOT / "installers" / "lock"
NEEDED_PYTHON = (3, 11)
NEEDED_SPACE_GB = 6
WINDOWS = os.name == "nt"
BIN = VENV / ("Scripts" if WINDOWS else "bin")
LOG = VENV / "install.log"
STEPS = {
    "run": (("llama-cpp-python", "llama.txt"), ("the packages", "runtime.txt")),
    "test": (("llama-cpp-python", "llama.txt"), ("the packages", "runtime.txt"), ("the test tools", "dev.txt")),
}
WINDOW_LIBRARIES = (
    "libegl1 libgl1 libxkbcommon-x11-0 libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1 libxcb-shape0 libdbus-1-3"
)


class Fault(Exception):
    """Something of this machine is missing; the message says what to do."""


def main(argv):
    """Run one of the two commands; returns the exit code."""
    command, rest = (argv[0], argv[1:]) if argv else ("", [])
    if rest[:1] == ["--"]:
        rest = rest[1:]
    if command not in STEPS:
        print("usage: python3 installers/dev.py run [-- ARGS] | test [-- PYTEST ARGS]", file=sys.stderr)
        return 2
    try:
        prepare(command)
        return run(rest) if command == "run" else test(rest)
    except Fault as fault:
        print(f"limner: {fault}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        print("\nlimner: stopped.", file=sys.stderr)
        return 130


# ---------------------------------------------------------------- preparing
def prepare(command):
    """Bring .venv up to what `command` needs; a fraction of a second if it already is."""
    missing = [(what, lock) for what, lock in STEPS[command] if not is_stamped(lock)]
    if not missing and limner_path().exists():
        return
    check_python()
    check_space()
    make_venv()
    for what, lock in missing:
        if lock == "llama.txt":
            check_compiler()
        install(what, lock)
        stamp(lock)
    link_project()


def check_python():
    if sys.version_info < NEEDED_PYTHON:
        found = "{}.{}".format(*sys.version_info[:2])
        raise Fault(f"this is Python {found}; install Python 3.11 or newer and start again with it.")


def check_space():
    free = shutil.disk_usage(str(ROOT)).free / 1e9
    if free < NEEDED_SPACE_GB:
        text = "only {:.1f} GB are free on the disk of {}; free at least {} GB and start again."
        raise Fault(text.format(free, ROOT, NEEDED_SPACE_GB))


def check_compiler():
    names = ("cl", "clang++", "g++") if WINDOWS else ("c++", "g++", "clang++")
    if not any(shutil.which(name) for name in names) and not os.environ.get("CXX"):
        hint = {
            "linux": "install one with “sudo apt install g++” (or your system's package)",
            "darwin": "install Apple's with “xcode-select --install”",
        }.get(sys.platform, "install Visual Studio Build Tools with C++")
        raise Fault(f"no C++ compiler was found and llama.cpp must be compiled; {hint}.")


def make_venv():
    if python_path().exists():
        return
    say("making .venv")
    try:
        import venv

        venv.EnvBuilder(with_pip=True, clear=True).create(str(VENV))
    except (ImportError, subprocess.CalledProcessError, SystemExit):
        shutil.rmtree(str(VENV), ignore_errors=True)
        raise Fault("this Python cannot make virtual environments; install “python3-venv” and start again.") from None


def install(what, lock):
    """pip-install one lock file, telling the elapsed time; the full output goes to .venv/install.log."""
    note = " (compiled from source the first time: about 5 to 15 minutes)" if lock == "llama.txt" else ""
    say(f"installing {what}{note}")
    command = [str(python_path()), "-m", "pip", "install", "--disable-pip-version-check", "-r", str(LOCKS / lock)]
    with LOG.open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        with Elapsed(what):
            code = process.wait()
    if code != 0:
        raise Fault(failure(what))


def failure(what):
    """One sentence for a failed install, by what the log's end says."""
    end = LOG.read_text(encoding="utf-8", errors="replace")[-20000:]
    if "No space left" in end:
        return f"the disk filled up while installing {what}; free some space and start again."
    if any(sign in end for sign in ("NewConnectionError", "Temporary failure in name", "Connection refused")):
        return f"the package registry could not be reached for {what}; check the network and start again."
    return f"installing {what} failed; the last lines of {LOG} say why. Start again once it is mended."


def link_project():
    """Make .venv/bin/limner, which runs this source tree."""
    command = [
        str(python_path()),
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "--no-deps",
        "--no-build-isolation",
        "-q",
        "-e",
        str(ROOT),
    ]
    with LOG.open("ab") as log:
        if subprocess.call(command, stdout=log, stderr=subprocess.STDOUT) != 0:
            raise Fault(failure("Limner itself"))


def digest(lock):
    """What a stamp stands for: the pins of this lock file, installed for this folder."""
    return hashlib.sha256((LOCKS / lock).read_bytes() + str(ROOT).encode()).hexdigest()


def stamp_path(lock):
    return VENV / ("limner-" + lock + ".stamp")


def is_stamped(lock):
    path = stamp_path(lock)
    return path.exists() and path.read_text() == digest(lock)


def stamp(lock):
    stamp_path(lock).write_text(digest(lock))


def python_path():
    return BIN / ("python.exe" if WINDOWS else "python")


def limner_path():
    return BIN / ("limner.exe" if WINDOWS else "limner")


# ---------------------------------------------------------------- running
def run(args):
    """Start Limner in place of this process."""
    if not args and no_display():
        raise Fault('there is no display here to open a window on; start it from a desktop, or use “run -- turn "…"”.')
    command = [str(limner_path()), *args]
    if WINDOWS:
        return subprocess.call(command)
    os.execv(command[0], command)
    return 0


def test(args):
    """All checks and tests, or pytest alone with the given arguments."""
    environment = dict(os.environ, HF_HUB_OFFLINE="1", PYTHONFAULTHANDLER="1")
    prefix = screen(environment)
    if args:
        return subprocess.call([*prefix, str(python_path()), "-m", "pytest", *args], cwd=str(ROOT), env=environment)
    for check in (["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"], ["lint-imports"]):
        say(" ".join(check))
        code = subprocess.call([str(BIN / check[0]), *check[1:]], cwd=str(ROOT), env=environment)
        if code != 0:
            return code
    say("pytest")
    return subprocess.call([*prefix, str(python_path()), "-m", "pytest"], cwd=str(ROOT), env=environment)


def screen(environment):
    """A prefix that gives the tests a screen: none if there is one, else Xvfb, else Qt's offscreen one."""
    if not no_display():
        return []
    if shutil.which("xvfb-run"):
        return ["xvfb-run", "-a", "-s", "-screen 0 1600x1000x24"]
    say("no display and no Xvfb: the window tests use Qt's offscreen platform (install “xvfb” for a real window)")
    environment["QT_QPA_PLATFORM"] = "offscreen"
    return []


def no_display():
    has = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or os.environ.get("QT_QPA_PLATFORM")
    return sys.platform.startswith("linux") and not has


# ---------------------------------------------------------------- telling
def say(text):
    print(f"limner: {text}", flush=True)


class Elapsed:
    """Tells every ten seconds how long something has been going on."""

    def __init__(self, what):
        self.what, self.done, self.start = what, threading.Event(), time.monotonic()
        self.thread = threading.Thread(target=self.tell, daemon=True)

    def tell(self):
        while not self.done.wait(10):
            seconds = int(time.monotonic() - self.start)
            say("  still installing {} ({}:{:02d})".format(self.what, *divmod(seconds, 60)))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
