"""From what users write to module paths: exact names, aliases, globs and types."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from torch import nn

__all__ = ["callable_modules", "leaf_paths", "resolve_patterns"]

_TYPE_PREFIX = "type:"
_GLOB_CHARACTERS = "*?["

# These hold modules or parameters for their owner and are never called themselves.
_HOLDERS = (nn.ModuleList, nn.ModuleDict, nn.ParameterList, nn.ParameterDict)


def callable_modules(module: nn.Module) -> dict[str, nn.Module]:
    """Return every module below `module` that can be a layer, by path, as registered."""
    return {
        path: child
        for path, child in module.named_modules()
        if path and not isinstance(child, _HOLDERS)
    }


def leaf_paths(module: nn.Module, *, train_only: Sequence[str] = ()) -> list[str]:
    """Return the paths of the modules without children that run in evaluation mode.

    Parameters
    ----------
    module : torch.nn.Module
    train_only : sequence of str
        Paths of the modules that are passed over, with all below them.

    Returns
    -------
    list of str
        In order of registration.
    """
    return [
        path
        for path, child in callable_modules(module).items()
        if next(child.children(), None) is None and not _lies_in(path, train_only)
    ]


def resolve_patterns(
    module: nn.Module,
    patterns: str | Sequence[str],
    *,
    aliases: Mapping[str, str],
    train_only: Sequence[str] = (),
    name: str = "the network",
) -> list[str]:
    """Return the module paths that `patterns` stand for.

    Parameters
    ----------
    module : torch.nn.Module
    patterns : str or sequence of str
        See `Network.resolve`.
    aliases : mapping of str to str
        Further names of modules.
    train_only : sequence of str
        Modules that only an exact path or alias selects.
    name : str
        What messages call the network.

    Returns
    -------
    list of str
        In order of registration, each once.

    Raises
    ------
    TypeError
        If a pattern is not a string.
    ValueError
        If there is no pattern, or one that matches nothing.
    """
    modules = callable_modules(module)
    found: set[str] = set()
    for pattern in _checked(patterns):
        matches = _matches(module, modules, pattern, aliases=aliases, train_only=train_only)
        if not matches:
            raise ValueError(_no_match_message(module, modules, pattern, aliases, name))
        found.update(matches)
    return [path for path in modules if path in found]


def _checked(patterns: object) -> list[str]:
    if isinstance(patterns, str):
        wanted: list[object] = [patterns]
    else:
        wanted = list(patterns) if isinstance(patterns, Iterable) else [patterns]
    strings = [pattern for pattern in wanted if isinstance(pattern, str)]
    if len(strings) < len(wanted):
        raise TypeError(
            f"layers must be a string or a list of strings; got {patterns!r}. "
            "Name a layer by its path, as in 'features.0'."
        )
    if not strings or "" in strings:
        raise ValueError(f"layers must name at least one layer each; got {patterns!r}.")
    return strings


def _matches(
    module: nn.Module,
    modules: Mapping[str, nn.Module],
    pattern: str,
    *,
    aliases: Mapping[str, str],
    train_only: Sequence[str],
) -> Collection[str]:
    exact = _exact(module, modules, pattern) or _exact(module, modules, aliases.get(pattern, ""))
    if exact:
        return [exact]
    if pattern.startswith(_TYPE_PREFIX):
        wanted = pattern.removeprefix(_TYPE_PREFIX)
        return [
            path
            for path, child in modules.items()
            if fnmatchcase(type(child).__name__, wanted) and not _lies_in(path, train_only)
        ]
    if any(character in pattern for character in _GLOB_CHARACTERS):
        matches = {path for path in modules if fnmatchcase(path, pattern)}
        matches.update(path for alias, path in aliases.items() if fnmatchcase(alias, pattern))
        return _innermost(path for path in matches if not _lies_in(path, train_only))
    return []


def _exact(module: nn.Module, modules: Mapping[str, nn.Module], path: str) -> str | None:
    if not path or path in modules:
        return path or None
    # A module that two parents share is registered under its first path.
    for other, child in module.named_modules(remove_duplicate=False):
        if other == path:
            return next((first for first, known in modules.items() if known is child), None)
    return None


def _innermost(paths: Iterable[str]) -> list[str]:
    """Drop every path that contains another one."""
    matches = list(paths)
    parents = {
        ".".join(parts[:depth])
        for parts in (path.split(".") for path in matches)
        for depth in range(1, len(parts))
    }
    return [path for path in matches if path not in parents]


def _lies_in(path: str, containers: Sequence[str]) -> bool:
    return any(path == other or path.startswith(f"{other}.") for other in containers)


def _no_match_message(
    module: nn.Module,
    modules: Mapping[str, nn.Module],
    pattern: str,
    aliases: Mapping[str, str],
    name: str,
) -> str:
    holder = dict(module.named_modules(remove_duplicate=False)).get(pattern)
    if isinstance(holder, _HOLDERS):
        return (
            f"a layer must be a module that is called; {pattern!r} of {name} is a "
            f"{type(holder).__name__}, which only holds others. Use '{pattern}.*' for those."
        )
    if pattern.startswith(_TYPE_PREFIX):
        types = sorted({type(child).__name__ for child in modules.values()})
        known = [f"{_TYPE_PREFIX}{type_name}" for type_name in types]
    else:
        known = [*modules, *aliases]
    close = difflib.get_close_matches(pattern, known, n=4)
    hint = f"Close: {', '.join(map(repr, close))}. " if close else ""
    return (
        f"layers must match modules of {name}; {pattern!r} matches none. {hint}"
        "The layer_table() of the network lists all names."
    )
