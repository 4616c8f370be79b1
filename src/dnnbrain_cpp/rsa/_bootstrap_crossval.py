"""How crossvalidated scores of fitted models would vary with other subjects and conditions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dnnbrain_cpp._progress import Progress, progress_callback
from dnnbrain_cpp._random import RandomState, as_seed
from dnnbrain_cpp._threads import resolve_n_threads
from dnnbrain_cpp._validate import check_choice, check_ids, check_integer
from dnnbrain_cpp.rsa._bootstrap import FACTORS, BootstrapResult, Samples, check_factors
from dnnbrain_cpp.rsa._ceiling import POOLS, NoiseCeiling
from dnnbrain_cpp.rsa._coerce import RDMsLike, as_rdms, join
from dnnbrain_cpp.rsa._comparable import check_comparable
from dnnbrain_cpp.rsa._crossval_samples import CrossvalidatedSamples, Folds
from dnnbrain_cpp.rsa._models import Model
from dnnbrain_cpp.rsa._resample import check_resampled_method, draw_counts

__all__ = ["bootstrap_crossval"]

# Fewer conditions have no two pairs that could differ.
_FEWEST = 3
# A sample of n holds about this share of them.
_DISTINCT = 1 - np.exp(-1)
_MOST_FOLDS = 5
# Assignments to folds over which the scores of the data themselves are averaged.
_REPEATS_OF_DATA = 20


def bootstrap_crossval(
    models: Sequence[Model] | Model,
    data: RDMsLike,
    *,
    n_boot: int = 1000,
    over: str | Sequence[str] = FACTORS,
    method: str = "corr",
    condition_folds: int | None = None,
    subject_folds: int | None = None,
    n_repeat: int = 2,
    ceiling: str | None = "mean-rdm",
    random_state: RandomState = None,
    n_threads: int | None = None,
    progress: Progress = False,
) -> BootstrapResult:
    """Crossvalidate models with weights in samples of conditions and subjects.

    In each sample, models are fitted to some of its conditions and subjects and scored with the
    others: `bootstrap` for models that have something to fit, so that they can be compared with
    models that have not (Schuett et al. 2023; Storrs et al. 2021).

    Parameters
    ----------
    models : sequence of Model
        `FixedModel`, `WeightedModel` and others, all over the same conditions. Fixed ones are
        scored in the same folds.
    data : RDMs, RDM, or array_like
        One per subject, joined to the models as in `compare`.
    n_boot : int
        Samples.
    over : {"conditions", "subjects"} or both
        What is drawn again.
    method : str
        Comparator of predictions with held-out data, as in `bootstrap`. What weights are fitted to
        is the model's own ``method``.
    condition_folds, subject_folds : int, optional
        Folds of the distinct conditions and subjects of a sample; copies stay together. 1 for none:
        fit to all and score with all. By default as many as leave 6 conditions, and 2 subjects, in
        each, from 2 to 5 (1 with fewer than 7 subjects).
    n_repeat : int
        Random assignments to folds in each sample, at least 2.
    ceiling : {"mean-rdm", "optimal"} or None
        Noise ceilings of the same samples, within the held-out conditions; each subject against
        all, or all others, of the sample.
    random_state : int, Generator, RandomState or None
    n_threads : int, optional
        As in `bootstrap`.
    progress : bool or callable

    Returns
    -------
    BootstrapResult
        ``scores``: of the data, the mean over 20 assignments to folds. Each of its `Samples` keeps
        single assignments in ``by_repeat``.

    Raises
    ------
    ValueError
        For unequal conditions, or fewer conditions or subjects than folds in a sample need.

    Notes
    -----
    The assignment to folds is a noise that the data do not have. With the variance v_c of the mean
    over c assignments and v_1 that of single ones, ``v = (c v_c - v_1) / (c - 1)`` is what is left
    with infinitely many; then the correction for two factors of `bootstrap`.

    A prediction whose weights are all zero scores 0.

    Cost: all inner products that fits and scores by corr and cosine need are one matrix product, of
    ``n_repeat condition_folds n_boot n_pair (L + S)**2`` multiply-adds for L RDMs to be weighted; a
    fit takes microseconds beyond it. Other comparators rank each prediction in each fold.
    """
    method = check_resampled_method(method)
    factors = check_factors(over)
    n_boot = check_integer(n_boot, "n_boot", minimum=2)
    n_repeat = check_integer(n_repeat, "n_repeat", minimum=2)
    if ceiling is not None:
        check_choice(ceiling, "ceiling", POOLS)
    fitted = _as_models(models)
    first = fitted[0].rdms
    data = join(first, as_rdms(data, "data"))[1]
    check_comparable(data, "data", method)
    components = [join(first, model.rdms)[1] for model in fitted]
    n_cond, n_subject = first.n_cond, len(data)
    folds = Folds(
        _fold_count(condition_folds, "condition_folds", n_cond, _FEWEST),
        _fold_count(subject_folds, "subject_folds", n_subject, 1),
    )
    if "subjects" in factors and n_subject < 2:
        raise ValueError("a bootstrap over subjects needs at least 2 of them; got 1.")
    seed = as_seed(random_state)
    rng = np.random.default_rng(seed)
    conditions = draw_counts(
        rng,
        n_boot,
        n_cond,
        at_least=_FEWEST * folds.conditions,
        groups=np.arange(n_cond),
    )
    subjects = draw_counts(
        rng, n_boot, n_subject, at_least=folds.subjects, groups=np.arange(n_subject)
    )
    kind = ceiling if n_subject > 1 else None
    work = CrossvalidatedSamples(
        fitted, components, data, method, kind, folds, resolve_n_threads(n_threads)
    )
    every_condition = np.ones((n_boot, n_cond))
    every_subject = np.ones((n_boot, n_subject))
    parts: dict[str, Samples] = {}
    with progress_callback(progress, f"crossvalidated bootstrap, {n_boot} samples") as report:
        if "conditions" in factors:
            copies = {"conditions": every_subject}
            if len(factors) == len(FACTORS):
                copies["both"] = subjects
            parts |= work.samples(conditions, copies, n_repeat, rng, report)
        if "subjects" in factors:
            parts |= work.samples(every_condition, {"subjects": subjects}, n_repeat, rng, report)
        whole = work.samples(
            every_condition[:1], {"whole": every_subject[:1]}, _REPEATS_OF_DATA, rng, report
        )["whole"]
    return BootstrapResult(
        scores=whole.scores[0],
        samples=parts[factors[0] if len(factors) == 1 else "both"],
        parts={factor: parts[factor] for factor in factors},
        ceiling=None
        if whole.ceilings is None or kind is None
        else NoiseCeiling(float(whole.ceilings[0, 0]), float(whole.ceilings[0, 1]), method, kind),
        over=factors,
        n={factor: {"conditions": n_cond, "subjects": n_subject}[factor] for factor in factors},
        models=tuple(model.name for model in fitted),
        method=method,
        n_boot=n_boot,
        seed=seed,
    )


def _fold_count(given: int | None, name: str, n: int, fewest: int) -> int:
    distinct = _DISTINCT * n
    if given is None:
        wanted = int(min(_MOST_FOLDS, distinct // (2 * fewest)))
        return wanted if wanted >= 2 else 1
    given = check_integer(given, name, minimum=1)
    if given > 1 and given * fewest > distinct:
        raise ValueError(
            f"{name} must leave at least {fewest} in each fold of a sample, which holds about "
            f"{distinct:.0f} of {n}; got {given}. Give fewer folds."
        )
    return given


def _as_models(models: Sequence[Model] | Model) -> list[Model]:
    given = [models] if isinstance(models, Model) else list(models)
    if not given:
        raise ValueError("models must hold at least one; got none.")
    for model in given:
        if not isinstance(model, Model):
            raise TypeError(
                f"models must be rsa.FixedModel, rsa.WeightedModel or others of their kind; got "
                f"{type(model).__name__}. For RDMs as they are, use rsa.bootstrap."
            )
    check_ids([model.name for model in given], "names of models")
    return given
