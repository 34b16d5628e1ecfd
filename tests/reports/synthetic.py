"""The made-up results that tests of reports read; see reports.made_up."""

from reports.made_up import CLASSES, EVALUATIONS, HYPER, of_another, study, variants

__all__ = ["CLASSES", "EVALUATIONS", "HYPER", "of_another", "study", "variants"]
