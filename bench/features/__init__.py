"""Acoustic features and the store that keeps them."""

from bench.features.frames import FeatureStore
from bench.features.settings import FeatureSettings
from bench.features.store import compute_features

__all__ = ["FeatureSettings", "FeatureStore", "compute_features"]
