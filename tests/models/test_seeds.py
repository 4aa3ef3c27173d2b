"""Seeds: range, rolling, several pictures in one turn."""

import pytest

from models.contracts import SEED_MAX, BadInputError
from models.seeds import check_seed, random_seed, slot_seed


@pytest.mark.parametrize("seed", [0, 1, 4711, SEED_MAX])
def test_seeds_in_range_pass(seed: int) -> None:
    assert check_seed(seed) == seed


@pytest.mark.parametrize(
    "seed",
    [-1, SEED_MAX + 1, pytest.param(10**5000, id="huge"), pytest.param(-(10**5000), id="hugely negative"), 1.5, "7",
     None, True, float("nan")],
)  # fmt: skip
def test_anything_else_is_one_sentence(seed: object) -> None:
    with pytest.raises(BadInputError, match=r"whole number from 0 to 4294967295\.$") as caught:
        check_seed(seed)
    assert len(str(caught.value)) < 160


def test_rolled_seeds_are_valid_and_differ() -> None:
    rolled = {random_seed() for _ in range(50)}
    assert all(check_seed(seed) == seed for seed in rolled)
    assert len(rolled) > 45


def test_slots_count_on_and_wrap() -> None:
    assert [slot_seed(7, slot) for slot in range(3)] == [7, 8, 9]
    assert [slot_seed(SEED_MAX, slot) for slot in range(3)] == [SEED_MAX, 0, 1]
