"""`python -m models.training.director STAGE`: one command per stage of making the starter director.

prepare   fetch the base weights, learn the Chinese merges, write the starting point
train     fine-tune the language half for --minutes (resumes by itself)
vision    align the tower with the language half's embeddings for --minutes
export    write GGUF, mmproj, tokenizer files and manifest
evaluate  measure the exported model on the validation split
"""

import argparse
import os
from pathlib import Path

from models.training.director import stages

STAGES = {
    "prepare": stages.prepare,
    "train": stages.train,
    "vision": stages.align_vision,
    "export": stages.export,
    "evaluate": stages.evaluate_shipped,
}


def main(arguments: list[str] | None = None) -> None:
    """Parse the command line and run one stage."""
    parser = argparse.ArgumentParser(prog="python -m models.training.director", description=__doc__)
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("--work", type=Path, default=Path("build/director"), help="checkpoints and logs")
    parser.add_argument("--out", type=Path, default=stages.OUT, help="the shipped folder")
    parser.add_argument("--minutes", type=float, default=80.0, help="time budget of a training stage")
    parser.add_argument("--threads", type=int, default=int(os.environ.get("OMP_NUM_THREADS", "1")))
    parser.add_argument("--body", default="Q5_0", help="quantization of the layers")
    parser.add_argument("--embedding", default="Q8_0", help="quantization of the embedding")
    parser.add_argument("--seen", type=float, default=0.5, help="share of conversations `train` shows the tower")
    parser.add_argument("--focus", choices=("en", "zh"), help="thin the other language in `train` to a third")
    parser.add_argument("--decision", type=float, default=0.5, help="weight of the modality switch in the loss")
    parser.add_argument("--replies", type=int, default=10, help="drawing turns written out per group in `evaluate`")
    options = parser.parse_args(arguments)
    STAGES[options.stage](options)


if __name__ == "__main__":
    main()
