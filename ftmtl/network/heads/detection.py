"""Detection: whether an RoI is a lesion, and its exact box."""

from __future__ import annotations

from torch import Tensor, nn

from ftmtl.network.heads.blocks import BOX_SIZE, conv_block


class DetectionHead(nn.Module):
    """Scores RoIs as background or lesion, whatever its type, and refines their boxes."""

    def __init__(self, channels: int, hidden: int = 192) -> None:
        super().__init__()
        self.features = nn.Sequential(conv_block(channels, channels), conv_block(channels, channels))
        self.trunk = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * BOX_SIZE**2, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU()
        )
        self.score = nn.Linear(hidden, 2)
        self.shift = nn.Linear(hidden, 4)

    def view(self, rois: Tensor) -> Tensor:
        """Return ``F_det``, shape (RoIs, channels, 7, 7), from RoI features of the same shape."""
        f_det: Tensor = self.features(rois)
        return f_det

    def forward(self, f_det: Tensor) -> tuple[Tensor, Tensor]:
        """Score RoIs and regress their boxes.

        Returns
        -------
        logits
            float32, background and lesion, shape (RoIs, 2).
        deltas
            float32, box regression relative to the RoI, shape (RoIs, 4).
        """
        trunk = self.trunk(f_det)
        return self.score(trunk).float(), self.shift(trunk).float()
