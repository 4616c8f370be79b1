"""How a set of stimuli shows itself: a few lines of text, or a strip of thumbnails."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from html import escape

import pandas as pd
from PIL import Image

__all__ = ["html_repr", "text_repr"]

_N_THUMBNAILS = 8
_THUMBNAIL_SIDE = 96
_FEW = 6


def text_repr(n_stim: int, source: str, ids: tuple[str, ...], labels: pd.DataFrame) -> str:
    """Return number, source, ids and labels in four lines or fewer."""
    rows = [("source", source), ("ids", _ids(ids))]
    if len(labels.columns):
        rows.append(("labels", _labels(labels)))
    lines = [f"Stimuli({_count(n_stim)})", *(f"  {name:<6}  {text}" for name, text in rows)]
    return "\n".join(lines)


def html_repr(
    n_stim: int,
    source: str,
    ids: tuple[str, ...],
    labels: pd.DataFrame,
    image: Callable[[int], Image.Image],
) -> str:
    """Return what `text_repr` says, with the first images; one that cannot be read says so."""
    shown = range(min(n_stim, _N_THUMBNAILS))
    figures = "".join(_figure(ids[i], image, i) for i in shown)
    said = [f"<b>Stimuli</b>: {_count(n_stim)}", escape(source)]
    if len(labels.columns):
        said.append(f"labels: {escape(_labels(labels))}")
    return (
        f"<div><div>{'<br>'.join(said)}</div>"
        f'<div style="display:flex;flex-wrap:wrap;gap:8px;margin-top:6px">{figures}</div></div>'
    )


def _figure(stimulus: str, image: Callable[[int], Image.Image], i: int) -> str:
    box = f"width:{_THUMBNAIL_SIDE}px;height:{_THUMBNAIL_SIDE}px;object-fit:contain"
    try:
        thumbnail = image(i)
        thumbnail.thumbnail((_THUMBNAIL_SIDE, _THUMBNAIL_SIDE))
        buffer = io.BytesIO()
        thumbnail.save(buffer, "PNG")
        data = base64.b64encode(buffer.getvalue()).decode("ascii")
        content = f'<img alt="" style="{box}" src="data:image/png;base64,{data}">'
    except (OSError, ValueError) as error:
        content = (
            f'<div title="{escape(str(error))}" style="{box};border:1px dashed #999;'
            'box-sizing:border-box;font-size:11px">unreadable</div>'
        )
    caption = f'<div style="font-size:11px;overflow-wrap:anywhere">{escape(stimulus)}</div>'
    return f'<div style="width:{_THUMBNAIL_SIDE}px">{content}{caption}</div>'


def _count(n_stim: int) -> str:
    return f"{n_stim} image{'s' if n_stim != 1 else ''}"


def _ids(ids: tuple[str, ...]) -> str:
    if len(ids) <= _FEW:
        return ", ".join(ids)
    return ", ".join([*ids[:3], "...", ids[-1]])


def _labels(labels: pd.DataFrame) -> str:
    names = [
        f"{name} ({labels[name].nunique()} value{'s' if labels[name].nunique() != 1 else ''})"
        for name in labels.columns
    ]
    more = [f"and {len(names) - _FEW} more"] if len(names) > _FEW else []
    return ", ".join([*names[:_FEW], *more])
