"""The registry over real files in the layouts of Limner and of other tools."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from models.contracts import BadModelError, Cancelled, ModelDescription, StoreError
from models.discovery import walk
from models.discovery.facts import folder_identity
from models.registry import Registry, known_folders
from resources import resource

Maker = Callable[..., Path]
SD1 = {
    "model.diffusion_model.input_blocks.0.0.weight": (8, 4, 3, 3),
    "cond_stage_model.transformer.text_model.embeddings.position_embedding.weight": (77, 8),
    "first_stage_model.decoder.conv_in.weight": (8, 4, 3, 3),
}
SDXL = {
    "model.diffusion_model.input_blocks.0.0.weight": (8, 4, 3, 3),
    "model.diffusion_model.label_emb.0.0.weight": (8, 8),
    "conditioner.embedders.0.transformer.text_model.embeddings.position_embedding.weight": (77, 8),
    "conditioner.embedders.1.model.positional_embedding": (77, 8),
    "first_stage_model.decoder.conv_in.weight": (8, 4, 3, 3),
}
LORA = {"lora_unet_down_blocks_0.lora_down.weight": (4, 8), "lora_unet_down_blocks_0.lora_up.weight": (8, 4)}


def scan(*folders: Path) -> dict[str, ModelDescription]:
    return {model.name: model for model in Registry(folders).scan()}


def only(folder: Path) -> ModelDescription:
    (model,) = Registry([folder]).scan()
    return model


# ---------------------------------------------------------------- the starter models
def test_the_starter_models_are_found_whole_with_hashes(starters: dict[str, ModelDescription]) -> None:
    registry = Registry([resource("models")])
    assert starters
    for kind, model in starters.items():
        assert model.problem == ""
        assert len(model.sha256) == 64
        assert registry.default(kind) == model
        assert registry.find(model.name.upper(), kind) == model
        assert registry.verify(model) == []


def test_looking_for_models_imports_no_heavy_library() -> None:
    code = (
        "import sys; from models.registry import Registry; from resources import resource; "
        "Registry([resource('models')]).scan(); "
        "print([m for m in ('torch', 'transformers', 'llama_cpp', 'numpy', 'gguf', 'diffusers') if m in sys.modules])"
    )
    root = str(Path(__file__).parents[3])
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": root}
    )
    assert done.stdout.strip() == "[]"


# ---------------------------------------------------------------- directors
def test_a_model_and_its_tower_are_one_model(tmp_path: Path, make_gguf: Maker, make_mmproj: Maker) -> None:
    path = make_gguf(tmp_path / "qwen-q4.gguf", "qwen2vl")
    tower = make_mmproj(tmp_path / "mmproj-qwen-f16.gguf")
    model = only(tmp_path)
    assert (model.name, model.kind, model.format, model.family) == ("qwen-q4", "mllm", "gguf", "qwen2vl")
    assert (model.path, model.mmproj) == (str(path), str(tower))
    assert model.bytes == path.stat().st_size + tower.stat().st_size
    assert (model.license, model.languages, model.problem) == ("mit", ("en", "zh"), "")
    assert Registry([]).verify(model) == []


def test_of_several_towers_the_fitting_one_with_the_nearest_name_is_taken(
    tmp_path: Path, make_gguf: Maker, make_mmproj: Maker
) -> None:
    make_gguf(tmp_path / "Qwen2-VL-2B-Q4.gguf", "qwen2vl", 64)
    make_gguf(tmp_path / "Qwen2.5-VL-3B-Q4.gguf", "qwen2vl", 64)
    make_gguf(tmp_path / "Qwen2-VL-7B-Q4.gguf", "qwen2vl", 128)
    for size, width in (("Qwen2-VL-2B", 64), ("Qwen2.5-VL-3B", 64), ("Qwen2-VL-7B", 128)):
        for kind in ("f32", "f16"):
            make_mmproj(tmp_path / f"mmproj-{size}-{kind}.gguf", width)
    found = scan(tmp_path)
    assert {name: Path(model.mmproj or "").name for name, model in found.items()} == {
        "Qwen2-VL-2B-Q4": "mmproj-Qwen2-VL-2B-f16.gguf",
        "Qwen2.5-VL-3B-Q4": "mmproj-Qwen2.5-VL-3B-f16.gguf",
        "Qwen2-VL-7B-Q4": "mmproj-Qwen2-VL-7B-f16.gguf",
    }


def test_a_model_without_a_tower_talks_without_seeing(tmp_path: Path, make_gguf: Maker) -> None:
    make_gguf(tmp_path / "chat.gguf", "llama")
    model = only(tmp_path)
    assert (model.mmproj, model.problem) == (None, "")


def test_a_tower_without_its_model_is_a_problem(tmp_path: Path, make_mmproj: Maker) -> None:
    make_mmproj(tmp_path / "mmproj.gguf")
    model = only(tmp_path)
    assert "only the vision half" in model.problem
    assert "is not beside it" in model.problem


def test_a_mismatched_pair_leaves_a_blind_model_and_says_why(
    tmp_path: Path, make_gguf: Maker, make_mmproj: Maker
) -> None:
    make_gguf(tmp_path / "chat.gguf", "qwen2vl", 64)
    tower = make_mmproj(tmp_path / "mmproj-other.gguf", 48)
    found = scan(tmp_path)
    assert (found["chat"].mmproj, found["chat"].problem) == (None, "")
    assert "vectors of 48 numbers where the model takes 64" in found["mmproj-other"].problem
    forced = replace(found["chat"], mmproj=str(tower))
    assert ["does not fit chat" in problem for problem in Registry([]).verify(forced)] == [True]


def test_a_tower_of_another_family_does_not_fit(tmp_path: Path, make_gguf: Maker, make_mmproj: Maker) -> None:
    make_gguf(tmp_path / "chat.gguf", "llama", 64)
    make_mmproj(tmp_path / "mmproj.gguf", 64, "qwen2vl_merger")
    found = scan(tmp_path)
    assert found["chat"].mmproj is None
    assert "a qwen2vl_merger tower and the model is a llama" in found["mmproj"].problem


def test_a_language_model_given_as_tower_is_told(tmp_path: Path, make_gguf: Maker) -> None:
    make_gguf(tmp_path / "a.gguf")
    make_gguf(tmp_path / "b.gguf")
    model = replace(scan(tmp_path)["a"], mmproj=str(tmp_path / "b.gguf"))
    assert Registry([]).verify(model) == ["b.gguf is no vision half: get the mmproj file of a."]


def test_damaged_ggufs_are_listed_with_their_problem(tmp_path: Path, make_gguf: Maker) -> None:
    (tmp_path / "text.gguf").write_text("This is a poem and no model at all.")
    whole = make_gguf(tmp_path / "cut.gguf").read_bytes()
    (tmp_path / "cut.gguf").write_bytes(whole[: len(whole) // 2])
    found = scan(tmp_path)
    assert found["text"].problem == "text.gguf is not a GGUF file."
    assert found["cut"].problem.startswith("cut.gguf is incomplete")


def test_a_model_in_parts_is_one_model_and_a_missing_part_is_told(tmp_path: Path, make_gguf: Maker) -> None:
    for number in (1, 2, 3):
        make_gguf(tmp_path / f"big-{number:05}-of-00003.gguf")
    model = only(tmp_path)
    assert (model.name, model.problem) == ("big", "")
    assert model.bytes == 3 * Path(model.path).stat().st_size
    (tmp_path / "big-00002-of-00003.gguf").unlink()
    assert "big-00002-of-00003.gguf is missing" in only(tmp_path).problem


def test_painters_and_text_encoders_in_gguf_form(tmp_path: Path, make_gguf: Maker) -> None:
    make_gguf(tmp_path / "flux.gguf", "flux")
    make_gguf(tmp_path / "embedder.gguf", "nomic-bert")
    model = only(tmp_path)
    assert model.kind == "t2i"
    assert "painter in GGUF form" in model.problem


def test_a_gguf_with_its_vision_part_inside_is_told(tmp_path: Path, make_mmproj: Maker) -> None:
    path = make_mmproj(tmp_path / "ollama-made.gguf")
    raw = path.read_bytes().replace(b"clip", b"llam").replace(b"mmproj", b"models")
    path.write_bytes(raw)
    assert "has its vision part inside" in only(tmp_path).problem


def test_a_name_tells_the_protocol(tmp_path: Path, make_gguf: Maker) -> None:
    for name in ("DialogGen-Qwen", "seed-llama-8b", "NExT-GPT", "plain"):
        make_gguf(tmp_path / f"{name}.gguf")
    assert {name: model.protocol for name, model in scan(tmp_path).items()} == {
        "DialogGen-Qwen": "dialoggen", "seed-llama-8b": "seed_llama", "NExT-GPT": "next_gpt", "plain": "",
    }  # fmt: skip


# ---------------------------------------------------------------- painters
@pytest.mark.parametrize("family", ["sd", "sdxl", "hunyuandit"])
def test_a_diffusers_folder(tmp_path: Path, make_diffusers: Maker, family: str) -> None:
    folder = make_diffusers(tmp_path / "paint", family)
    model = only(tmp_path)
    assert (model.name, model.kind, model.format, model.family) == ("paint", "t2i", "diffusers", family)
    assert (model.path, model.problem, model.onnx) == (str(folder), "", None)
    assert Registry([]).verify(model) == []


@pytest.mark.parametrize("part", ["vae/model.safetensors", "unet/config.json", "scheduler/scheduler_config.json"])
def test_a_missing_part_is_named(tmp_path: Path, make_diffusers: Maker, part: str) -> None:
    (make_diffusers(tmp_path / "paint") / part).unlink()
    model = only(tmp_path)
    assert part.split("/")[0] in model.problem
    assert Registry([]).verify(model) == [model.problem]


def test_a_cut_weight_file_in_a_folder_is_told(tmp_path: Path, make_diffusers: Maker) -> None:
    weights = make_diffusers(tmp_path / "paint") / "unet" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    assert "model.safetensors is incomplete" in only(tmp_path).problem


def test_a_pipeline_limner_cannot_paint_with(tmp_path: Path) -> None:
    (tmp_path / "video").mkdir()
    (tmp_path / "video" / "model_index.json").write_text('{"_class_name": "WanPipeline"}')
    assert "WanPipeline, which Limner cannot paint with" in only(tmp_path).problem


def test_exports_are_found_inside_beside_and_in_limners_own_folder(
    tmp_path: Path, make_diffusers: Maker, make_export: Maker, make_safetensors: Maker
) -> None:
    folders = tmp_path / "models"
    inside = make_export(make_diffusers(folders / "a") / "onnx")
    make_diffusers(folders / "b")
    beside = make_export(folders / "b-onnx")
    make_diffusers(folders / "c")
    own = make_export(tmp_path / "home" / "onnx" / "c")
    make_safetensors(folders / "d.safetensors", SD1)
    beside_file = make_export(folders / "d-onnx")
    found = Registry([folders], settings=tmp_path / "home" / "models.json").scan()
    assert {m.name: m.onnx for m in found} == {
        "a": str(inside), "b": str(beside), "c": str(own), "d": str(beside_file),
    }  # fmt: skip


def test_an_export_alone_paints_too(tmp_path: Path, make_export: Maker) -> None:
    folder = make_export(tmp_path / "fast")
    model = only(tmp_path)
    assert (model.path, model.onnx, model.family, model.problem) == (str(folder), str(folder), "sd", "")
    assert Registry([]).verify(model) == []
    (folder / "unet" / "config.json").unlink()
    assert only(tmp_path).problem


def test_checkpoints_are_recognised_and_other_safetensors_stay_out(tmp_path: Path, make_safetensors: Maker) -> None:
    for name, shapes in {
        "dream": SD1,
        "dream-xl": SDXL,
        "style-lora": LORA,
        "vae": {"decoder.conv_in.weight": (8, 4, 3, 3)},
        "flux": {"double_blocks.0.img_attn.norm.key_norm.scale": (8,)},
        "unet-only": {"model.diffusion_model.input_blocks.0.0.weight": (8, 4, 3, 3)},
    }.items():
        make_safetensors(tmp_path / f"{name}.safetensors", shapes)
    registry = Registry([tmp_path])
    found = {model.name: model for model in registry.scan()}
    assert {name: model.family for name, model in found.items() if not model.problem} == {
        "dream": "sd",
        "dream-xl": "sdxl",
    }
    assert "Flux checkpoint" in found["flux"].problem
    assert "no text encoder" in found["unet-only"].problem
    assert found.keys() == {"dream", "dream-xl", "flux", "unet-only"}
    assert registry.loras() == [tmp_path / "style-lora.safetensors"]
    assert registry.verify(found["dream"]) == []


def test_cut_and_foreign_safetensors_are_listed_with_their_problem(tmp_path: Path, make_safetensors: Maker) -> None:
    path = make_safetensors(tmp_path / "cut.safetensors", SD1)
    path.write_bytes(path.read_bytes()[:-10])
    (tmp_path / "poem.safetensors").write_text("Shall I compare thee to a summer's day? " * 10)
    found = scan(tmp_path)
    assert "incomplete" in found["cut"].problem
    assert "not a safetensors file" in found["poem"].problem


@pytest.mark.parametrize("suffix", [".ckpt", ".pt", ".bin"])
def test_pickles_are_refused_with_an_explanation(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"dream{suffix}"
    path.write_bytes(b"\x80\x04.")
    model = only(tmp_path)
    assert "is a pickle, a file that can run any program" in model.problem
    with pytest.raises(BadModelError, match="pickle"):
        Registry([]).add(path)


# ---------------------------------------------------------------- manifests
def manifest(folder: Path, **changes: object) -> None:
    files = {
        file.relative_to(folder).as_posix(): {
            "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
            "bytes": file.stat().st_size,
        }
        for file in folder.rglob("*")
        if file.is_file()
    }
    data = {"schema": 1, "name": "mine", "kind": "t2i", "license": "MIT", "files": files, **changes}
    (folder / "limner-model.json").write_text(json.dumps(data))


def test_a_manifest_describes_its_folder(tmp_path: Path, make_diffusers: Maker, make_export: Maker) -> None:
    folder = make_diffusers(tmp_path / "folder")
    make_export(folder / "onnx")
    manifest(folder, languages=["en", "zh"], defaults={"steps": 4}, limits={"size_max": 256})
    model = only(tmp_path)
    assert (model.name, model.family, model.license, model.languages) == ("mine", "sd", "MIT", ("en", "zh"))
    assert (model.defaults, model.limits, model.onnx) == ({"steps": 4}, {"size_max": 256}, str(folder / "onnx"))
    assert model.problem == ""
    assert Registry([]).verify(model) == []


def test_the_identity_of_a_folder_is_the_same_with_and_without_manifest(tmp_path: Path, make_diffusers: Maker) -> None:
    folder = make_diffusers(tmp_path / "folder")
    without = Registry([tmp_path]).identify(only(tmp_path))
    (folder / "README.md").write_text("A card does not change the pictures.")
    manifest(folder)
    assert only(tmp_path).sha256 == without.sha256
    assert len(without.sha256) == 64


def test_a_changed_weight_is_found_by_verify_and_a_changed_size_by_scan(tmp_path: Path, make_diffusers: Maker) -> None:
    folder = make_diffusers(tmp_path / "folder")
    manifest(folder)
    weights = folder / "unet" / "model.safetensors"
    raw = bytearray(weights.read_bytes())
    raw[-1] ^= 1
    weights.write_bytes(raw)
    model = only(tmp_path)
    assert model.problem == ""
    assert Registry([]).verify(model) == [
        "model.safetensors is not the file it was: its sha256 has changed; copy the model again."
    ]
    weights.write_bytes(raw + b"x")
    assert "unet/model.safetensors has" in only(tmp_path).problem
    weights.unlink()
    assert "lacks unet/model.safetensors" in only(tmp_path).problem


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"name": 3, "kind": "t2i"}', '{"name": "x", "kind": "poet"}', '{"kind": "t2i"}',
     '{"name": "x", "kind": "t2i", "model": "../../secret.safetensors"}',
     '{"name": "x", "kind": "t2i", "files": ["a"]}', '{"name": "x", "kind": "t2i", "files": {"/etc/passwd": {}}}'],
)  # fmt: skip
def test_a_damaged_manifest_is_a_problem_and_no_crash(tmp_path: Path, text: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "limner-model.json").write_text(text)
    assert "limner-model.json is damaged" in only(tmp_path).problem


# ---------------------------------------------------------------- other tools' folders
def test_comfyui_and_a1111(tmp_path: Path, make_safetensors: Maker, make_gguf: Maker) -> None:
    comfy, forge = tmp_path / "ComfyUI" / "models", tmp_path / "forge" / "models"
    make_safetensors(comfy / "checkpoints" / "anime" / "dream.safetensors", SD1)
    make_safetensors(comfy / "loras" / "style.safetensors", LORA)
    (comfy / "vae").mkdir()
    (comfy / "vae" / "vae.pt").write_bytes(b"pickle")
    (comfy / "embeddings").mkdir()
    (comfy / "embeddings" / "bad-hands.pt").write_bytes(b"pickle")
    make_safetensors(forge / "Stable-diffusion" / "dream.safetensors", SDXL)
    found = scan(comfy, forge)
    assert {name: model.family for name, model in found.items()} == {"dream": "sd", "dream (Stable-diffusion)": "sdxl"}


def test_lm_studio(tmp_path: Path, make_gguf: Maker, make_mmproj: Maker) -> None:
    folder = tmp_path / "publisher" / "Qwen2-VL-GGUF"
    make_gguf(folder / "Qwen2-VL-Q4.gguf", "qwen2vl")
    make_mmproj(folder / "mmproj-Qwen2-VL-f16.gguf")
    assert only(tmp_path).mmproj == str(folder / "mmproj-Qwen2-VL-f16.gguf")


def test_the_hugging_face_cache(tmp_path: Path, make_diffusers: Maker, make_gguf: Maker) -> None:
    repository = tmp_path / "hub" / "models--org--paint"
    old, new = (make_diffusers(repository / "snapshots" / revision) for revision in ("aaa", "bbb"))
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("bbb")
    chat = tmp_path / "hub" / "models--org--chat"
    blob = make_gguf(chat / "blobs" / "model")
    sha256 = hashlib.sha256(blob.read_bytes()).hexdigest()
    blob.rename(chat / "blobs" / sha256)
    (chat / "snapshots" / "ccc").mkdir(parents=True)
    (chat / "snapshots" / "ccc" / "chat.gguf").symlink_to(Path("../../blobs") / sha256)
    registry = Registry([tmp_path / "hub"])
    found = {model.name: model for model in registry.scan()}
    assert found["org/paint"].path == str(new)
    assert str(old) not in {model.path for model in found.values()}
    assert found["chat"].sha256 == sha256
    assert registry.verify(found["chat"]) == []
    blob = chat / "blobs" / sha256
    blob.write_bytes(blob.read_bytes()[:-1] + b"\xff")
    assert "its sha256 has changed" in registry.verify(found["chat"])[0]


def ollama(folder: Path, name: str, tag: str, **blobs: Path) -> None:
    layers = []
    for kind, path in blobs.items():
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        (folder / "blobs").mkdir(parents=True, exist_ok=True)
        path.rename(folder / "blobs" / f"sha256-{digest}")
        layers.append({"mediaType": f"application/vnd.ollama.image.{kind}", "digest": f"sha256:{digest}"})
    place = folder / "manifests" / "registry.ollama.ai" / "library" / name / tag
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps({"layers": layers}))


def test_ollama(tmp_path: Path, make_gguf: Maker, make_mmproj: Maker) -> None:
    store = tmp_path / "ollama"
    ollama(
        store, "seer", "7b", model=make_gguf(tmp_path / "m", "llama"), projector=make_mmproj(tmp_path / "p", 64, "mlp")
    )
    ollama(store, "talker", "latest", model=make_gguf(tmp_path / "t", "llama", 32))
    (store / "manifests" / "registry.ollama.ai" / "library" / "talker" / "broken").write_text("{")
    registry = Registry([store])
    found = {model.name: model for model in registry.scan()}
    assert found.keys() == {"seer:7b", "talker:latest"}
    assert found["seer:7b"].mmproj
    assert len(found["seer:7b"].sha256) == 64
    assert registry.verify(found["seer:7b"]) == []


def test_known_folders_of_other_tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    for variable in ("HF_HOME", "HF_HUB_CACHE", "OLLAMA_MODELS"):
        monkeypatch.delenv(variable, raising=False)
    (tmp_path / ".ollama" / "models").mkdir(parents=True)
    assert known_folders() == [tmp_path / ".ollama" / "models"]


# ---------------------------------------------------------------- awkward folders
def test_links_in_a_circle_and_files_twice(tmp_path: Path, make_gguf: Maker) -> None:
    path = make_gguf(tmp_path / "a" / "chat.gguf")
    (tmp_path / "a" / "again").symlink_to(tmp_path)
    (tmp_path / "self").symlink_to(tmp_path / "self")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "copy.gguf").symlink_to(path)
    (tmp_path / "gone.gguf").symlink_to(tmp_path / "nowhere.gguf")
    assert [model.path for model in Registry([tmp_path, tmp_path / "a"]).scan()] == [str(path)]


def test_missing_unreadable_and_deep_folders(tmp_path: Path, make_gguf: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    make_gguf(tmp_path / "chat.gguf")
    make_gguf(tmp_path.joinpath(*"abcdefghijkl") / "deep.gguf")
    closed = tmp_path / "closed"
    closed.mkdir()
    real = os.scandir

    def scandir(path: Path) -> object:
        if Path(path) == closed:
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert list(scan(tmp_path, tmp_path / "missing")) == ["chat"]


def test_a_huge_folder_is_not_walked_to_its_end(
    tmp_path: Path, make_gguf: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walk, "MAX_ENTRIES", 20)
    make_gguf(tmp_path / "first.gguf")
    for number in range(30):
        (tmp_path / f"folder{number:02}").mkdir()
    make_gguf(tmp_path / "folder29" / "last.gguf")
    assert list(scan(tmp_path)) == ["first"]


# ---------------------------------------------------------------- settings and cache
@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(
        [tmp_path / "models"], settings=tmp_path / "home" / "models.json", cache=tmp_path / "home" / "cache"
    )


def test_an_added_folder_is_remembered_and_can_be_forgotten(
    tmp_path: Path, registry: Registry, make_gguf: Maker
) -> None:
    path = make_gguf(tmp_path / "elsewhere" / "chat.gguf")
    assert [model.path for model in registry.add(tmp_path / "elsewhere")] == [str(path)]
    registry.add(tmp_path / "elsewhere")
    again = Registry([], settings=tmp_path / "home" / "models.json")
    assert [model.name for model in again.scan()] == ["chat"]
    assert again.remove(tmp_path / "elsewhere")
    assert again.scan() == []
    assert not again.remove(tmp_path / "elsewhere")
    assert path.exists()


def test_a_single_file_can_be_added(tmp_path: Path, registry: Registry, make_gguf: Maker, make_mmproj: Maker) -> None:
    path = make_gguf(tmp_path / "elsewhere" / "chat.gguf", "qwen2vl")
    make_gguf(tmp_path / "elsewhere" / "other.gguf", "qwen2vl")
    tower = make_mmproj(tmp_path / "elsewhere" / "mmproj.gguf")
    (model,) = registry.add(path)
    assert (model.path, model.mmproj) == (str(path), str(tower))
    assert [m.name for m in registry.scan()] == ["chat"]


def test_what_is_no_model_is_refused_in_a_sentence(
    tmp_path: Path, registry: Registry, make_safetensors: Maker, make_mmproj: Maker
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "poem.txt").write_text("a poem")
    lora = make_safetensors(tmp_path / "style.safetensors", LORA)
    tower = make_mmproj(tmp_path / "mmproj.gguf")
    for path, said in {
        tmp_path / "nowhere": "does not exist",
        tmp_path / "empty": "there is no model",
        tmp_path / "poem.txt": "no model that Limner can use",
        lora: "is a LoRA",
        tower: "only the vision half",
    }.items():
        with pytest.raises(BadModelError, match=said):
            registry.add(path)
    assert not (tmp_path / "home" / "models.json").exists()


def test_the_default_is_the_choice_then_the_starter_then_the_first(
    tmp_path: Path, registry: Registry, make_gguf: Maker
) -> None:
    assert registry.default("mllm") is None
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "a-broken.gguf").write_text("no model")
    make_gguf(tmp_path / "models" / "b.gguf")
    make_gguf(tmp_path / "models" / "limner-starter-x.gguf")
    registry.scan()

    def default() -> str:
        model = registry.default("mllm")
        return model.name if model else ""

    assert default() == "limner-starter-x"
    registry.set_default("b", "mllm")
    assert default() == "b"
    assert registry.find("b", "t2i") is None
    with pytest.raises(BadModelError, match="There is no model “c”"):
        registry.set_default("c", "mllm")
    (tmp_path / "models" / "b.gguf").unlink()
    registry.scan()
    assert default() == "limner-starter-x"
    registry.set_default(None, "mllm")
    assert default() == "limner-starter-x"


def test_a_model_copied_in_later_is_found(tmp_path: Path, registry: Registry, make_gguf: Maker) -> None:
    assert registry.scan() == []
    make_gguf(tmp_path / "models" / "late.gguf")
    assert registry.find("late", "mllm") is not None


def test_the_hash_is_computed_once_and_again_after_a_change(
    tmp_path: Path, registry: Registry, make_gguf: Maker
) -> None:
    path = make_gguf(tmp_path / "models" / "chat.gguf")
    model = registry.scan()[0]
    assert model.sha256 == ""
    read: list[int] = []
    known = registry.identify(model, progress=lambda done, total: read.append(done))
    assert known.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert read[-1] == path.stat().st_size
    again = Registry([tmp_path / "models"], cache=tmp_path / "home" / "cache")
    assert again.scan()[0].sha256 == known.sha256
    path.write_bytes(path.read_bytes() + b"more")
    assert again.scan()[0].sha256 == ""
    assert again.identify(again.scan()[0]).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_hashing_can_be_cancelled(tmp_path: Path, registry: Registry, make_gguf: Maker) -> None:
    make_gguf(tmp_path / "models" / "chat.gguf")
    with pytest.raises(Cancelled):
        registry.identify(registry.scan()[0], cancelled=lambda: True)


def test_headers_are_read_once(
    tmp_path: Path, registry: Registry, make_gguf: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_gguf(tmp_path / "models" / "chat.gguf")
    first = registry.scan()

    def read_gguf(path: Path) -> None:
        raise AssertionError(f"{path} was read again")

    monkeypatch.setattr("models.discovery.directors.read_gguf", read_gguf)
    assert Registry([tmp_path / "models"], cache=tmp_path / "home" / "cache").scan() == first


def test_damaged_settings_and_cache_are_started_anew(tmp_path: Path, registry: Registry, make_gguf: Maker) -> None:
    make_gguf(tmp_path / "models" / "chat.gguf")
    (tmp_path / "home" / "cache").mkdir(parents=True)
    (tmp_path / "home" / "models.json").write_text('{"paths": 7, "defaults": ["x"]}')
    (tmp_path / "home" / "cache" / "models-v1.json").write_text("][")
    again = Registry(
        [tmp_path / "models"], settings=tmp_path / "home" / "models.json", cache=tmp_path / "home" / "cache"
    )
    assert [model.name for model in again.scan()] == ["chat"]
    default = again.default("mllm")
    assert default is not None
    again.set_default("chat", "mllm")


def test_settings_that_cannot_be_written_are_told(tmp_path: Path, make_gguf: Maker) -> None:
    path = make_gguf(tmp_path / "chat.gguf")
    (tmp_path / "home").write_text("a file where the folder should be")
    registry = Registry([], settings=tmp_path / "home" / "models.json")
    with pytest.raises(StoreError, match="cannot be written"):
        registry.add(path)


def test_only_what_changes_a_picture_counts_for_the_identity_of_a_folder() -> None:
    weights = {"unet/model.safetensors": "a", "unet/config.json": "b"}
    card = {"README.md": "c", "onnx/unet/model.onnx": "d", "onnx/unet/config.json": "e", "sheet.png": "f"}
    assert folder_identity(weights) == folder_identity({**weights, **card})
    assert folder_identity(weights) != folder_identity({**weights, "unet/config.json": "x"})
