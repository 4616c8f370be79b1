"""DNNBrain's stimulus table, read and written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dnnbrain_cpp import Stimuli
from dnnbrain_cpp.stimuli import StimCsv, read_stim_csv, write_stim_csv


def naive_dnnbrain_reader(path: Path) -> dict[str, Any]:
    """Read the format as DNNBrain 1.0 does, with all its strictness."""
    lines = [line for line in path.read_text().split("\n") if line]
    start = next(i for i, line in enumerate(lines) if line.startswith("data="))
    header = {}
    for line in lines[:start]:
        key, value = line.split("=")  # exactly one
        header[key] = value
    names = lines[start].split("=")[1].split(",")
    columns: dict[str, Any] = {}
    rows = [line.split(",") for line in lines[start + 1 :]]
    for name, cells in zip(names, zip(*rows, strict=True), strict=True):
        if name in ("stimID", "condition"):
            columns[name] = list(cells)
        elif name == "label":
            columns[name] = [int(float(cell)) for cell in cells]
        else:
            columns[name] = [float(cell) for cell in cells]
    return {**header, "data": columns}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    images = tmp_path / "images"
    images.mkdir()
    for i, name in enumerate(("n01_2.JPEG", "b.png", "ü.png")):
        Image.new("RGB", (4, 5), (i, i, i)).save(images / name)
    return images


def table(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_read(tmp_path: Path, folder: Path) -> None:
    text = (
        f"type=image\npath={folder}\ntitle=a=b\n\ndata=stimID,label,condition,onset,RT,note\n"
        "n01_2.JPEG,3,dog,0.5,1e3,x\nb.png, 4.0 ,cat,1,,2\n\nü.png,-1,007,2.25,7,\n"
    )
    stimuli = Stimuli.read(table(tmp_path / "a.stim.csv", text))
    assert stimuli.ids == ("n01_2", "b", "ü")
    assert [f.name for f in stimuli.files or ()] == ["n01_2.JPEG", "b.png", "ü.png"]
    labels = stimuli.labels
    assert list(labels.columns) == ["label", "condition", "onset", "RT", "note"]
    assert labels["label"].tolist() == [3, 4, -1]
    assert labels["label"].dtype == np.int64
    assert labels["condition"].tolist() == ["dog", "cat", "007"]
    assert labels["onset"].tolist() == [0.5, 1.0, 2.25]
    np.testing.assert_array_equal(labels["RT"], [1000, np.nan, 7])
    assert labels["note"].tolist() == ["x", "2", ""]
    assert read_stim_csv(tmp_path / "a.stim.csv").header == {"title": "a=b"}


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_files_from_windows(tmp_path: Path, folder: Path, newline: str, mark: str) -> None:
    text = f"{mark}type=image\npath={folder}\ndata=stimID\nb.png\n".replace("\n", newline)
    (tmp_path / "a.stim.csv").write_bytes(text.encode())
    assert Stimuli.read(tmp_path / "a.stim.csv").ids == ("b",)


def test_relative_folder_beside_the_table_or_in_the_working_directory(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "type=image\npath=images\ndata=stimID\nb.png\n"
    beside = table(tmp_path / "a.stim.csv", text)
    (tmp_path / "elsewhere").mkdir()
    elsewhere = table(tmp_path / "elsewhere" / "a.stim.csv", text)
    assert len(Stimuli.read(beside)) == 1
    with pytest.raises(FileNotFoundError):
        Stimuli.read(elsewhere)
    monkeypatch.chdir(folder.parent)
    assert len(Stimuli.read(elsewhere)) == 1


def test_write_and_read_back(tmp_path: Path, folder: Path) -> None:
    labels = {"label": [1, 2, 3], "condition": ["x", "y", "z"], "onset": [0.1, 1 / 3, 2.0]}
    stimuli = Stimuli.from_folder(folder, labels=labels)
    stimuli.write(tmp_path / "a.stim.csv")
    back = Stimuli.read(tmp_path / "a.stim.csv")
    assert back.ids == stimuli.ids
    assert back.files == stimuli.files
    assert back.labels.equals(stimuli.labels)

    theirs = naive_dnnbrain_reader(tmp_path / "a.stim.csv")
    assert theirs["type"] == "image"
    assert theirs["path"] == str(folder)
    assert theirs["data"]["stimID"] == [f.name for f in stimuli.files or ()]
    assert theirs["data"]["onset"] == [0.1, 1 / 3, 2.0]
    assert theirs["data"]["label"] == [1, 2, 3]


def test_subfolders_and_own_ids_are_kept(tmp_path: Path) -> None:
    files = []
    for name in ("x/1.png", "y/1.png", "y/z/2.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (2, 2)).save(tmp_path / name)
        files.append(tmp_path / name)
    stimuli = Stimuli.from_folder(tmp_path, recursive=True)
    stimuli.write(tmp_path / "a.stim.csv")
    assert "ids=" not in (tmp_path / "a.stim.csv").read_text()
    back = Stimuli.read(tmp_path / "a.stim.csv")
    assert back.ids == stimuli.ids == ("x/1", "y/1", "y/z/2")
    assert back.labels["folder"].tolist() == ["x", "y", "y/z"]

    own = Stimuli.from_files(files, ids=["p=1", "q", "r"])
    own.write(tmp_path / "b.stim.csv")
    assert Stimuli.read(tmp_path / "b.stim.csv").ids == ("p=1", "q", "r")
    with pytest.raises(ValueError, match="without commas; got 'p,1'"):
        Stimuli.from_files(files, ids=["p,1", "q", "r"]).write(tmp_path / "b.stim.csv")


def test_missing_numbers_are_kept(tmp_path: Path, folder: Path) -> None:
    stimuli = Stimuli.from_folder(folder, labels={"RT": [1.5, float("nan"), -2.0]})
    stimuli.write(tmp_path / "a.stim.csv")
    np.testing.assert_array_equal(
        Stimuli.read(tmp_path / "a.stim.csv").labels["RT"], [1.5, np.nan, -2]
    )


def test_one_image_several_times(tmp_path: Path, folder: Path) -> None:
    text = f"type=image\npath={folder}\ndata=stimID,onset\nb.png,0\nb.png,2\n"
    path = table(tmp_path / "a.stim.csv", text)
    with pytest.raises(ValueError, match=r"unique.*b\.png.*'b'"):
        Stimuli.read(path)
    assert Stimuli.read(path, ids=["first", "second"]).ids == ("first", "second")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("path=.\ndata=stimID\nb.png", r"line type="),
        ("type=image\ndata=stimID\nb.png", r"line path="),
        ("type=sound\npath=.\ndata=stimID\nb.png", "image, video, video_clip; got 'sound'"),
        ("type=image\npath=.\nb.png", r"line 3: .*key=value; got 'b\.png'"),
        ("type=image\npath=.\n", "line data=.*got no such line"),
        ("type=image\npath=.\ndata=label\n3", "stimID among them; got data=label"),
        ("type=image\npath=.\ndata=stimID,RT,RT\nb.png,1,2", "each column once"),
        ("type=image\npath=.\ndata=stimID\n", "at least one stimulus"),
        ("type=image\ntype=image\npath=.\ndata=stimID\nb.png", "line 2: type= comes a second"),
        ("type=image\npath=.\ndata=stimID,RT\n\nb.png,1,2", r"line 5: must have 2 cells.*got 3"),
        ("type=image\npath=.\ndata=stimID,label\nb.png,cat", "line 4: label must be a number.*cat"),
        ("type=image\npath=.\ndata=stimID,label\nb.png,1.5", "line 4: label .* whole.*'1.5'"),
        ("type=image\npath=.\ndata=stimID,label\nb.png,", "line 4: label .* whole.*''"),
        ("type=image\npath=.\ndata=stimID,onset\nb.png,soon", "line 4: onset must be a number"),
        ("type=video\npath=a.mp4\ndata=stimID\n1", "type image; got type video"),
        ("type=video_clip\npath=.\ndata=stimID\na.mp4", "type image; got type video_clip"),
    ],
)
def test_wrong_tables(tmp_path: Path, text: str, words: str) -> None:
    path = table(tmp_path / "a.stim.csv", text)
    with pytest.raises(ValueError, match=words) as caught:
        Stimuli.read(path)
    assert str(path) in str(caught.value)


def test_missing_images_and_tables(tmp_path: Path, folder: Path) -> None:
    text = f"type=image\npath={folder}\ndata=stimID\nb.png\ngone.png\n"
    with pytest.raises(FileNotFoundError, match=r"1 of 2 do not, the first is .*gone\.png"):
        Stimuli.read(table(tmp_path / "a.stim.csv", text))
    with pytest.raises(FileNotFoundError, match=r"no\.stim\.csv"):
        Stimuli.read(tmp_path / "no.stim.csv")
    (tmp_path / "b.stim.csv").write_bytes(b"type=image\npath=\xff\xfe\ndata=stimID\nb.png\n")
    with pytest.raises(ValueError, match=r"b\.stim\.csv must be UTF-8"):
        Stimuli.read(tmp_path / "b.stim.csv")


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda s, t: s.write(t / "a.csv"), r"end with '\.stim\.csv'; got"),
        (
            lambda s, t: Stimuli.from_array(np.zeros((1, 1, 1, 3), np.uint8), layout="NHWC").write(
                t / "a.stim.csv"
            ),
            "come from an array",
        ),
    ],
)
def test_wrong_writes(
    tmp_path: Path, folder: Path, write: Callable[[Stimuli, Path], None], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        write(Stimuli.from_folder(folder), tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["images"]


@pytest.mark.parametrize(
    ("columns", "header", "words"),
    [
        ({"stimID": ["a"], "note": ["x,y"]}, {}, "without ','; got 'x,y'"),
        ({"stimID": ["a"], "note": ["x\ny"]}, {}, "without"),
        ({"stimID": ["a"], "note": [" x"]}, {}, "blank; got ' x'"),
        ({"stimID": ["a"], "label": ["cat"]}, {}, "whole numbers.*'cat'.*condition"),
        ({"stimID": ["a"], "label": [1.5]}, {}, "whole numbers.*1.5"),
        ({"stimID": ["a"], "RT": [1, 2]}, {}, "equal length"),
        ({"label": [1]}, {}, "'stimID'; got label"),
        ({"stimID": ["a"]}, {"k=y": "v"}, "without '='"),
    ],
)
def test_what_the_format_cannot_hold(
    tmp_path: Path, columns: dict[str, Any], header: dict[str, str], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        write_stim_csv(tmp_path / "a.stim.csv", StimCsv("image", ".", columns, header))
    assert list(tmp_path.iterdir()) == []
