"""The file that lets a killed training go on."""

import io
from collections.abc import Sequence

import torch
from torch import nn

from stylebeam.files import write_whole
from stylebeam.transforms.training.loop_recipe import LoopRecipe, RecipeError


class State:
    """What a training needs to go on: its models and optimizers, and how far it is."""

    def __init__(
        self,
        recipe: LoopRecipe,
        models: Sequence[nn.Module],
        optimizers: Sequence[torch.optim.Optimizer],
    ) -> None:
        self.path = recipe.output.with_name(recipe.output.name + ".state")
        self._recipe = recipe.model_dump_json(exclude={"tensorboard"})
        self._models = models
        self._optimizers = optimizers

    def save(self, done: int, seconds: float) -> None:
        """Write the state after `done` iterations, whole or not at all."""
        state = {
            "recipe": self._recipe,
            "done": done,
            "seconds": seconds,
            "models": [model.state_dict() for model in self._models],
            "optimizers": [optimizer.state_dict() for optimizer in self._optimizers],
        }
        buffer = io.BytesIO()
        torch.save(state, buffer)
        write_whole(self.path, buffer.getvalue())

    def load(self) -> tuple[int, float]:
        """Take up the state on disk, if it is of this recipe; return what was done and spent."""
        if not self.path.exists():
            return 0, 0.0
        try:
            state = torch.load(self.path, weights_only=True)
        except Exception as error:  # torch raises nearly any kind on a damaged file.
            raise RecipeError(
                f"output: {self.path}, the state of an unfinished training, cannot be read"
                f" ({error}). Delete it to start anew."
            ) from error
        if state["recipe"] != self._recipe:
            raise RecipeError(
                f"output: {self.path} is the unfinished state of another recipe. Delete it to start"
                " anew, or choose another output."
            )
        for model, its_state in zip(self._models, state["models"], strict=True):
            model.load_state_dict(its_state)
        for optimizer, its_state in zip(self._optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(its_state)
        return state["done"], state["seconds"]
