"""The stages' glue: where files lie in the work folder, and which parts run in which order."""

import ctypes
import json
import random
import sys
import time
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from models.training.director import (
    align,
    base_weights,
    corrections,
    evaluate,
    measure,
    merges,
    rendering,
    shipped,
    synthetic,
    vision,
)
from models.training.director import dialogues as dg
from models.training.director import export as files
from models.training.director import vocabulary as vo
from models.training.director.base_weights import Shape
from models.training.director.export import NAME
from models.training.director.finetune import Finetuner, Settings
from models.training.director.network import LanguageModel
from models.training.director.rendering import Example, Renderer
from models.training.director.shipped import shape_of
from models.training.scenes.vocabulary import BACKGROUNDS, LENSES, STYLES, labels

OUT = vo.REPOSITORY / "resources" / "models" / NAME
MODEL_FILE, MMPROJ_FILE = f"{NAME}.gguf", f"{NAME}-mmproj.gguf"
DROPPED_LAYERS = (14, 16, 17, 18)
"""The four layers that cost least, found by dropping one after another (3.62 → 3.96 nats, untrained)."""
CORRECTIONS_PER_EPOCH = 200
KEPT_ENGLISH = 32768
CHINESE_MERGES = 4096
WORDS_FOR_NEW_TOKENS = {vo.DRAW: " draw", vo.DRAW_END: ".", vo.VISION_START: " picture", vo.VISION_END: ":"}


def english_names() -> dict[str, str]:
    """Chinese names of subjects, backgrounds, lenses and styles → the English ones."""
    return {zh: en for names in (labels(), BACKGROUNDS, LENSES, STYLES) for en, zh in names.items()}


def glossary() -> dict[str, str]:
    """Chinese → English for frequent words, and for the three fields of a prompt with their openings."""
    words: dict[str, str] = json.loads((dg.DATA_FOLDER.parent / "zh_glossary.json").read_text(encoding="utf-8"))
    words |= english_names()
    fields = (("背景是", "background", BACKGROUNDS), ("镜头是", "lens", LENSES), ("风格是", "style", STYLES))
    for opening, english, names in fields:
        words |= {opening: f"the {english} is"} | {opening + zh: f"{english} {en}" for en, zh in names.items()}
    return words


def load_split() -> tuple[list[dg.Dialogue], list[dg.Dialogue]]:
    """(training, validation) parts of the hand-written dialogues."""
    return dg.split(dg.load_dialogues(english_names()))


def _chinese_texts(dialogues: list[dg.Dialogue]) -> list[str]:
    turns = [turn for dialogue in dialogues if dialogue.lang == "zh" for turn in dialogue.turns]
    return [text for turn in turns for text in (turn.user, turn.say, turn.prompt or "")]


def prepare(options: Namespace) -> None:
    """Base weights → `start.safetensors` and `vocabulary.json` in the work folder."""
    options.work.mkdir(parents=True, exist_ok=True)
    source = base_weights.download(options.work)
    full = base_weights.read_base(source, Shape())
    kept = [index for index in range(Shape().layers) if index not in DROPPED_LAYERS]
    state = base_weights.keep_layers(full, kept)
    base = vo.read_vocabulary(source, KEPT_ENGLISH)
    training, _ = load_split()
    grown = merges.learn_merges(base, _chinese_texts(training), CHINESE_MERGES)
    state["embed_tokens.weight"] = merges.grow_embeddings(state["embed_tokens.weight"], base, grown)
    tokenizer = vo.build_tokenizer(grown)
    for token, row in merges.glossary_rows(state["embed_tokens.weight"], tokenizer, glossary()).items():
        state["embed_tokens.weight"][token] = row
    copies = {new: tokenizer.encode(word).ids for new, word in WORDS_FOR_NEW_TOKENS.items()}
    base_weights.start_new_tokens(state, copies)
    vo.save_vocabulary(grown, options.work / "vocabulary.json")
    save_file(state, options.work / "start.safetensors")


def load_model(folder: Path) -> tuple[LanguageModel, Renderer]:
    """The starting point in `folder` as a model, and the renderer for its vocabulary."""
    state = load_file(folder / "start.safetensors")
    model = LanguageModel(shape_of(state))
    model.load_state_dict(state)
    return model, Renderer(vo.build_tokenizer(vo.load_vocabulary(folder / "vocabulary.json")))


