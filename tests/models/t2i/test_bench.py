"""The bench's functions run and agree with each other; no time is asserted."""

import pytest

from models.contracts import KnownError, ModelDescription
from models.t2i.bench import compare_backends, onnx_over_torch, starter_picture_seconds
from tests.models.t2i import tiny


def quick(described: ModelDescription) -> ModelDescription:
    from dataclasses import replace

    return replace(described, defaults={"steps": 1, "scheduler": "ddim"})


def test_both_back_ends_are_timed_in_one_run(sd15_onnx: ModelDescription) -> None:
    found = compare_backends(quick(sd15_onnx), rounds=3)
    assert set(found) == {"onnx_over_torch", "starter_picture_s"}
    assert set(found["starter_picture_s"]) == {"torch", "onnx"}
    assert found["onnx_over_torch"] > 0 and all(s > 0 for s in found["starter_picture_s"].values())


def test_the_single_figures(sd15_onnx: ModelDescription) -> None:
    assert onnx_over_torch(quick(sd15_onnx), rounds=1) > 0
    assert set(starter_picture_seconds(quick(sd15_onnx), rounds=1)) == {"torch", "onnx"}


def test_without_an_export_there_is_nothing_to_compare(sd15_onnx: ModelDescription) -> None:
    from pathlib import Path

    with pytest.raises(KnownError, match="no ONNX export"):
        compare_backends(tiny.describe(Path(sd15_onnx.path)))
