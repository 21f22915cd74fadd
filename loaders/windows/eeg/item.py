"""What datasets return, and what they are to torch; without it they can be imported, and not made."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from loaders.windows.eeg.npzread import Window
from loaders.windows.eeg.settings import WINDOW
from recorder.errors import MissingExtraError

if TYPE_CHECKING:
    import torch
    from torch.utils.data import Dataset

    Item = tuple[torch.Tensor, torch.Tensor]
    ItemDataset = Dataset[Item]
else:
    Item = tuple
    try:
        from torch.utils.data import Dataset as ItemDataset
    except ImportError:
        ItemDataset = object


def need_torch() -> None:
    """Refuse to go on without it.

    Raises
    ------
    MissingExtraError
    """
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("datasets need torch: python -m pip install 'flightrec[torch]'") from error


def as_item(
    window: Window, labels: Window | None, transform: Callable[[torch.Tensor], Any] | None = None
) -> Item:
    """Tensors over the arrays; zeros for labels that there are not."""
    import torch

    tensor = torch.from_numpy(window)
    if transform is not None:
        tensor = transform(tensor)
    return tensor, torch.zeros(WINDOW) if labels is None else torch.from_numpy(labels)