def logger(path: Path) -> Callable[[str], None]:
    """Append lines with the time of day to `path`, and print them."""

    def log(line: str) -> None:
        stamped = f"{time.strftime('%H:%M:%S')} {line}"
        print(stamped, flush=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(stamped + "\n")

    return log


def keep_memory() -> None:
    """Let glibc keep freed tensors' memory: mapping it anew at every step costs about a tenth of the training time."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        trim_threshold, mmap_max = -1, -4
        libc.mallopt(mmap_max, 0)
        libc.mallopt(trim_threshold, 2**31 - 1)


def train(options: Namespace) -> None:
    """Fine-tune within the time budget; picks up `checkpoint.safetensors` if it is there.

    Where the tower is there too, a share `--seen` of the conversations is seen through it; in the others the words it
    should see stand in for the pictures.
    """
    torch.set_num_threads(options.threads)
    keep_memory()
    model, renderer = load_model(options.work)
    training, validation = load_split()
    settings = Settings(budget=60 * options.minutes, decision_weight=options.decision)
    tuner = Finetuner(model, settings, options.work, logger(options.work / "train.log"))
    resumed = tuner.resume()
    eyes = load_eyes(options.work)
    tuner.log(f"{'resumed' if resumed else 'started'} with{'' if eyes else 'out'} a tower, {model.shape}")

    def source(rng: random.Random) -> list[Example]:
        examples = [renderer.render(dialogue) for dialogue in synthetic.mixture(training, rng, options.focus)]
        fixes = corrections.corrections(training, CORRECTIONS_PER_EPOCH // (3 if options.focus else 1), rng)
        examples += [rendering.render_correction(renderer, fix) for fix in fixes]
        return [eyes.show(example) if eyes and rng.random() < options.seen else example for example in examples]

    tuner.run(source, lambda: evaluate.summary(evaluate.decide(model, renderer.render, _sample(validation))))


def load_eyes(folder: Path) -> align.Eyes | None:
    """The trained tower of the work folder, if there is one."""
    path = folder / "tower.safetensors"
    if not path.exists():
        return None
    tower = vision.build_tower(vision.tower_config())
    tower.load_state_dict(load_file(path))
    return align.Eyes(tower.eval())


def _sample(validation: list[dg.Dialogue]) -> list[dg.Dialogue]:
    """A fixed third of the validation part, quick enough to be measured while training."""
    return validation[::3]


def latest_weights(folder: Path) -> dict[str, torch.Tensor]:
    """The language half as far as it has been trained: the checkpoint's weights, or the starting point."""
    checkpoint = folder / "checkpoint.safetensors"
    if not checkpoint.exists():
        return load_file(folder / "start.safetensors")
    with safe_open(checkpoint, framework="pt") as file:
        return {name[6:]: file.get_tensor(name) for name in file.keys() if name.startswith("model.")}  # noqa: SIM118


def renderer_of(folder: Path) -> Renderer:
    """The renderer for the work folder's vocabulary."""
    return Renderer(vo.build_tokenizer(vo.load_vocabulary(folder / "vocabulary.json")))


def align_vision(options: Namespace) -> None:
    """Train the tower towards the language half's embeddings; goes on from `tower.safetensors` if it is there."""
    torch.set_num_threads(options.threads)
    keep_memory()
    torch.manual_seed(0)
    log = logger(options.work / "vision.log")
    eyes = load_eyes(options.work)
    tower = eyes.tower.train() if eyes else vision.build_tower(vision.tower_config())
    table = latest_weights(options.work)["embed_tokens.weight"]
    aligner = align.Aligner(tower, table, renderer_of(options.work))
    aligner.train(60 * options.minutes, align.Pool(random.Random(time.time_ns())), log)
    save_file(tower.state_dict(), options.work / "tower.safetensors")
    rng = random.Random(-1)
    tower.eval()
    log(f"fields read rightly in 200 new scenes: {aligner.fields_right([align.random_scene(rng) for _ in range(200)])}")


def export(options: Namespace) -> None:
    """Write the shipped folder from the latest weights; the fp16 GGUF stays in the work folder."""
    state, vocabulary = latest_weights(options.work), vo.load_vocabulary(options.work / "vocabulary.json")
    eyes = load_eyes(options.work)
    if eyes is None:
        raise SystemExit("There is no trained tower yet: run the stage `vision` first.")
    options.out.mkdir(parents=True, exist_ok=True)
    for old in [*options.out.glob("*.gguf"), *options.out.glob("tokenizer*")]:
        old.unlink()
    half = options.work / f"{NAME}-f16.gguf"
    files.write_language_half(half, state, shape_of(state), vocabulary)
    files.quantize(half, options.out / MODEL_FILE, options.body, options.embedding)
    files.write_vision_half(options.out / MMPROJ_FILE, eyes.tower.state_dict(), eyes.tower.config)
    vo.save_template(options.out)
    files.write_manifest(options.out, MODEL_FILE, MMPROJ_FILE)


def evaluate_shipped(options: Namespace) -> None:
    """Measure the shipped files (and the fp16 ones) on the validation split; writes evaluation.json beside them."""
    torch.set_num_threads(options.threads)
    log = logger(options.work / "evaluate.log")
    renderer, eyes = renderer_of(options.work), load_eyes(options.work)
    _, validation = load_split()
    decisions = {}
    for name, path in (("shipped", options.out / MODEL_FILE), ("f16", options.work / f"{NAME}-f16.gguf")):
        for sight, render in _renderings(renderer, eyes).items():
            found = evaluate.decide(shipped.load_network(path, torch.bfloat16), render, validation)
            decisions[f"{name}{sight}"] = found
            log(f"{name}{sight}: {evaluate.summary(found)}")
    made = synthetic.sessions(random.Random("evaluation"), {"en": 40, "zh": 40}, {"en": 0, "zh": 0})
    turns = measure.drawing_turns(validation + made, options.replies, random.Random(0))
    speaker = shipped.Speaker(options.out / MODEL_FILE)
    written = [measure.write(speaker, renderer, dialogue, index) for dialogue, index in turns]
    measured = measure.report(decisions, written)
    text = json.dumps(measured, indent=1, ensure_ascii=False)
    (options.out / "evaluation.json").write_text(text + "\n", encoding="utf-8")
    files.write_manifest(options.out, MODEL_FILE, MMPROJ_FILE)
    log(json.dumps(measured["prompts"]))
    print(measure.markdown(measured))


def _renderings(renderer: Renderer, eyes: align.Eyes | None) -> dict[str, evaluate.Render]:
    """Pictures through the tower (""), and with the words in their place (" with perfect sight")."""
    if eyes is None:
        return {" with perfect sight": renderer.render}
    return {"": lambda dialogue: eyes.show(renderer.render(dialogue))}
