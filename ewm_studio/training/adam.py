"""Adam (Kingma & Ba 2015) over PyTorch's fused kernel, which takes no step where the gradients are not finite.

`torch.optim.Adam` computes the same, but its first use imports the compiler (`torch._dynamo`), which nothing here needs
and which takes longer than training CartPole's first thousands of steps.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.adam import adam


class FusedAdam:
    """Adam in its fused form for the trainable parameters of a module.

    Attributes:
        lr: learning rate of the next step; may be set at any time.
    """

    BETAS = (0.9, 0.999)

    def __init__(self, module: nn.Module, lr: float, eps: float = 1e-8) -> None:
        self.lr, self.eps = lr, eps
        self.parameters = [p for p in module.parameters() if p.requires_grad]
        # Moments lie in memory as their parameters do: the fused kernel walks them side by side.
        self._means = [torch.zeros_like(p.detach()) for p in self.parameters]
        self._squares = [torch.zeros_like(p.detach()) for p in self.parameters]
        self._steps = [torch.zeros((), device=p.device) for p in self.parameters]

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    def clip(self, max_norm: float) -> Tensor:
        """Shorten the gradients, taken together, to this norm; gives the norm they had."""
        return nn.utils.clip_grad_norm_(self.parameters, max_norm)

    @torch.no_grad()
    def step(self, norm: Tensor | None = None) -> None:
        """One step for every parameter that has a gradient; none at all where their `norm` is not finite.

        The device decides that by itself, so nothing waits for it, and weights and moments stay finite until whoever
        looks at the losses later ends the run.
        """
        index = [i for i, p in enumerate(self.parameters) if p.grad is not None]
        if not index:
            return
        # The fused kernel needs gradients laid out as their parameters, which autograd does not promise.
        grads = [_laid_out_as(self.parameters[i], self.parameters[i].grad) for i in index]
        adam(
            [self.parameters[i] for i in index],
            grads,
            [self._means[i] for i in index],
            [self._squares[i] for i in index],
            [],
            [self._steps[i] for i in index],
            fused=True,
            amsgrad=False,
            beta1=self.BETAS[0],
            beta2=self.BETAS[1],
            lr=self.lr,
            weight_decay=0.0,
            eps=self.eps,
            maximize=False,
            found_inf=None if norm is None else (~norm.isfinite()).float(),
        )

    def state_dict(self) -> dict[str, Any]:
        """Learning rate, moments and step counts."""
        return {"lr": self.lr, "means": self._means, "squares": self._squares, "steps": self._steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self.lr = state["lr"]
        for own, saved in zip(
            (*self._means, *self._squares, *self._steps),
            (*state["means"], *state["squares"], *state["steps"]),
            strict=True,
        ):
            own.copy_(saved)


def _laid_out_as(parameter: Tensor, grad: Tensor | None) -> Tensor:
    assert grad is not None
    return grad if grad.stride() == parameter.stride() else torch.empty_like(parameter).copy_(grad)
