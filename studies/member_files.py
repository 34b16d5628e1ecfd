"""A folder of files named by the hashes of members: results, networks or checkpoints."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from activations.errors import InputError

NAME = re.compile(r"[0-9a-f]{24}")  # studies.plan.member_hash; other names are not ours


@dataclass(frozen=True)
class MemberFiles:
    """Files by their members' hashes. SUFFIX: what their names end in."""

    SUFFIX: ClassVar[str]

    path: Path

    def hashes(self) -> set[str]:
        """The members that have a file, whole or not; files with other names are not ours."""
        try:
            names = os.listdir(self.path)
        except OSError:
            return set()
        ours = (name.removesuffix(self.SUFFIX) for name in names if name.endswith(self.SUFFIX))
        return {name for name in ours if NAME.fullmatch(name)}

    def file(self, member_hash: str) -> Path:
        """Where a member's file is or would be.

        Raises InputError for what is no hash and might lead elsewhere: some come from files of
        others.
        """
        if not NAME.fullmatch(member_hash):
            raise InputError(f"{member_hash[:100]!r} is no member's hash, of 24 hexadecimal digits")
        return self.path / f"{member_hash}{self.SUFFIX}"
