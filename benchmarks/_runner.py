"""Runs the problems of a table: ours and the peers on the same data, in turn, in one process."""

from __future__ import annotations

import argparse
import gc
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from _common import Timing, interleave, machine, peak_rise, table, timed, write_json
from _problem import Problem
from dnnbrain_cpp._memory import format_bytes

__all__ = ["run_table"]

HERE = Path(__file__).parent


def problems_of(prefix: str) -> list[Problem]:
    """Return the rows of a table: the `PROBLEMS` of its modules."""
    return [
        problem
        for path in sorted(HERE.glob(f"_{prefix}_*.py"))
        for problem in importlib.import_module(path.stem).PROBLEMS
    ]


def fastest(timings: dict[str, Timing], clock: str) -> tuple[str, float]:
    """Return the variant of the lowest median, and that median."""
    medians = {name: float(np.median(getattr(timing, clock))) for name, timing in timings.items()}
    name = min(medians, key=medians.__getitem__)
    return name, medians[name]


_FINALISTS = 1.25
"""Variants whose first run took longer than the fastest one's, times this, are not run again."""


@dataclass
class First:
    """What the first run of a variant tells."""

    result: Any
    seconds: float
    peak: int


def first_run(run: Callable[[], Any], clock: str) -> First:
    """Run once, to warm up: for the result, the peak of memory and a first idea of the time."""
    held: list[Any] = []
    timing = Timing()
    peak = peak_rise(lambda: held.append(timed(run, timing)))
    return First(held[0], getattr(timing, clock)[0], peak)


def measure(problem: Problem, repeats: int) -> dict[str, Any]:
    """Run all variants of a problem once, then the fast ones in turn."""
    job = problem.make()
    variants = {f"ours: {name}": run for name, run in job.ours.items()}
    variants |= {f"peer: {name}": run for name, run in job.peers.items()}
    first = {name: first_run(run, problem.clock) for name, run in variants.items()}
    finalists = {}
    for side in ("ours", "peer"):
        of_side = [name for name in variants if name.startswith(side)]
        best = min(first[name].seconds for name in of_side)
        finalists |= {
            name: variants[name] for name in of_side if first[name].seconds <= _FINALISTS * best
        }
    timings = interleave(finalists, repeats=repeats, warm_up=False)
    ours, theirs = (
        {name: timing for name, timing in timings.items() if name.startswith(side)}
        for side in ("ours", "peer")
    )
    our_name, our_time = fastest(ours, problem.clock)
    peer_name, peer_time = fastest(theirs, problem.clock)
    peer_time /= job.share
    return {
        "problem": problem.name,
        "title": problem.title,
        "peer": f"{problem.peer} ({peer_name.removeprefix('peer: ')})",
        "clock": problem.clock,
        "share_of_peer_timed": job.share,
        "ours_s": our_time,
        "peer_s": peer_time,
        "ratio": peer_time / our_time,
        "goal": problem.goal,
        "peak_ours": first[our_name].peak,
        "peak_peer": first[peer_name].peak,
        "difference": job.difference(first[our_name].result, first[peer_name].result),
        "first_s": {name: run.seconds for name, run in first.items()},
        "timings": {name: vars(timing) for name, timing in timings.items()},
    }


def row(facts: dict[str, Any]) -> list[str]:
    """Return the cells of a table's row."""
    return [
        facts["title"],
        facts["peer"] + ("" if facts["share_of_peer_timed"] == 1 else ", timed on a part"),
        f"{facts['peer_s']:.3g}",
        f"{facts['ours_s']:.3g}",
        f"{facts['ratio']:.3g}",
        f"{facts['goal']:g}",
        *(format_bytes(facts[f"peak_{side}"]) for side in ("peer", "ours")),
        facts["difference"],
    ]


HEAD = ["", "peer", "peer s", "ours s", "ratio", "goal", "peak, peer", "peak, ours", "difference"]


def run_table(prefix: str, description: str | None) -> None:
    """Ask the command line which rows of a table to run; measure, print and write.

    Parameters
    ----------
    prefix : str
        Of the modules ``_<prefix>_*.py`` with the rows, and name of the file of results.
    description : str, optional
        What ``--help`` says.
    """
    problems = problems_of(prefix)
    names = [problem.name for problem in problems]
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--problems", nargs="*", choices=names, default=names)
    parser.add_argument("--list", action="store_true", help="say which problems there are")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=HERE / "results" / f"{prefix}.json")
    args = parser.parse_args()
    if args.list:
        for problem in problems:
            print(f"{problem.name:<16} {problem.title}; {problem.peer}")
        return
    print(machine())
    results = []
    for problem in problems:
        if problem.name not in args.problems:
            continue
        results.append(measure(problem, args.repeats))
        print(table(HEAD, [row(results[-1])]).splitlines()[-1], flush=True)
        gc.collect()
    print(table(HEAD, [row(facts) for facts in results]))
    write_json(args.out, {"results": results})
