"""Making, naming and choosing stimuli."""

from __future__ import annotations

import pickle
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from dnnbrain_cpp import Stimuli


def save(path: Path, value: int = 0, size: tuple[int, int] = (4, 3)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, 2 * value, 255 - value)).save(path)
    return path


def random_pixels(*shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)


class TestFromFolder:
    def test_natural_order_and_stems(self, tmp_path: Path) -> None:
        names = [
            "a10.png",
            "a2.png",
            "A1.jpg",
            "a.1.png",
            "a.2.png",
            "b.jpeg",
            "ü 3.png",
            "日本.bmp",
        ]
        for name in names:
            save(tmp_path / name)
        stimuli = Stimuli.from_folder(tmp_path)
        assert stimuli.ids == ("A1", "a2", "a10", "a.1", "a.2", "b", "ü 3", "日本")
        assert [f.name for f in stimuli.files or ()] == [
            *("A1.jpg", "a2.png", "a10.png", "a.1.png", "a.2.png", "b.jpeg", "ü 3.png", "日本.bmp")
        ]

    def test_order_does_not_depend_on_the_file_system(self, tmp_path: Path) -> None:
        for i in np.random.default_rng(0).permutation(120):
            save(tmp_path / f"image_{i}.png")
        assert Stimuli.from_folder(tmp_path).ids == tuple(f"image_{i}" for i in range(120))

    def test_other_and_hidden_files_are_left_out(self, tmp_path: Path) -> None:
        save(tmp_path / "a.PNG")
        for name in ("notes.txt", "Thumbs.db", "table.csv", "._a.png", ".hidden.png"):
            (tmp_path / name).write_text("x")
        (tmp_path / "folder.png").mkdir()
        assert Stimuli.from_folder(tmp_path).ids == ("a",)

    def test_pattern(self, tmp_path: Path) -> None:
        for name in ("face_1.png", "face_2.png", "house_1.png"):
            save(tmp_path / name)
        assert Stimuli.from_folder(tmp_path, pattern="face_*").ids == ("face_1", "face_2")

    def test_recursive_ids_and_folder_labels(self, tmp_path: Path) -> None:
        for name in ("dogs/1.png", "cats/10.png", "cats/2.png", "top.png", ".cache/3.png"):
            save(tmp_path / name)
        stimuli = Stimuli.from_folder(tmp_path, recursive=True)
        assert stimuli.ids == ("cats/2", "cats/10", "dogs/1", "top")
        assert stimuli.labels["folder"].tolist() == ["cats", "cats", "dogs", ""]
        assert Stimuli.from_folder(tmp_path).ids == ("top",)
        own = Stimuli.from_folder(tmp_path, recursive=True, labels={"folder": list("abcd")})
        assert own.labels["folder"].tolist() == list("abcd")

    def test_one_stem_twice(self, tmp_path: Path) -> None:
        save(tmp_path / "a.jpg")
        save(tmp_path / "a.png")
        with pytest.raises(ValueError, match=r"a\.jpg and .*a\.png would both be 'a'"):
            Stimuli.from_folder(tmp_path)
        assert Stimuli.from_folder(tmp_path, pattern="*.png").ids == ("a",)

    def test_names_written_by_macos_join_with_typed_ones(self, tmp_path: Path) -> None:
        save(tmp_path / (unicodedata.normalize("NFD", "äpfel") + ".png"))
        table = pd.DataFrame({"n": [7]}, index=[unicodedata.normalize("NFC", "äpfel")])
        assert Stimuli.from_folder(tmp_path, labels=table).labels["n"].tolist() == [7]

    def test_nothing_found(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=rf"at least one image; {tmp_path}.*recursive=True"):
            Stimuli.from_folder(tmp_path)
        save(tmp_path / "sub" / "a.png")
        with pytest.raises(ValueError, match=r"'\*\.gif'"):
            Stimuli.from_folder(tmp_path, pattern="*.gif", recursive=True)

    def test_no_folder(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError, match=r"gone is not a folder"):
            Stimuli.from_folder(tmp_path / "gone")
        with pytest.raises(NotADirectoryError, match=r"a\.png is not a folder"):
            Stimuli.from_folder(save(tmp_path / "a.png"))

    def test_real_images(self, data_dir: Path) -> None:
        stimuli = Stimuli.from_folder(data_dir / "algonauts2019-92" / "jpg")
        assert len(stimuli) == 92
        assert stimuli.ids == tuple(f"image_{i:02d}" for i in range(1, 93))
        assert stimuli.image(0).size == (175, 175)


