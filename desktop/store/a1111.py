"""A1111's `parameters` text, the metadata that most tools can read. Knows the text only, no files.

    positive prompt, any number of lines
    Negative prompt: …, any number of lines
    Steps: 4, Sampler: Euler a, CFG scale: 7, Seed: 42, Size: 512x768, Model hash: 0123456789, Model: name, Version: …

A value with a comma, a colon or a line break in it is written as a JSON string. The prompts cannot be escaped in this
format, so the exact ones are in our own recipe.
"""

import json
import re

from models.contracts import GenerationSpec, ModelRef

KEYWORD = "parameters"
_VERSION = "Limner 1"
"""Of this text, not of the application: an update must not change the bytes of a picture painted again."""

_NEGATIVE = "Negative prompt:"
_PARAMETER = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')
_SIZE = re.compile(r"(\d{1,6})x(\d{1,6})")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")

# Names of the same sampler here and there; one that is not listed keeps its name.
_SAMPLERS = {
    "euler": "Euler", "euler_a": "Euler a", "euler_ancestral": "Euler a", "heun": "Heun", "lms": "LMS", "ddim": "DDIM",
    "ddpm": "DDPM", "pndm": "PLMS", "unipc": "UniPC", "lcm": "LCM", "tcd": "TCD", "dpm++": "DPM++ 2M",
    "dpmpp_2m": "DPM++ 2M", "dpmpp_sde": "DPM++ SDE", "dpmpp_2m_sde": "DPM++ 2M SDE",
}  # fmt: skip


def write(spec: GenerationSpec) -> str:
    """The text for a spec."""
    lines = [_prompt(spec.prompt)]
    if spec.negative_prompt.strip():
        lines.append(f"{_NEGATIVE} {_prompt(spec.negative_prompt)}")
    lines.append(", ".join(f"{name}: {_quote(value)}" for name, value in _parameters(spec).items()))
    return "\n".join(lines)


def read(text: str) -> GenerationSpec | None:
    """The spec as far as the text tells it; what is not there is 0 or empty. None if it tells nothing of a picture."""
    *lines, last = text.strip().replace("\r\n", "\n").split("\n")
    found = {name: _unquote(value) for name, value in _PARAMETER.findall(last)}
    if "Steps" not in found and len(found) < 3:  # no line of parameters: all of it is prompt
        lines, found = [*lines, last], {}
    prompt, negative = _prompts(lines)
    if not prompt and not found:
        return None
    size = _SIZE.fullmatch(found.get("Size", "").strip())
    return GenerationSpec(
        prompt=prompt,
        negative_prompt=negative,
        seed=int(_number(found.get("Seed"))),
        width=int(size[1]) if size else 0,
        height=int(size[2]) if size else 0,
        steps=int(_number(found.get("Steps"))),
        guidance_scale=_number(found.get("CFG scale")),
        scheduler=_scheduler(found.get("Sampler", "")),
        strength=_number(found.get("Denoising strength"), 1.0),
        model=_model(found),
    )


def _parameters(spec: GenerationSpec) -> dict[str, str]:
    found = {
        "Steps": str(spec.steps),
        "Sampler": _SAMPLERS.get(spec.scheduler, spec.scheduler),
        "CFG scale": f"{spec.guidance_scale:g}",
        "Seed": str(spec.seed),
        "Size": f"{spec.width}x{spec.height}",
    }
    if spec.model is not None:
        found["Model hash"] = spec.model.sha256[:10]
        found["Model"] = spec.model.name
    if spec.init_image is not None:
        found["Denoising strength"] = f"{spec.strength:g}"
    return {name: value for name, value in {**found, "Version": _VERSION}.items() if value}


def _prompt(text: str) -> str:
    """Without control characters; on one line if a line of it would be taken for another part of the text."""
    text = _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n")).strip()
    lines = text.split("\n")
    misread = any(line.strip().startswith(_NEGATIVE) or len(_PARAMETER.findall(line)) > 2 for line in lines[1:])
    return " ".join(lines) if misread else text


def _prompts(lines: list[str]) -> tuple[str, str]:
    parts: tuple[list[str], list[str]] = ([], [])
    negative = False
    for line in (line.strip() for line in lines):
        if line.startswith(_NEGATIVE):
            negative, line = True, line.removeprefix(_NEGATIVE).strip()
        parts[negative].append(line)
    return "\n".join(parts[0]).strip(), "\n".join(parts[1]).strip()


def _quote(value: str) -> str:
    return json.dumps(value, ensure_ascii=False) if re.search(r'[,:\n"]', value) else value


def _unquote(value: str) -> str:
    value = value.strip()
    if len(value) < 2 or value[0] != '"' or value[-1] != '"':
        return value
    try:
        return str(json.loads(value))
    except ValueError:
        return value[1:-1]


def _number(text: str | None, default: float = 0.0) -> float:
    """Never NaN or infinite: the text is a stranger's."""
    return float(text) if text and re.fullmatch(r"-?\d{1,20}(\.\d{1,20})?", text.strip()) else default


def _scheduler(sampler: str) -> str:
    """The first of our names for it; with "Karras" and the like at the end it keeps its own name."""
    return next((ours for ours, theirs in _SAMPLERS.items() if theirs == sampler), sampler)


def _model(found: dict[str, str]) -> ModelRef | None:
    name, sha256 = found.get("Model", ""), found.get("Model hash", "")
    return ModelRef(name, sha256) if name or sha256 else None
