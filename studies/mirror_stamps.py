"""What a study's mirrors held when they were complete: to know it without opening them.

- To open MLflow's and Optuna's databases takes seconds, and a run that finds nothing to train
  mostly finds nothing to tell them.
- A stamp is of what is mirrored and of the database's file. Whatever touches either, also another
  study or a person, makes it worthless: then the database is opened and read.
- A database on a server has no file to look at, and is always asked.
"""

import hashlib
import json
from pathlib import Path

from activations.files import file_bytes, file_text, write_atomically
from studies.result_files import ResultFolder
from studies.storages import Product, storage_of
from studies.workspace import StudyFolder, Workspace


class MirrorStamps:
    """The stamps of one study, by product."""

    def __init__(
        self, folder: StudyFolder, workspace: Workspace, results: ResultFolder, version: str
    ) -> None:
        self._folder, self._workspace, self._results = folder, workspace, results
        self._version = version

    def complete(self, product: Product) -> bool:
        """Whether a mirror holds all that there is now. Raises InputError as `storage_of`."""
        now = self._now(product)
        return now is not None and self._read().get(product) == now

    def keep(self, product: Product) -> None:
        """Note that a mirror holds all that there is now."""
        if (now := self._now(product)) is not None:
            write_atomically(self._folder.stamps, json.dumps(self._read() | {product: now}))

    def _now(self, product: Product) -> list[object] | None:
        """A digest of what is mirrored and the database's file: name, size, time of change."""
        file = storage_of(self._workspace, product).file
        if file is None or not file.exists():
            return None
        content = hashlib.sha256(self._version.encode())
        for place in (self._folder.spec, self._folder.plan, self._folder.tuning):
            content.update(file_bytes(place) if place.exists() else b"")
            content.update(b"\0")
        content.update(" ".join(sorted(self._results.hashes())).encode())
        content.update(str((self._folder.report / "index.html").exists()).encode())
        return [content.hexdigest(), str(file.resolve()), *_touched(file)]

    def _read(self) -> dict[str, object]:
        try:
            found = json.loads(file_text(self._folder.stamps))
        except (OSError, ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}


def _touched(file: Path) -> list[int]:
    """Size and time of change of a database and of what SQLite keeps beside it."""
    beside = (file, file.with_name(f"{file.name}-wal"), file.with_name(f"{file.name}-journal"))
    found = [each.stat() for each in beside if each.exists()]
    return [number for stat in found for number in (stat.st_size, stat.st_mtime_ns)]
