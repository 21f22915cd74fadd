"""The dataset of question and source embeddings with steering vectors. Importing it imports torch."""

from loaders.steering.dataset import JASPERSteeringDataset
from loaders.steering.loading import create_loader, set_epoch, validate_first_batch
from loaders.steering.validation import validate_dataset

__all__ = [
    "JASPERSteeringDataset",
    "create_loader",
    "set_epoch",
    "validate_dataset",
    "validate_first_batch",
]
