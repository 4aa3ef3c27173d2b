"""The measurement runs and measures something; how fast it must be is not a matter for a test."""

from pathlib import Path

from desktop.store.bench import commit_latency


def test_commit_latency_measures_and_cleans_up(tmp_path: Path) -> None:
    result = commit_latency(tmp_path / "bench", 5)
    assert list(result) == ["p50", "p99"] and 0 < result["p50"] <= result["p99"]
    assert list((tmp_path / "bench").iterdir()) == []
