"""Decisions about memory, with the figures of the field's usual models on the field's usual machines."""

import pytest

from models.contracts import KnownError
from models.devices import Device, Need, choose_device, cpu, decide, dtypes, examine, place_pair, predict_need

GB = 10**9
SD15 = {"unet": 860_000_000, "vae": 84_000_000, "text_encoder": 123_000_000}
SDXL = {"unet": 2_567_000_000, "vae": 84_000_000, "text_encoder": 123_000_000, "text_encoder_2": 695_000_000}


def device(kind: str, free: float) -> Device:
    return Device(kind, "test", int(free * 1.2 * GB), int(free * GB))


def plan(kind: str, free: float, elements: dict[str, int], side: int) -> object:
    where = device(kind, free)
    return decide(where, {d: predict_need(elements, d, side, side) for d in dtypes(where)})


def test_a_roomy_gpu_runs_at_full_speed_in_fp16() -> None:
    made = plan("cuda", 24, SDXL, 1024)
    assert made == decide(device("cuda", 24), {"fp16": predict_need(SDXL, "fp16", 1024, 1024)})
    assert (made.dtype, made.offload, made.attention_slicing, made.vae_tiling, made.fits) == (
        "fp16",
        "",
        False,
        False,
        True,
    )  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("free", "expected"),
    [
        (9.5, {"vae_tiling": True, "attention_slicing": False, "offload": ""}),
        (7.0, {"vae_tiling": True, "attention_slicing": True, "offload": "model"}),
        (2.0, {"vae_tiling": True, "attention_slicing": True, "offload": "sequential"}),
    ],
)
def test_a_gpu_with_less_memory_gets_the_gentlest_help_that_fits(free: float, expected: dict[str, object]) -> None:
    made = plan("cuda", free, SDXL, 1024)
    assert {name: getattr(made, name) for name in expected} == expected and made.fits  # type: ignore[attr-defined]


def test_a_processor_takes_fp32_and_half_precision_only_where_memory_is_short() -> None:
    assert plan("cpu", 22, SD15, 512).dtype == "fp32"  # type: ignore[attr-defined]
    roomy, short = plan("cpu", 22, SDXL, 1024), plan("cpu", 10, SDXL, 1024)
    assert (roomy.dtype, roomy.vae_tiling) == ("fp32", False)  # type: ignore[attr-defined]
    assert (short.dtype, short.vae_tiling, short.fits) == ("bf16", True, True)  # type: ignore[attr-defined]
    hopeless = plan("cpu", 2, SDXL, 1024)
    assert not hopeless.fits and hopeless.attention_slicing  # type: ignore[attr-defined]


def test_a_requested_precision_is_kept() -> None:
    assert dtypes(device("cuda", 8), "bf16") == ("bf16",)
    with pytest.raises(KnownError, match="no precision 'int4'"):
        dtypes(device("cuda", 8), "int4")


def test_the_need_grows_with_the_picture_and_the_precision() -> None:
    small, large = predict_need(SD15, "fp32", 512, 512), predict_need(SD15, "fp32", 1024, 1024)
    assert large.decode == 4 * small.decode and large.weights == small.weights == 4 * sum(SD15.values())
    assert predict_need(SD15, "fp16", 512, 512).weights * 2 == small.weights
    assert small.largest_part == 4 * SD15["unet"]
    assert isinstance(small, Need)


def test_where_the_pair_lives() -> None:
    gpu = device("cuda", 10)
    assert place_pair(3 * GB, 5 * GB, gpu) == "both"
    assert place_pair(5 * GB, 7 * GB, gpu) == "swap"
    assert place_pair(2 * GB, 14 * GB, gpu) == "cpu"


def test_this_machine_is_measured() -> None:
    here = cpu()
    assert 0 < here.free <= here.total
    assert choose_device("cpu").kind == "cpu"
    found = examine()
    assert found["devices"][0]["kind"] == "cpu" and found["best"] in {d["kind"] for d in found["devices"]}
    assert any("GB free" in line for line in found["words"])


def test_an_absent_device_names_those_that_are_here() -> None:
    with pytest.raises(KnownError, match=r"no device 'tpu'.*cpu"):
        choose_device("tpu")