class TestFromFiles:
    def test_order_is_the_callers(self, tmp_path: Path) -> None:
        files = [save(tmp_path / name) for name in ("b.png", "a.png")]
        assert Stimuli.from_files(files).ids == ("b", "a")
        assert Stimuli.from_files([str(f) for f in files], ids=["x", "y"]).ids == ("x", "y")

    def test_one_stem_in_two_folders(self, tmp_path: Path) -> None:
        files = [save(tmp_path / folder / "a.png") for folder in ("x", "y")]
        with pytest.raises(ValueError, match=r"x/a\.png and .*y/a\.png would both be 'a'"):
            Stimuli.from_files(files)

    def test_wrong_files(self, tmp_path: Path) -> None:
        file = save(tmp_path / "a.png")
        with pytest.raises(FileNotFoundError, match=r"1 of 2 do not, the first is .*gone\.png"):
            Stimuli.from_files([file, tmp_path / "gone.png"])
        with pytest.raises(TypeError, match=r"sequence of paths.*a\.png.*from_folder"):
            Stimuli.from_files(str(file))
        with pytest.raises(ValueError, match="at least one"):
            Stimuli.from_files([])
        with pytest.raises(ValueError, match="ids must name 1 items; got 2"):
            Stimuli.from_files([file], ids=["a", "b"])


