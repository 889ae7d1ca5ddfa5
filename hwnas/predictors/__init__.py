"""Predictors: from a few measured candidates to any candidate, with intervals that hold.

Importing this loads numpy and the spaces alone; scipy and xgboost come with the first fit.
"""

from hwnas.predictors.additive import AdditiveTerms, additive_terms
from hwnas.predictors.choosing import first_to_measure, next_to_measure
from hwnas.predictors.csvio import Measurements, metric_columns, read_measurements
from hwnas.predictors.distill import Distilled, distill
from hwnas.predictors.drift import Drift, find_drift
from hwnas.predictors.fit import ScoredFit, fit_and_score, fit_predictor, model_names
from hwnas.predictors.metrics import Score, score
from hwnas.predictors.own import Regressor
from hwnas.predictors.prediction import Prediction
from hwnas.predictors.predictor import FittedPredictor, load_predictor
from hwnas.predictors.quantized import fit_quantized

__all__ = [
    "AdditiveTerms",
    "Distilled",
    "Drift",
    "FittedPredictor",
    "Measurements",
    "Prediction",
    "Regressor",
    "Score",
    "ScoredFit",
    "additive_terms",
    "distill",
    "find_drift",
    "first_to_measure",
    "fit_and_score",
    "fit_predictor",
    "fit_quantized",
    "load_predictor",
    "metric_columns",
    "model_names",
    "next_to_measure",
    "read_measurements",
    "score",
]
