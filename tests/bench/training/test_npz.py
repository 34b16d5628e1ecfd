"""Archives of arrays are read as zipfile reads them, only faster, and refused where it refuses."""

import io
import zipfile

import numpy as np
import pytest

from bench.training import npz

ARRAYS = {
    "meta": np.array("{}"),
    "logits/dev": np.arange(12, dtype=np.float32).reshape(3, 4),
    "ids": np.array(["a", "bc"]),
    "none": np.zeros((0, 4)),
    "flags": np.array([True, False]),
    "columns": np.asfortranarray(np.arange(6).reshape(2, 3)),
}


def archive(*, compressed: bool = True) -> bytes:
    buffer = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(buffer, allow_pickle=False, **ARRAYS)
    return buffer.getvalue()


def by_zipfile(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        return {name: file.read(name) for name in file.namelist()}


def test_what_numpy_compresses_is_read_the_short_way_and_as_numpy_reads_it() -> None:
    content = archive()
    assert npz._plain(content, 1 << 20) == by_zipfile(content)
    found = npz.unpack(content, most=1 << 20)
    for name, array in np.load(io.BytesIO(content)).items():
        np.testing.assert_array_equal(npz.array(found[f"{name}.npy"]), array)
        assert npz.array(found[f"{name}.npy"]).dtype == array.dtype


def test_archives_with_a_peculiarity_are_left_to_zipfile() -> None:
    content = archive(compressed=False)
    assert npz._plain(content, 1 << 20) is None
    assert npz.unpack(content, most=1 << 20) == by_zipfile(content)
    before = b"#!" + archive()  # zipfile finds an archive behind something else
    assert npz.unpack(before, most=1 << 20) == by_zipfile(before)


def test_an_archive_that_would_be_too_large_is_not_unpacked() -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, zeros=np.zeros(1 << 20))
    with pytest.raises(npz.TooLargeError, match="more than 1 MiB"):
        npz.unpack(buffer.getvalue(), most=1 << 20)


def test_no_change_of_a_bit_changes_what_is_read_the_short_way() -> None:
    content, random = archive(), np.random.default_rng(0)
    for at in random.permutation(len(content))[:600]:
        changed = bytearray(content)
        changed[at] ^= 1 << random.integers(8)
        found = npz._plain(bytes(changed), 1 << 20)
        assert found in (None, by_zipfile(content))  # where nothing was changed that counts


@pytest.mark.parametrize("kept", [0, 10, 21, 22, 100])
def test_an_archive_that_is_cut_short_is_refused(kept: int) -> None:
    with pytest.raises(zipfile.BadZipFile):
        npz.unpack(archive()[:kept], most=1 << 20)
