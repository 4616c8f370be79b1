"""Progress: silent by default, a bar when asked, or the caller's own function."""

from __future__ import annotations

import pytest

from dnnbrain_cpp._progress import progress_callback


def test_silent_by_default(capfd: pytest.CaptureFixture[str]) -> None:
    with progress_callback(False, "rdm") as callback:
        assert callback is None
    assert capfd.readouterr() == ("", "")


def test_true_is_a_bar_on_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    with progress_callback(True, "permutations") as callback:
        assert callback is not None
        for done in (3, 7, 10):
            assert callback(done, 10) is None
    out, err = capfd.readouterr()
    assert out == ""
    assert "permutations" in err
    assert "10/10" in err


def test_a_bar_is_closed_when_the_work_fails(capfd: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        with progress_callback(True, "work") as callback:
            assert callback is not None
            callback(2, 8)
            raise KeyError

    with pytest.raises(KeyError):
        work()
    assert capfd.readouterr().err.endswith("\n")


def test_a_function_is_itself() -> None:
    def tell(done: int, total: int) -> bool:
        return done < total

    with progress_callback(tell, "work") as callback:
        assert callback is tell


@pytest.mark.parametrize("progress", [1, "yes", [print]])
def test_anything_else_is_a_type_error(progress: object) -> None:
    with (
        pytest.raises(TypeError, match=r"True, False or a function of \(done, total\); got"),
        progress_callback(progress, "work"),  # type: ignore[arg-type]
    ):
        pass
