"""Inference: a NumPy image in, a label map of the same size out; files, videos, ensembles, proposals and CRFs.

The parts are imported when they are first asked for: running an exported file needs neither TensorFlow nor Keras.
"""

from typing import TYPE_CHECKING

from kseg.parts import on_demand

if TYPE_CHECKING:
    from kseg.inference import draw
    from kseg.inference.activation_maps import activation_sheet, activations
    from kseg.inference.crf.dense_crf import DenseCRF
    from kseg.inference.crf.search import SearchResult, search_crf
    from kseg.inference.ensemble import Ensemble
    from kseg.inference.file_predictor import FilePredictor
    from kseg.inference.files.images import Summary, find_images, predict_files
    from kseg.inference.files.pseudo_labels import confident_labels, label_images
    from kseg.inference.files.video import VideoSummary, predict_video
    from kseg.inference.model_info import ModelInfo, inspect_model
    from kseg.inference.predictor import Predictor
    from kseg.inference.proposals.cache import ProposalCache
    from kseg.inference.proposals.edge_boxes import edge_box_proposals, proposal_recall
    from kseg.inference.proposals.predictor import ProposalPredictor
    from kseg.inference.proposals.steps import proposal_steps

_HOMES = {
    "DenseCRF": "crf.dense_crf",
    "Ensemble": "ensemble",
    "FilePredictor": "file_predictor",
    "ModelInfo": "model_info",
    "Predictor": "predictor",
    "ProposalCache": "proposals.cache",
    "ProposalPredictor": "proposals.predictor",
    "SearchResult": "crf.search",
    "Summary": "files.images",
    "VideoSummary": "files.video",
    "activation_sheet": "activation_maps",
    "activations": "activation_maps",
    "confident_labels": "files.pseudo_labels",
    "draw": "draw",
    "edge_box_proposals": "proposals.edge_boxes",
    "find_images": "files.images",
    "inspect_model": "model_info",
    "label_images": "files.pseudo_labels",
    "predict_files": "files.images",
    "predict_video": "files.video",
    "proposal_recall": "proposals.edge_boxes",
    "proposal_steps": "proposals.steps",
    "search_crf": "crf.search",
}

__all__ = [
    "DenseCRF",
    "Ensemble",
    "FilePredictor",
    "ModelInfo",
    "Predictor",
    "ProposalCache",
    "ProposalPredictor",
    "SearchResult",
    "Summary",
    "VideoSummary",
    "activation_sheet",
    "activations",
    "confident_labels",
    "draw",
    "edge_box_proposals",
    "find_images",
    "inspect_model",
    "label_images",
    "predict_files",
    "predict_video",
    "proposal_recall",
    "proposal_steps",
    "search_crf",
]

__getattr__, __dir__ = on_demand(__name__, _HOMES)
