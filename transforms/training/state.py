"""The state file, from which a training resumes after its process was killed."""

import io
from collections.abc import Sequence

import torch
from torch import nn

from stylebeam.files import write_whole
from stylebeam.transforms.training.loop_config import ConfigValueError, LoopConfig


class State:
    """The state of a training: its models, its optimizers and its progress.

    Attributes:
        path: of the state file, beside the output.
    """

    def __init__(
        self,
        config: LoopConfig,
        models: Sequence[nn.Module],
        optimizers: Sequence[torch.optim.Optimizer],
    ) -> None:
        self.path = config.output.with_name(config.output.name + ".state")
        self._config = config.model_dump_json(exclude={"tensorboard"})
        self._models = models
        self._optimizers = optimizers

    def save(self, done: int, seconds: float) -> None:
        """Write the state after `done` iterations; the file is written atomically."""
        state = {
            "config": self._config,
            "done": done,
            "seconds": seconds,
            "models": [model.state_dict() for model in self._models],
            "optimizers": [optimizer.state_dict() for optimizer in self._optimizers],
        }
        buffer = io.BytesIO()
        torch.save(state, buffer)
        write_whole(self.path, buffer.getvalue())

    def load(self) -> tuple[int, float]:
        """Restore the state on disk, if there is one.

        Returns:
            The iterations that were done, and the seconds that they took.

        Raises:
            ConfigValueError: the file cannot be read, or is of another config.
        """
        if not self.path.exists():
            return 0, 0.0
        try:
            state = torch.load(self.path, map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises many kinds for damaged files.
            raise ConfigValueError(
                f"output: {self.path}, the state of an unfinished training, cannot be read"
                f" ({error}). Delete it to start again."
            ) from error
        if state.get("config") != self._config:
            raise ConfigValueError(
                f"output: {self.path} is the unfinished state of another config. Delete it to start"
                " again, or choose another output."
            )
        for model, its_state in zip(self._models, state["models"], strict=True):
            model.load_state_dict(its_state)
        for optimizer, its_state in zip(self._optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(its_state)
        return state["done"], state["seconds"]
