"""Every scheduler in the table keeps the model's own noise schedule and does every step count it promises."""

import pytest
import torch

from models.contracts import BadInputError
from models.t2i.schedulers import SCHEDULERS, make_scheduler, name_of

CONFIG = {
    "_class_name": "DPMSolverMultistepScheduler", "beta_start": 0.00085, "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "v_prediction", "steps_offset": 1, "use_karras_sigmas": True,
    "algorithm_type": "sde-dpmsolver++",
    "solver_order": 3, "final_sigmas_type": "zero", "num_train_timesteps": 1000,
}  # fmt: skip


@pytest.mark.parametrize("name", SCHEDULERS)
def test_the_model_keeps_its_prediction_type_and_betas(name: str) -> None:
    config = make_scheduler(name, CONFIG).config
    assert (config.prediction_type, config.beta_end, config.beta_schedule) == ("v_prediction", 0.012, "scaled_linear")


@pytest.mark.parametrize("name", SCHEDULERS)
def test_the_smallest_and_the_largest_step_count_run(name: str) -> None:
    row = SCHEDULERS[name]
    for steps in (row.steps_min, row.steps_max):
        scheduler = make_scheduler(name, CONFIG | {"prediction_type": "epsilon"})
        scheduler.set_timesteps(steps)
        latents = torch.ones(1, 4, 2, 2) * scheduler.init_noise_sigma
        for t in scheduler.timesteps[:3] if steps > 3 else scheduler.timesteps:
            scaled = scheduler.scale_model_input(latents, t)
            latents = scheduler.step(scaled * 0.1, t, latents).prev_sample
        assert torch.isfinite(latents).all()


def test_settings_of_one_solver_do_not_leak_into_another() -> None:
    plain = make_scheduler("dpmsolver++", CONFIG).config
    assert (plain.use_karras_sigmas, plain.algorithm_type, plain.solver_order) == (False, "dpmsolver++", 2)
    assert make_scheduler("dpmsolver++_karras", CONFIG).config.use_karras_sigmas


def test_names_of_model_configurations() -> None:
    assert name_of(CONFIG) == "dpmsolver++_karras"
    assert name_of({"_class_name": "PNDMScheduler"}) == "pndm"
    assert name_of({"_class_name": "SomethingNewScheduler"}) == "ddim"


def test_an_unknown_name_is_answered_with_those_there_are() -> None:
    with pytest.raises(BadInputError, match="choose one of ddim, ddpm"):
        make_scheduler("plms", CONFIG)
