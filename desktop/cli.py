"""The command line: the same engine as the window, headless. Knows arguments and printing; decides nothing itself."""

import argparse
import json
import signal
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from desktop import places
from models.contracts import BadInputError, Cancelled, KnownError, Modality, PaintOverrides, to_json

EXIT_DONE, EXIT_USAGE, EXIT_KNOWN, EXIT_STOPPED = 0, 2, 3, 130


def main(argv: Sequence[str]) -> int:
    """Parse and run one command; see `limner --help`. Returns the exit code."""
    args = _parser().parse_args(argv)
    try:
        code: int = args.run(args)
    except KnownError as error:
        print(f"limner: {error}", file=sys.stderr)
        return EXIT_KNOWN
    except (KeyboardInterrupt, Cancelled):
        print("limner: stopped.", file=sys.stderr)
        return EXIT_STOPPED
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="limner", description="Talk, and pictures appear. Without a command: the window."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_turn(commands)
    _add_models(commands)
    _add_replay(commands)
    for name, run, text in (
        ("doctor", _doctor, "what is installed, devices, memory, model folders, in words"),
        ("bench", _bench, "speed and memory against the bare libraries, in one run"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("--json", action="store_true", help="print one JSON object")
        command.set_defaults(run=run)
    commands.choices["bench"].add_argument("--only", action="append", metavar="PART", help="measure just this part")
    shots = commands.add_parser("screenshots", help="make the project's own screenshots")
    shots.add_argument("folder", type=Path)
    shots.set_defaults(run=_screenshots)
    return parser


def _add_turn(commands: Any) -> None:
    turn = commands.add_parser("turn", help="run one turn: words in, words or a picture out")
    turn.add_argument("text", metavar="TEXT", help="what you say; - reads it from standard input")
    turn.add_argument("--session", type=Path, metavar="DIR", help="continue the conversation kept in this folder")
    turn.add_argument("--image", type=Path, action="append", default=[], metavar="PATH", help="attach a picture")
    turn.add_argument("--seed", type=int, help="painting seed, 0 to 4294967295")
    turn.add_argument("--backend", choices=("auto", "torch", "onnx"), default="auto")
    turn.add_argument("--modality", choices=[m.value for m in Modality], default="auto")
    turn.add_argument("--steps", type=int)
    turn.add_argument("--size", type=_size, metavar="WxH")
    turn.add_argument("--count", type=int, default=1, help="variations: how many pictures for one request")
    turn.add_argument("--guidance", type=float, help="guidance scale")
    turn.add_argument("--scheduler")
    turn.add_argument("--negative", help="negative prompt")
    turn.add_argument("--two-step", action="store_true", help="let the director correct itself (DialogGen §5.2)")
    turn.add_argument("--mllm", help="name of the director model")
    turn.add_argument("--t2i", help="name of the painter model")
    turn.add_argument("--json", action="store_true", help="print one JSON object")
    turn.set_defaults(run=_turn)


def _add_models(commands: Any) -> None:
    models = commands.add_parser("models", help="list, verify, add and export models")
    actions = models.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, argument, text in (
        ("list", None, "what is installed, where, and whether it looks whole"),
        ("verify", "name", "check hashes and parts (all models without a name)"),
        ("add", "path", "use a model file or folder where it lies"),
        ("export", "name", "export a painter to ONNX"),
    ):
        action = actions.add_parser(name, help=text)
        if argument:
            action.add_argument(argument, nargs="?" if name == "verify" else None)
        action.add_argument("--json", action="store_true")
    models.set_defaults(run=_models)


def _add_replay(commands: Any) -> None:
    replay = commands.add_parser("replay", help="paint every picture of a session again and compare")
    replay.add_argument("session", type=Path, metavar="SESSION", help="the folder given to --session")
    replay.add_argument("--json", action="store_true")
    replay.set_defaults(run=_replay)


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition("x")
    if not (width.isdigit() and height.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a size; write it as 512x512")
    return int(width), int(height)


# ---------------------------------------------------------------- turn
def _turn(args: argparse.Namespace) -> int:
    from desktop.engine import Choice, Draft, Engine, TurnFinished

    choice = Choice(mllm=args.mllm, t2i=args.t2i, backend=args.backend)
    with Engine.open(library=args.session or _one_off(), choice=choice) as engine, _ctrl_c() as cancelled:
        session, parent = _continue(engine)
        draft = Draft(
            session_id=session,
            parent_id=parent,
            text=_text(args.text),
            images=tuple(args.image),
            seed=args.seed,
            modality=Modality(args.modality),
            two_step=args.two_step,
            overrides=_overrides(args),
        )
        finished = None
        for event in engine.turn(draft, cancelled):
            _show(event, quiet=args.json)
            if isinstance(event, TurnFinished):
                finished = event.turn
    return _report_turn(finished, as_json=args.json)


def _one_off() -> Path:
    return places.home() / "turns" / f"{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:6]}"


def _text(given: str) -> str:
    return sys.stdin.read() if given == "-" else given


def _overrides(args: argparse.Namespace) -> PaintOverrides:
    width, height = args.size or (None, None)
    return PaintOverrides(
        width=width,
        height=height,
        steps=args.steps,
        guidance_scale=args.guidance,
        scheduler=args.scheduler,
        negative_prompt=args.negative,
        count=args.count,
    )


def _continue(engine: Any) -> tuple[str, str | None]:
    """The newest session of the library and the turn to go on from; a new session if there is none."""
    from models.seeds import random_seed

    sessions = engine.store.sessions()
    session = sessions[0] if sessions else engine.store.create_session(seed=random_seed())
    done = [t for t in (engine.store.branch(session.head) if session.head else []) if t.state in ("done", "cancelled")]
    return session.id, done[-1].id if done else None


@contextmanager
def _ctrl_c() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C into a cancel; a second one ends the program as usual."""
    stop = threading.Event()

    def ask(_signal: int, _frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield stop.is_set
    finally:
        signal.signal(signal.SIGINT, before)


def _show(event: Any, quiet: bool) -> None:
    """Stream the words to stdout and the progress to stderr (a terminal only)."""
    if quiet:
        return
    if event.event == "say":
        print(event.text, end="", flush=True)
    elif event.event == "draw_step" and sys.stderr.isatty():
        print(f"\rpainting {event.step.index}/{event.step.total} ", end="", file=sys.stderr, flush=True)


def _report_turn(turn: Any, as_json: bool) -> int:
    if turn is None or turn.state == "cancelled":
        if as_json and turn is not None:
            print(json.dumps(turn_json(turn), ensure_ascii=False))
        raise Cancelled()
    if turn.state == "failed":
        raise KnownError(turn.error or "The turn failed.")
    if as_json:
        print(json.dumps(turn_json(turn), ensure_ascii=False))
        return EXIT_DONE
    print()
    for picture in turn.pictures:
        print(f"[{picture.number}] {picture.path}  (seed {picture.spec.seed})")
        print(f"    {picture.spec.prompt}")
    return EXIT_DONE


def turn_json(turn: Any) -> dict[str, Any]:
    """The JSON object of `limner turn --json` for a finished TurnRecord."""
    first = turn.pictures[0] if turn.pictures else None
    return {
        "turn_id": turn.id,
        "modality": str(turn.reply.modality) if turn.reply else None,
        "say": turn.reply.say if turn.reply else "",
        "drawing_prompt": first.spec.prompt if first else None,
        "negative_prompt": first.spec.negative_prompt if first else None,
        "p_draw": turn.p_draw,
        "seed": first.spec.seed if first else turn.seed,
        "images": [p.path for p in turn.pictures],
        "model": {"mllm": to_json(turn.mllm), "t2i": to_json(turn.t2i)},
        "protocol": turn.protocol,
        "steps": to_json(first.steps) if first else [],
        "tokens": {"kept": list(first.tokens.kept), "dropped": list(first.tokens.dropped)} if first else None,
        "timings": to_json(turn.timings),
    }


# ---------------------------------------------------------------- models
def _models(args: argparse.Namespace) -> int:
    from desktop import model_commands

    return {
        "list": model_commands.list_models,
        "verify": model_commands.verify,
        "add": model_commands.add,
        "export": model_commands.export,
    }[args.action](args)


def _replay(args: argparse.Namespace) -> int:
    from desktop.replay import replay_folder

    if not (args.session / "limner.sqlite").is_file():
        raise BadInputError(f"There is no Limner session in {args.session}; give the folder you passed to --session.")
    return replay_folder(args.session, as_json=args.json)


def _doctor(args: argparse.Namespace) -> int:
    from desktop.doctor import report

    return report(as_json=args.json)


def _bench(args: argparse.Namespace) -> int:
    from desktop.bench import bench

    return bench(as_json=args.json, only=args.only)


def _screenshots(args: argparse.Namespace) -> int:
    from desktop.ui.screenshots import main as screenshots_main

    return screenshots_main([str(args.folder)])
