"""The folder of trained networks: a safetensors file beside each result, where the study keeps any.

- A network is written before its member's result: a result that is there says that its network was
  written too, unless the study kept none then.
- Networks are convenience, results are the truth: a network may be deleted at any time, and
  `gateswap run STUDY --models` makes it again.
- They are what takes space on the disk, so how much is said, and asked of the disk, beforehand.
"""

import shutil
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from activations.errors import InputError
from activations.files import sweep, write_atomically
from activations.wording import counted
from bench.data.members import Member
from bench.network.kinds import network_class
from bench.training.arrays_file import SUFFIX
from bench.training.saved_network import SavedNetwork
from studies.member_files import MemberFiles
from studies.result_files import ResultFolder
from studies.spec import StudySpec
from studies.workspace import Workspace

FLOAT = 4  # bytes
HEADER = 8192  # bytes: names, formulas, columns; 5 to 7 KB seen
RESERVE = 0.95  # of the free disk that models may take: results must fit beside them


@dataclass(frozen=True)
class ModelFolder(MemberFiles):
    """Model files by their members' hashes."""

    SUFFIX = SUFFIX

    def write(self, member_hash: str, network: SavedNetwork) -> None:
        """Write one network, all or nothing. Raises GateswapError where the disk refuses."""
        write_atomically(self.file(member_hash), network.to_bytes())

    def clean(self) -> None:
        """Remove what killed processes were writing."""
        sweep(self.path)


def without_model(
    members: Collection[str], results: ResultFolder, models: ModelFolder
) -> list[str]:
    """The members with a result, but for diverged ones, that have no model file, in order."""
    lacking = sorted((results.hashes() & set(members)) - models.hashes())
    return [key for key in lacking if results.glance(key).outcome == "ok"]


def model_file(study: str, member_hash: str, workspace: Workspace) -> Path:
    """A member's model file. Raises InputError, with the remedy, where it has none."""
    folder = workspace.study(study)
    file, results = ModelFolder(folder.models).file(member_hash), ResultFolder(folder.results)
    if file.exists():
        return file
    if member_hash not in results.hashes():
        raise InputError(
            f"member {member_hash} of study {study} is not finished; first: gateswap run {study}"
        )
    if results.glance(member_hash).outcome != "ok":
        raise InputError(f"member {member_hash} of study {study} has diverged; it has no model")
    raise InputError(
        f"member {member_hash} of study {study} has a result and no model; to make it: "
        f"gateswap run {study} --models"
    )


def bytes_of(members: Iterable[Member], spec: StudySpec) -> int:
    """What the networks of members take on the disk, to within some KB each."""
    columns = len(spec.features.settings().as_dict()["names"])
    known: dict[tuple[object, ...], int] = {}
    total = 0
    for member in members:
        if member.stack_group not in known:
            sites = (member.variant.update, member.variant.reset, member.variant.activation)
            footprint = network_class(member.hyper.kind).footprint(
                member.variant,
                member.hyper,
                features=columns,
                classes=len(spec.protocol.classes),
                learns=any(site.formula.parameters for site in sites),
            )
            known[member.stack_group] = FLOAT * footprint.parameters + HEADER
        total += known[member.stack_group]
    return total


def disk_use(members: Mapping[str, Member], spec: StudySpec, folder: Path) -> str:
    """A line on what a study's models take, and what is free; "" where it keeps none."""
    if spec.keep == "none":
        return ""
    total = bytes_of(members.values(), spec)
    return (
        f"models (keep: {spec.keep}): {counted(len(members), 'file')} of "
        f"{readable(total / max(1, len(members)))}, {readable(total)} in all; "
        f"{readable(_free(folder))} are free in {folder}"
    )


def check_disk(members: Collection[Member], spec: StudySpec, folder: Path) -> None:
    """Raise InputError where the models of the members that are to be trained do not fit."""
    if spec.keep == "none":
        return
    needed, free = bytes_of(members, spec), _free(folder)
    if needed > RESERVE * free:
        raise InputError(
            f"the models of {counted(len(members), 'member')} take {readable(needed)}, and "
            f"{readable(free)} are free in {folder}: make room, choose another folder with "
            "--workspace, or train without keeping models: keep=none"
        )


def readable(size: float) -> str:
    """Bytes in the largest unit that leaves a whole part: 11.3 MB."""
    for unit in ("bytes", "KB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def _free(folder: Path) -> int:
    """Bytes free where the folder is or will be."""
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free
