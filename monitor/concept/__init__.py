"""Concept drift on the stream of losses as it comes: has the model's error changed, and since when? Pure.

A detector is fed the loss of each labelled row (0 or 1 for a wrong class, an absolute error, a log loss), in order of time, in
pieces of any size. It keeps a small state of plain numbers, so that it goes on where it stopped, and says how often it would
find a change where there is none.
"""

from monitor.concept._losses import Change
from monitor.concept.adwin import Adwin, AdwinState
from monitor.concept.page_hinkley import PageHinkley, PageHinkleyState

__all__ = ["Adwin", "AdwinState", "Change", "PageHinkley", "PageHinkleyState"]
