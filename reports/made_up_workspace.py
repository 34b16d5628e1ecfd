"""A workspace with a made-up study of any size: to time what commands do beside training.

- `python -m reports.made_up_workspace DIR --members 1950` writes it; then `time gateswap status
  made-up --workspace DIR`, and so on.
- The corpus is there, too, and is a few milliseconds of noise: a run reads it and finds nothing to
  do. The results are those of `reports.made_up` and do not fit it: nothing trained on it.
"""

import argparse
import dataclasses
import wave
from pathlib import Path

import numpy as np

from bench.training.identity import Identity
from reports.made_up import CLASSES, study
from studies.loading import load
from studies.material import foresee
from studies.plan import Plan, make_plan
from studies.progress import SILENT
from studies.result_files import ResultFolder
from studies.workspace import Workspace

NAME = "made-up"
FOLDS = 5
VARIANTS = 10  # of five activations in both directions
STEPS = 1000
CHANGES = (
    f"name={NAME}",
    "protocol.test_unit=session",
    "features={kind: logmel, normalise: none}",
    "model.kind=gru",
    "model.hidden_size=64",
    f"training.steps={STEPS}",
    "training.evaluate_every=50",
    "variants.activation=[tanh, relu, elu, swish, arelu]",
    "variants.direction=[gru, bigru]",
)


def write_workspace(folder: Path, *, members: int) -> Plan:
    """Write corpus, specification, plan and results of a finished study of at least so many
    members; return the plan. The study is called `made-up`.
    """
    seeds = -(-members // (VARIANTS * FOLDS))
    corpus = folder / "corpora" / "noise"
    _write_corpus(corpus)
    place = f"corpus={{format: manifest, path: '{corpus.resolve()}'}}"
    workspace = Workspace(folder)
    spec = load("demo", [*CHANGES, place, f"seeds={seeds}"], workspace=workspace)
    plan = make_plan(spec, foresee(spec, workspace, SILENT)[0])
    kept = workspace.study(NAME)
    plan.record.write(kept)
    kept.spec.write_text(spec.as_yaml(), encoding="utf-8")
    results = ResultFolder(kept.results)
    variants = spec.variants.variants()
    made = {(r.variant, r.fold, r.seed): r for r in study(variants, folds=FOLDS, seeds=seeds)}
    for key, member in plan.members.items():
        result = made.pop((member.variant, member.fold, member.seed))
        conditions = vars(plan.record.conditions)
        said = vars(result.identity) | conditions | {"member": member, "study": NAME}
        results.write(key, dataclasses.replace(result, identity=Identity(**said)))
    return plan


def _write_corpus(folder: Path) -> None:
    """Recordings of some milliseconds, one of each class of two speakers in each session."""
    folder.mkdir(parents=True, exist_ok=True)
    random, rows = np.random.default_rng(0), ["id,audio,speaker,session,label"]
    for session in range(FOLDS):
        for speaker in "FM":
            for number, label in enumerate(CLASSES):
                name = f"Ses{session + 1:02d}{speaker}{number}"
                rows.append(f"{name},{name}.wav,{name[:6]},{name[:5]},{label}")
                with wave.open(str(folder / f"{name}.wav"), "wb") as file:
                    file.setparams((1, 2, 16_000, 0, "NONE", ""))
                    file.writeframes(random.bytes(1600))
    (folder / "manifest.csv").write_text("\n".join(rows), encoding="utf-8")


def main() -> None:
    """Write the workspace that the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path, help="a folder that is made")
    parser.add_argument("--members", type=int, default=1950)
    given = parser.parse_args()
    plan = write_workspace(given.folder, members=given.members)
    print(f"{len(plan.members)} members of study {NAME} in {given.folder}")


if __name__ == "__main__":
    main()
