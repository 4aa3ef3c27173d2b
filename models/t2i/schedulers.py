"""Schedulers by name: a table, and how a scheduler is made from the model's own configuration.

The model's noise schedule and prediction type stay; only the solver changes. Knows nothing of pipelines.
"""

from dataclasses import dataclass, field
from typing import Any

import diffusers

from models.contracts import BadInputError


@dataclass(frozen=True)
class SchedulerEntry:
    """A diffusers class and what sets this name apart. `steps_min`..`steps_max` are the step counts it can do."""

    cls: str
    options: dict[str, Any] = field(default_factory=dict)
    stochastic: bool = False
    steps_min: int = 1
    steps_max: int = 150


MULTISTEP = "DPMSolverMultistepScheduler"
SCHEDULERS: dict[str, SchedulerEntry] = {
    "ddim": SchedulerEntry("DDIMScheduler"),
    "ddpm": SchedulerEntry("DDPMScheduler", stochastic=True),
    "pndm": SchedulerEntry("PNDMScheduler", {"skip_prk_steps": True}),
    "euler": SchedulerEntry("EulerDiscreteScheduler", {"use_karras_sigmas": False}),
    "euler_a": SchedulerEntry("EulerAncestralDiscreteScheduler", stochastic=True),
    "heun": SchedulerEntry("HeunDiscreteScheduler", {"use_karras_sigmas": False}),
    "dpmsolver++": SchedulerEntry(MULTISTEP, {"algorithm_type": "dpmsolver++", "use_karras_sigmas": False}),
    "dpmsolver++_karras": SchedulerEntry(MULTISTEP, {"algorithm_type": "dpmsolver++", "use_karras_sigmas": True}),
    "dpmsolver++_sde": SchedulerEntry(
        MULTISTEP, {"algorithm_type": "sde-dpmsolver++", "use_karras_sigmas": False}, stochastic=True
    ),
    "unipc": SchedulerEntry("UniPCMultistepScheduler", {"use_karras_sigmas": False}),
    "deis": SchedulerEntry("DEISMultistepScheduler", {"use_karras_sigmas": False}),
    "lcm": SchedulerEntry("LCMScheduler", stochastic=True, steps_max=50),
    "tcd": SchedulerEntry("TCDScheduler", stochastic=True, steps_max=50),
}


def entry(name: str) -> SchedulerEntry:
    """The table's row. Raises BadInputError naming what there is."""
    if name not in SCHEDULERS:
        raise BadInputError(f"There is no scheduler {name!r}; choose one of {', '.join(SCHEDULERS)}.")
    return SCHEDULERS[name]


def make_scheduler(name: str, config: dict[str, Any]) -> Any:
    """A new scheduler of that name with the model's betas, prediction type and spacing. Raises BadInputError for a
    name unknown."""
    row = entry(name)
    kept = {key: value for key, value in dict(config).items() if key not in SOLVER_KEYS}
    return getattr(diffusers, row.cls).from_config(kept, **row.options)


SOLVER_KEYS = frozenset({
    "algorithm_type", "solver_order", "solver_type", "use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas",
    "use_lu_lambdas", "use_flow_sigmas", "lower_order_final", "final_sigmas_type", "euler_at_final", "variance_type",
    "predict_x0", "disable_corrector", "solver_p", "interpolation_type",
})  # fmt: skip
"""Settings of one solver that mean something else, or nothing good, to another: never carried over."""


def name_of(config: dict[str, Any]) -> str:
    """Our name for the scheduler that a model's scheduler_config.json asks for; "ddim" for one not in the table."""
    cls, karras = config.get("_class_name", ""), bool(config.get("use_karras_sigmas"))
    if cls == MULTISTEP and karras:
        return "dpmsolver++_karras"
    return next((name for name, row in SCHEDULERS.items() if row.cls == cls), "ddim")
