"""The folder of checkpoints: where members in training were last, in a file each.

- A checkpoint lives until its member is finished. It may be deleted at any time, and one that
  cannot be read is as good as none: its member begins anew.
- A stack's checkpoint is its members': a kill between two files leaves members at different steps,
  which then go on in stacks of their own.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from activations.errors import InputError
from activations.files import file_bytes, sweep, write_atomically
from bench.training.arrays_file import MOST_BYTES, SUFFIX
from bench.training.member_state import MemberState
from studies.member_files import MemberFiles


@dataclass(frozen=True)
class CheckpointFolder(MemberFiles):
    """Checkpoints by their members' hashes."""

    SUFFIX = SUFFIX

    def read(self, member_hash: str) -> MemberState | None:
        """Where a member was last; None where that is not known."""
        file = self.file(member_hash)
        try:
            return MemberState.from_bytes(file_bytes(file, most=MOST_BYTES), where=str(file))
        except (OSError, InputError):
            return None

    def write(self, member_hash: str, state: MemberState) -> None:
        """Write one, all or nothing. Raises GateswapError where the disk refuses."""
        write_atomically(self.file(member_hash), state.to_bytes())

    def remove(self, members: Iterable[str]) -> None:
        """Forget members that are finished."""
        for member_hash in members:
            self.file(member_hash).unlink(missing_ok=True)

    def clean(self, finished: Iterable[str]) -> None:
        """Forget finished members, and what killed processes were writing."""
        self.remove(finished)
        sweep(self.path)
