"""Inference: a NumPy image in, a label map of the same size out; files, overlays and legends."""

from kseg.inference import draw
from kseg.inference.activations import activation_sheet, activations
from kseg.inference.crf import DenseCRF
from kseg.inference.crf_search import SearchResult, search_crf
from kseg.inference.ensemble import Ensemble
from kseg.inference.images import Summary, predict_files
from kseg.inference.predictor import Predictor
from kseg.inference.proposal_cache import ProposalCache
from kseg.inference.proposal_predictor import ProposalPredictor
from kseg.inference.proposal_steps import proposal_steps
from kseg.inference.proposals import edge_box_proposals, proposal_recall
from kseg.inference.video import VideoSummary, predict_video

__all__ = [
    "DenseCRF",
    "Ensemble",
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
    "predict_files",
    "predict_video",
    "proposal_recall",
    "proposal_steps",
    "search_crf",
]
