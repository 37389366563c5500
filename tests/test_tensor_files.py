"""safetensors files, read and written: against the safetensors library, and damaged in every way."""

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from llama4_explained import UserError
from llama4_explained.tensor_files import DTYPES, read_header, stored_tensors, write_tensors


def some_tensors() -> dict[str, torch.Tensor]:
    """Every type, odd sizes that leave the next tensor unaligned, a scalar, nothing at all, and a view."""
    generator = torch.Generator().manual_seed(0)
    tensors = {name: torch.randint(0, 100, (3, 5), generator=generator).to(dtype) for name, dtype in DTYPES.items()}
    tensors["odd"] = torch.arange(7, dtype=torch.uint8)
    tensors["scalar"] = torch.tensor(1.5)
    tensors["none"] = torch.empty(0, 4)
    tensors["view"] = torch.randn(6, 4, generator=generator).T
    return tensors


def assert_same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    for key, tensor in expected.items():
        assert found[key].dtype == tensor.dtype and found[key].shape == tensor.shape
        assert torch.equal(found[key].double(), tensor.double())


def test_reads_what_the_library_writes(tmp_path: Path):
    tensors = {key: tensor.contiguous() for key, tensor in some_tensors().items()}
    save_file(tensors, tmp_path / "a.safetensors", metadata={"format": "pt"})
    assert_same({key: stored.read() for key, stored in read_header(tmp_path / "a.safetensors").items()}, tensors)


def test_the_library_reads_what_we_write(tmp_path: Path):
    write_tensors(tmp_path / "a.safetensors", some_tensors())
    assert_same(load_file(tmp_path / "a.safetensors"), some_tensors())
    stored = read_header(tmp_path / "a.safetensors")
    assert_same({key: tensor.read() for key, tensor in stored.items()}, some_tensors())
    assert all(tensor.offset % tensor.dtype.itemsize == 0 for tensor in stored.values())


def test_others_may_read_the_file(tmp_path: Path):
    (tmp_path / "plain").touch()
    write_tensors(tmp_path / "a.safetensors", some_tensors())
    assert os.stat(tmp_path / "a.safetensors").st_mode == os.stat(tmp_path / "plain").st_mode


def with_header(header: object, data: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def entry(dtype: str = "F32", shape: object = (2,), offsets: object = (0, 8)) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "truncated or not a safetensors file"),
        (b"PK\x03\x04 a zip archive, not tensors", "truncated or not a safetensors file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n", "git lfs pull"),
        (with_header([1, 2]), "header cannot be read"),
        (with_header({"w": 3}), "header cannot be read"),
        (with_header({"w": {"dtype": "F32", "shape": [2]}}), "header cannot be read"),
        ((4).to_bytes(8, "little") + b"{{{{", "header cannot be read"),
        (with_header({"w": entry(dtype="F4")}, bytes(8)), "w is of type F4"),
        (with_header({"w": entry(shape=(3,))}, bytes(8)), "takes 12 bytes; the header gives it 8"),
        (with_header({"w": entry(shape=(-2,), offsets=(8, 0))}, bytes(8)), "the header gives it -8"),
        (with_header({"w": entry(offsets=(-8, 0))}, bytes(8)), "the header gives it 8"),
        (with_header({"w": entry(offsets=(8, 16))}, bytes(8)), "truncated"),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, content: bytes, complaint: str):
    (tmp_path / "a.safetensors").write_bytes(content)
    with pytest.raises(UserError, match=complaint) as raised:
        read_header(tmp_path / "a.safetensors")
    assert "a.safetensors" in str(raised.value) and "\n" not in str(raised.value)


def test_a_file_cut_anywhere_is_refused(tmp_path: Path):
    write_tensors(tmp_path / "whole", {"w": torch.ones(3), "x": torch.ones(2, 2)})
    whole = (tmp_path / "whole").read_bytes()
    for length in range(len(whole)):
        (tmp_path / "cut").write_bytes(whole[:length])
        with pytest.raises(UserError, match="cut is truncated"):
            read_header(tmp_path / "cut")


def test_the_size_that_is_missing_is_told(tmp_path: Path):
    write_tensors(tmp_path / "a", {"w": torch.ones(1000)})
    size = (tmp_path / "a").stat().st_size
    os.truncate(tmp_path / "a", size - 1)
    with pytest.raises(UserError, match=f"tells of {size} bytes, the file has {size - 1}"):
        read_header(tmp_path / "a")


def test_a_file_that_shrinks_while_it_is_read(tmp_path: Path):
    write_tensors(tmp_path / "a", {"w": torch.ones(1000)})
    stored = read_header(tmp_path / "a")["w"]
    os.truncate(tmp_path / "a", 2000)
    with pytest.raises(UserError, match="ends inside w"):
        stored.read()


def write_index(folder: Path, weight_map: object) -> None:
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


def write_shard(folder: Path, name: str, **values: float) -> None:
    write_tensors(folder / name, {key: torch.full((2,), value) for key, value in values.items()})


def values_in(folder: Path) -> dict[str, float]:
    return {key: stored.read()[0].item() for key, stored in stored_tensors(folder).items()}


def test_a_sharded_folder(tmp_path: Path):
    write_shard(tmp_path, "one", a=1, b=2)
    write_shard(tmp_path, "two", b=9, c=3)
    write_index(tmp_path, {"a": "one", "b": "one", "c": "two"})
    assert values_in(tmp_path) == {"a": 1, "b": 2, "c": 3}  # b is where the index says


def test_a_tensor_that_the_index_forgets_is_still_there(tmp_path: Path):
    write_shard(tmp_path, "one", a=1, b=2)
    write_index(tmp_path, {"a": "one"})
    assert values_in(tmp_path) == {"a": 1, "b": 2}


def test_one_file_counts_before_an_index(tmp_path: Path):
    write_shard(tmp_path, "one", a=1)
    write_index(tmp_path, {"a": "one"})
    write_shard(tmp_path, "model.safetensors", a=5)
    assert values_in(tmp_path) == {"a": 5}  # as with HF


@pytest.mark.parametrize(
    ("weight_map", "complaint"),
    [
        ({"a": "one", "b": "two"}, "names two, which is missing"),
        ({"a": "one", "z": "one"}, "says that z is in one, which has no such tensor"),
        (["a"], "has no weight_map"),
        ({"a": 1}, "has no weight_map"),
    ],
)
def test_an_index_that_disagrees_with_the_files(tmp_path: Path, weight_map: object, complaint: str):
    write_shard(tmp_path, "one", a=1)
    write_index(tmp_path, weight_map)
    with pytest.raises(UserError, match=complaint) as raised:
        stored_tensors(tmp_path)
    assert "model.safetensors.index.json" in str(raised.value)


def test_an_index_that_is_no_json(tmp_path: Path):
    (tmp_path / "model.safetensors.index.json").write_text("{")
    with pytest.raises(UserError, match=r"model.safetensors.index.json is not valid JSON"):
        stored_tensors(tmp_path)


@pytest.mark.parametrize(
    "name", ["pytorch_model.bin", "pytorch_model-00001-of-00002.bin", "consolidated.00.pth", "m.pt"]
)
def test_pickles_are_refused_by_name(tmp_path: Path, name: str):
    (tmp_path / "training_args.bin").touch()
    (tmp_path / name).touch()
    with pytest.raises(UserError, match=f"{name} is a pickle.*safetensors"):
        stored_tensors(tmp_path)


def test_a_folder_without_weights(tmp_path: Path):
    with pytest.raises(UserError, match=r"has no weights: neither model.safetensors nor model.safetensors.index.json"):
        stored_tensors(tmp_path)