class TestFromArray:
    @pytest.mark.parametrize("n_chn", [1, 3])
    @pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
    def test_pixels(self, layout: Any, n_chn: int) -> None:
        pixels = random_pixels(5, 6, 7, n_chn)
        array = pixels if layout == "NHWC" else pixels.transpose(0, 3, 1, 2)
        stimuli = Stimuli.from_array(array, layout=layout)
        for i in range(5):
            image = stimuli.image(i)
            assert image.mode == "RGB"
            expected = np.broadcast_to(pixels[i], (6, 7, 3))
            np.testing.assert_array_equal(np.asarray(image), expected)

    @pytest.mark.parametrize(
        "convert",
        [
            lambda a: a.astype(np.float16) / np.float16(255),
            lambda a: a.astype(np.float32) / 255,
            lambda a: a / 255.0,
            lambda a: (a / 255.0).astype(">f8"),
            lambda a: torch.from_numpy(a),
            lambda a: (torch.from_numpy(a) / 255).requires_grad_(),
            lambda a: np.asfortranarray(a),
            lambda a: a.tolist() and np.array(a, order="C"),
        ],
    )
    def test_every_form_of_the_same_pixels(self, convert: Callable[[Any], Any]) -> None:
        pixels = random_pixels(3, 16, 17, 3)
        stimuli = Stimuli.from_array(convert(pixels), layout="NHWC")
        for i in range(3):
            np.testing.assert_array_equal(np.asarray(stimuli.image(i)), pixels[i])

    def test_memory_mapped_and_read_only_without_a_copy(self, tmp_path: Path) -> None:
        pixels = random_pixels(4, 3, 8, 8)
        np.save(tmp_path / "a.npy", pixels)
        mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
        stimuli = Stimuli.from_array(mapped, layout="NCHW")
        picture = stimuli[1:]._source.picture(0)
        assert isinstance(picture, np.ndarray)
        assert np.shares_memory(picture, mapped)
        np.testing.assert_array_equal(picture, pixels[1].transpose(1, 2, 0))

    def test_default_ids(self) -> None:
        stimuli = Stimuli.from_array(np.zeros((2, 1, 1, 3), np.uint8), layout="NHWC")
        assert stimuli.ids == ("stim-001", "stim-002")
        assert stimuli.files is None
        many = Stimuli.from_array(np.zeros((1000, 1, 1, 1), np.uint8), layout="NHWC")
        assert many.ids[::999] == ("stim-0001", "stim-1000")

    @pytest.mark.parametrize(
        ("array", "layout", "kind", "words"),
        [
            (np.zeros((2, 4, 4, 3), np.uint8), "nhwc", ValueError, "'NCHW', 'NHWC'; got 'nhwc'"),
            (np.zeros((2, 4, 4, 3), np.uint8), "NCHW", ValueError, r"1 or 3 channels.*4 on axis 1"),
            (np.zeros((2, 4, 4, 4), np.uint8), "NHWC", ValueError, r"axis 3.*alpha"),
            (np.zeros((4, 4, 3), np.uint8), "NHWC", ValueError, r"4-D; got shape \(4, 4, 3\)"),
            (np.zeros((0, 4, 4, 3), np.uint8), "NHWC", ValueError, "at least one stimulus"),
            (np.zeros((2, 0, 4, 3), np.uint8), "NHWC", ValueError, "one pixel"),
            (np.zeros((2, 4, 4, 3), np.int64), "NHWC", TypeError, "uint8.*got dtype int64"),
            (np.zeros((2, 4, 4, 3), bool), "NHWC", TypeError, "got dtype bool"),
            (torch.zeros(2, 4, 4, 3, dtype=torch.int32), "NHWC", TypeError, "got dtype int32"),
            ([["a"]], "NHWC", TypeError, "got dtype str"),
        ],
    )
    def test_wrong_arrays(self, array: Any, layout: Any, kind: type[Exception], words: str) -> None:
        with pytest.raises(kind, match=words):
            Stimuli.from_array(array, layout=layout)

    @pytest.mark.parametrize("value", [-0.01, 1.01, 255.0, float("nan"), float("inf")])
    def test_floats_out_of_range(self, value: float, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("dnnbrain_cpp.stimuli._sources._BLOCK_BYTES", 500)
        array = np.full((20, 4, 4, 3), 0.5, np.float32)
        array[13, 2, 1, 0] = value
        with pytest.raises(ValueError, match=r"float32 must hold values in 0 to 1; row 13 goes"):
            Stimuli.from_array(array, layout="NHWC")


class TestSelection:
    @pytest.fixture
    def stimuli(self) -> Stimuli:
        pixels = np.arange(6, dtype=np.uint8)[:, None, None, None] * np.ones((6, 2, 2, 3), np.uint8)
        labels = {"kind": list("aabbcc"), "n": range(6)}
        return Stimuli.from_array(pixels, layout="NHWC", ids=list("uvwxyz"), labels=labels)

    @pytest.mark.parametrize(
        ("key", "expected"),
        [
            (0, "u"),
            (-1, "z"),
            (np.int64(2), "w"),
            (slice(1, 4), "vwx"),
            (slice(None, None, -2), "zxv"),
            ([5, 0, -2], "zuy"),
            (np.array([3, 1]), "xv"),
            ([True, False, False, True, False, False], "ux"),
            (np.arange(6) > 3, "yz"),
            (pd.Series([2, 0]), "wu"),
        ],
    )
    def test_ids_labels_and_pixels_stay_together(
        self, stimuli: Stimuli, key: Any, expected: str
    ) -> None:
        chosen = stimuli[key]
        assert chosen.ids == tuple(expected)
        assert chosen.labels.index.tolist() == list(expected)
        for i in range(len(chosen)):
            assert np.asarray(chosen.image(i))[0, 0, 0] == chosen.labels["n"].iloc[i]

    def test_boolean_series_is_joined_by_id(self, stimuli: Stimuli) -> None:
        mask = stimuli.labels["kind"] == "b"
        assert stimuli[mask].ids == ("w", "x")
        assert stimuli[mask.iloc[::-1]].ids == ("w", "x")
        with pytest.raises(ValueError, match=r"indexed by their ids.*\[0, 1, 2\]"):
            stimuli[mask.reset_index(drop=True)]

    def test_a_selection_of_a_selection(self, stimuli: Stimuli) -> None:
        chosen = stimuli[[4, 2, 0]][1:]
        assert chosen.ids == ("w", "u")
        assert chosen.labels["n"].tolist() == [2, 0]
        assert np.asarray(chosen.image(0))[0, 0, 0] == 2

    def test_files_follow(self, tmp_path: Path) -> None:
        for i in range(4):
            save(tmp_path / f"{i}.png", i)
        chosen = Stimuli.from_folder(tmp_path)[[3, 1]]
        assert [f.name for f in chosen.files or ()] == ["3.png", "1.png"]
        assert np.asarray(chosen.image(1))[0, 0, 0] == 1

    def test_select(self, stimuli: Stimuli) -> None:
        assert stimuli.select(["z", "u"]).ids == ("z", "u")
        assert stimuli.select(["z", "u"]).labels["n"].tolist() == [5, 0]

    @pytest.mark.parametrize(
        ("choose", "kind", "words"),
        [
            (lambda s: s[6], IndexError, "from -6 to 5; got 6"),
            (lambda s: s[[0, -7]], IndexError, "got -7"),
            (lambda s: s[[True, False]], IndexError, "each of 6 stimuli; got 2"),
            (lambda s: s[[1, 1]], ValueError, "unique; 'v' comes more than once"),
            (lambda s: s["u"], TypeError, r"got 'u'.*select"),
            (lambda s: s[1.0], TypeError, "position, slice or mask; got 1.0"),
            (lambda s: s[True], TypeError, "got True"),
            (lambda s: s[[]], ValueError, "at least one of 6"),
            (lambda s: s[6:], ValueError, "at least one of 6"),
            (lambda s: s.select(["u", "uu"]), ValueError, "1 of 2 are not, 'uu'.*'u'"),
            (lambda s: s.select(["u", "u"]), ValueError, "unique"),
            (lambda s: s.select("uv"), TypeError, "sequence of ids.*'uv'"),
            (lambda s: s.image(9), IndexError, "from -6 to 5; got 9"),
            (lambda s: s.image("u"), TypeError, "position; got 'u'"),
        ],
    )
    def test_wrong_choices(
        self, stimuli: Stimuli, choose: Callable[[Stimuli], Any], kind: type[Exception], words: str
    ) -> None:
        with pytest.raises(kind, match=words):
            choose(stimuli)


class TestLabels:
    PIXELS = np.zeros((3, 1, 1, 3), np.uint8)

    def make(self, labels: Any) -> pd.DataFrame:
        return Stimuli.from_array(
            self.PIXELS, layout="NHWC", ids=["a", "b", "c"], labels=labels
        ).labels

    def test_none_gives_a_table_without_columns(self) -> None:
        labels = self.make(None)
        assert labels.shape == (3, 0)
        assert labels.index.tolist() == ["a", "b", "c"]

    def test_mapping(self) -> None:
        labels = self.make({"x": [1, 2, 3], "y": np.array(["p", "q", "r"])})
        assert labels.loc["b"].to_dict() == {"x": 2, "y": "q"}

    def test_table_is_joined_by_index_or_id_column(self) -> None:
        table = pd.DataFrame({"x": [9, 3, 1, 2]}, index=["other", "c", "a", "b"])
        assert self.make(table)["x"].tolist() == [1, 2, 3]
        assert self.make(table.rename_axis("id").reset_index())["x"].tolist() == [1, 2, 3]

    def test_numeric_ids_join_with_a_table_of_numbers(self) -> None:
        table = pd.DataFrame({"id": [3, 1, 2], "x": [30, 10, 20]})
        stimuli = Stimuli.from_array(self.PIXELS, layout="NHWC", ids=["1", "2", "3"], labels=table)
        assert stimuli.labels["x"].tolist() == [10, 20, 30]

    @pytest.mark.parametrize(
        ("labels", "kind", "words"),
        [
            ({"x": [1, 2]}, ValueError, r"labels\['x'\].*3 stimuli; got 2 values"),
            ({"x": "abc"}, ValueError, "got one string"),
            ([1, 2, 3], TypeError, "mapping.*got list"),
            (pd.DataFrame({"x": [1, 2, 3]}), ValueError, r"3 of 3 have none, 'a'.*column 'id'"),
            (pd.DataFrame({"x": [1, 2]}, index=["a", "c"]), ValueError, "1 of 3 have none, 'b'"),
            (pd.DataFrame({"x": range(4)}, index=list("abca")), ValueError, "'a' comes more"),
        ],
    )
    def test_wrong_labels(self, labels: Any, kind: type[Exception], words: str) -> None:
        with pytest.raises(kind, match=words):
            self.make(labels)

    def test_changing_the_table_changes_no_stimuli(self) -> None:
        table = pd.DataFrame({"x": [1, 2, 3]}, index=list("abc"))
        stimuli = Stimuli.from_array(self.PIXELS, layout="NHWC", ids=list("abc"), labels=table)
        table.loc["a", "x"] = 99
        labels = stimuli.labels
        labels.loc["b", "x"] = 99
        assert stimuli.labels["x"].tolist() == [1, 2, 3]


def test_pickle(tmp_path: Path) -> None:
    save(tmp_path / "a.png", 5)
    made = [
        Stimuli.from_folder(tmp_path),
        Stimuli.from_array(random_pixels(1, 3, 4, 3), layout="NHWC"),
    ]
    for stimuli in made:
        copy = pickle.loads(pickle.dumps(stimuli))
        assert copy.ids == stimuli.ids
        np.testing.assert_array_equal(np.asarray(copy.image(0)), np.asarray(stimuli.image(0)))


def test_attributes_cannot_be_set() -> None:
    stimuli = Stimuli.from_array(random_pixels(1, 3, 4, 3), layout="NHWC")
    for name in ("ids", "labels", "files"):
        with pytest.raises(AttributeError):
            setattr(stimuli, name, ())


def test_the_class_itself_takes_no_folder(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"Stimuli\.from_folder.*got str"):
        Stimuli(str(tmp_path), (), pd.DataFrame())  # type: ignore[arg-type]


def test_text_repr(tmp_path: Path) -> None:
    for i in range(7):
        save(tmp_path / f"{i}.png", i)
    assert repr(Stimuli.from_folder(tmp_path, labels={"kind": list("aabbccc")})) == (
        "Stimuli(7 images)\n"
        f"  source  files (.png) in {tmp_path}\n"
        "  ids     0, 1, 2, ..., 6\n"
        "  labels  kind (3 values)"
    )
    one = Stimuli.from_array(random_pixels(1, 3, 4, 1), layout="NHWC")
    assert repr(one) == (
        "Stimuli(1 image)\n  source  array, 3 x 4 pixels, grey, uint8\n  ids     stim-001"
    )


def test_html_repr_shows_thumbnails_and_survives_a_bad_file(tmp_path: Path) -> None:
    for i in range(12):
        save(tmp_path / f"<{i}>.png", i)
    (tmp_path / "<1>.png").write_bytes(b"")
    html = Stimuli.from_folder(tmp_path)._repr_html_()
    assert html.count("data:image/png;base64,") == 7
    assert html.count(">unreadable<") == 1
    assert "&lt;0&gt;" in html
    assert "<0>" not in html
    assert len(html) < 60_000
