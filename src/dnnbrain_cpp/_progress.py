"""Progress: silent by default, tqdm when asked, or the caller's own function."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["Progress", "ProgressCallback", "progress_callback"]

ProgressCallback = Callable[[int, int], bool | None]
"""Called as ``callback(done, total)``; returning False stops the work."""

Progress = bool | ProgressCallback
"""What the ``progress`` argument of every long call accepts."""


@contextmanager
def progress_callback(progress: Progress, description: str) -> Iterator[ProgressCallback | None]:
    """Yield the callback that `progress` stands for, and close what it opened.

    Parameters
    ----------
    progress : bool or callable
        False: nothing; True: a tqdm bar; a callable ``(done, total)``: itself.
    description : str
        Label of the bar.

    Yields
    ------
    callable or None
    """
    if progress is False or progress is None:
        yield None
    elif progress is True:
        from tqdm.auto import tqdm

        with tqdm(desc=description) as bar:

            def update(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            yield update
    elif callable(progress):
        yield progress
    else:
        raise TypeError(
            f"progress must be True, False or a function of (done, total); got {progress!r}."
        )
