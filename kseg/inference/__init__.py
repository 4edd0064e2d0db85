"""Inference: a NumPy image in, a label map of the same size out; files, overlays and legends."""

from kseg.inference import draw
from kseg.inference.activation_maps import activation_sheet, activations
from kseg.inference.crf.dense_crf import DenseCRF
from kseg.inference.crf.search import SearchResult, search_crf
from kseg.inference.ensemble import Ensemble
from kseg.inference.images import Summary, predict_files
from kseg.inference.model_info import ModelInfo, inspect_model
from kseg.inference.predictor import Predictor
from kseg.inference.proposals.cache import ProposalCache
from kseg.inference.proposals.edge_boxes import edge_box_proposals, proposal_recall
from kseg.inference.proposals.predictor import ProposalPredictor
from kseg.inference.proposals.steps import proposal_steps
from kseg.inference.video import VideoSummary, predict_video

__all__ = [
    "DenseCRF",
    "Ensemble",
    "ModelInfo",
    "Predictor",
    "ProposalCache",
    "ProposalPredictor",
    "SearchResult",
    "Summary",
    "VideoSummary",
    "activation_sheet",
    "activations",
    "draw",
    "edge_box_proposals",
    "inspect_model",
    "predict_files",
    "predict_video",
    "proposal_recall",
    "proposal_steps",
    "search_crf",
]
