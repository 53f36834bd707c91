"""The network, how it is trained and how good it is."""

from __future__ import annotations

import torch
from torch import nn

from heart_torch.rows import FEATURES


class Network(nn.Module):
    """Two layers: from the features to whether there is disease."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(len(FEATURES), 8)
        self.outer = nn.Linear(8, 1)

    def forward(self, columns: torch.Tensor) -> torch.Tensor:
        """Return the logit of each row."""
        return self.outer(torch.tanh(self.inner(columns))).squeeze(1)


def fit(network: Network, columns: torch.Tensor, ill: torch.Tensor, *, epochs: int, rate: float) -> None:
    """Take gradient steps over all rows."""
    optimiser = torch.optim.SGD(network.parameters(), lr=rate, momentum=0.9)
    for _ in range(epochs):
        optimiser.zero_grad()
        nn.functional.binary_cross_entropy_with_logits(network(columns), ill).backward()
        optimiser.step()


def accuracy(network: Network, columns: torch.Tensor, ill: torch.Tensor) -> float:
    """Return the share of rows that are told right."""
    with torch.no_grad():
        return float(((network(columns) > 0) == (ill > 0.5)).float().mean())
