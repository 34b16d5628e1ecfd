"""A trained member as an MLflow model: recordings in, class probabilities out.

- The model is the member's own file, loaded by this module and not by a pickle: whoever loads it
  needs gateswap installed, and executes nothing that lies in the model.
- Recordings are given by their paths, and prepared as the member's training speech was.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from activations.errors import InputError
from bench.features.parts import Utterance
from bench.features.unseen import settings_of, unseen
from bench.training.loaded_network import LoadedNetwork
from bench.training.saved_network import SavedNetwork
from studies.reaching import quiet_mlflow

if TYPE_CHECKING:  # MLflow takes seconds to import
    import pandas as pd

COLUMNS = ("audio", "speaker")


class RecordingModel:
    """What `mlflow.pyfunc.load_model` gives; its `predict` takes a table of recordings."""

    def __init__(self, saved: SavedNetwork) -> None:
        self._network = LoadedNetwork(saved)
        self._settings = settings_of(saved.features)

    def predict(self, recordings: "pd.DataFrame", params: Any = None) -> "pd.DataFrame":  # noqa: ARG002
        """Probabilities [n, C] of recordings, a column for each class.

        recordings: columns `audio`, a file's path, and `speaker`, whose it is: recordings of one
        speaker are normalised together where training normalised by speaker.
        """
        import pandas as pd

        files = [Path(str(each)) for each in recordings["audio"]]
        utterances = [Utterance(str(file), file.stem) for file in files]
        frames = unseen(utterances, self._settings, recordings["speaker"].astype(str).tolist())
        found = self._network.probabilities([*frames])
        return pd.DataFrame(found, columns=list(self._network.classes), index=recordings.index)


def save_mlflow_model(
    file: Path, folder: Path, example: Sequence[Path] = (Path("recording.wav"),)
) -> None:
    """Write a model file as an MLflow model into a folder that does not exist.

    example: recordings for its input example, of one speaker. Raises InputError for a folder that
    exists.
    """
    if folder.exists():
        raise InputError(f"{folder} exists; an MLflow model is written into a new folder")
    quiet_mlflow()
    import mlflow.pyfunc
    import pandas as pd
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema

    saved = SavedNetwork.load(file)
    signature = ModelSignature(
        Schema([ColSpec(DataType.string, name) for name in COLUMNS]),
        Schema([ColSpec(DataType.float, name) for name in saved.classes]),
    )
    given = pd.DataFrame({"audio": [str(each) for each in example], "speaker": "one"})
    mlflow.pyfunc.save_model(
        path=str(folder),
        loader_module=__name__,
        data_path=str(file),
        signature=signature,
        input_example=given,
        metadata={"gateswap": saved.header()},
        pip_requirements=["gateswap"],
    )


def _load_pyfunc(data_path: str) -> RecordingModel:
    """What MLflow calls, by this name."""
    place = Path(data_path)
    return RecordingModel(SavedNetwork.load(place if place.is_file() else next(place.iterdir())))
