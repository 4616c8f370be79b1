"""Which estimators run natively, and how the others run.

A route gives the held-out predictions of one layer, or their scores. The native ones give the
numbers that refitting the user's own estimator in every fold would give.
"""

from __future__ import annotations

from dnnbrain_cpp.encoding._routes._base import Route
from dnnbrain_cpp.encoding._routes._choose import choose_route
from dnnbrain_cpp.encoding._routes._classify import ClassifierRoute, choose_classifier

__all__ = ["ClassifierRoute", "Route", "choose_classifier", "choose_route"]
