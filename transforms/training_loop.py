"""The loop that every training runs: Adam on a one-cycle schedule, resumable after a kill.

What an iteration sees depends on the seed and its number alone, so that a training which was
killed goes on exactly where its last state file left it.
"""

import io
import itertools
import math
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader, Dataset

from transforms.devices import DeviceName, choose_device, fast_precision
from transforms.files import write_whole
from transforms.image_io import ImageError

_ITERATIONS_PER_STATE = 200
_ITERATIONS_PER_REPORT = 20

_WARM_UP = 0.1
_FIRST_RATE = 1 / 25


class TrainingError(Exception):
    """A training that cannot go on; the message says what to change."""


class RecipeError(Exception):
    """A recipe that cannot be trained; the message says what to change."""


class LoopRecipe(BaseModel):
    """What every training's recipe has."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    output: Path = Field(description="The file to write, ending in .safetensors.")
    crop_size: int = Field(
        default=192, ge=32, strict=True, description="Side of a training crop in pixels."
    )
    batch_size: int = Field(default=2, ge=1, strict=True, description="Crops in an iteration.")
    iterations: int = Field(default=2000, ge=1, strict=True, description="How long to train.")
    minutes: float | None = Field(
        default=None, gt=0, description="How long to train, instead of a number of iterations."
    )
    learning_rate: float = Field(
        default=2e-3, gt=0, strict=True, description="Peak of the one-cycle schedule."
    )
    seed: int = Field(
        default=0,
        ge=0,
        lt=2**63,
        strict=True,
        description="Decides the first weights and every crop.",
    )
    device: DeviceName = Field(default="auto", description="Where to train.")

    def check_output(self) -> None:
        """Find what would otherwise fail only once the training is done.

        Raises:
            RecipeError: the output cannot be written.
        """
        if self.output.suffix != ".safetensors":
            raise RecipeError(f"output: {self.output} must end in .safetensors.")
        try:
            self.output.parent.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=self.output.parent).close()
        except OSError as error:
            raise RecipeError(f"output: {self.output} cannot be written: {error}") from error

    def choose_device(self) -> tuple[torch.device, torch.dtype]:
        """Return where to train, and the precision of the convolutions.

        Raises:
            DeviceUnavailableError: the device is not there.
        """
        device = choose_device(self.device)
        # float16, which a GPU is fastest in, would need its gradients scaled.
        precision = torch.bfloat16 if device.type == "cuda" else fast_precision(device)
        return device, precision


class Finished(NamedTuple):
    """A training that is done, its output yet to be written.

    Attributes:
        iterations: how many there were.
        state: the path of the state file, to be deleted once the output is written.
    """

    iterations: int
    state: Path


def run_iterations(
    recipe: LoopRecipe,
    model: nn.Module,
    crops: Dataset[Tensor],
    terms_of: Callable[[int, Tensor], Mapping[str, Tensor]],
    report: Callable[[str], None],
    optimizers: Sequence[torch.optim.Optimizer] = (),
    ema_decay: float = 0.0,
) -> Finished:
    """Train a model's parameters in place.

    Beside the output a state file `*.state` is kept; a training of the same recipe that finds one
    goes on from there.

    Args:
        recipe: how long, how fast.
        model: what is trained.
        crops: crop i, shape (3, crop_size, crop_size), for every i from 0 up.
        terms_of: returns the terms of the loss, by name, of an iteration and its batch.
        report: receives a line of progress now and then.
        optimizers: of the model's parameters, their learning rates at the peak; by default Adam.
        ema_decay: what is kept at each iteration of the moving average of the parameters, which
            the model has in the end; 0 for the parameters as they are.

    Raises:
        RecipeError: the state file cannot be read, or is of another recipe.
        TrainingError: an image cannot be read, or the loss is no longer finite.
    """
    optimizers = optimizers or [torch.optim.Adam(model.parameters(), lr=recipe.learning_rate)]
    average = AveragedModel(model, avg_fn=_moving_average(ema_decay)) if ema_decay else None
    state = _State(recipe, [model, average] if average else [model], optimizers)
    peaks = [group["lr"] for group in _groups(optimizers)]
    done, seconds = state.load()
    if done:
        report(f"Going on from iteration {done}.")
    clock = _Clock(recipe, done, seconds)
    model.train()
    for batch in _batches(crops, recipe.batch_size, done):
        if clock.fraction >= 1:
            break
        for group, peak in zip(_groups(optimizers), peaks, strict=True):
            group["lr"] = peak * one_cycle(clock.fraction)
        terms = terms_of(clock.done, batch)
        loss = torch.stack(list(terms.values())).sum()
        if not torch.isfinite(loss):
            raise TrainingError(
                f"The loss was no longer finite at iteration {clock.done}: lower learning_rate"
                f" (now {recipe.learning_rate})."
            )
        model.zero_grad()
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
        if average:
            average.update_parameters(model)
        clock.tick()
        if clock.done % _ITERATIONS_PER_REPORT == 0 or clock.fraction >= 1:
            report(f"{clock}; loss {loss.item():.3f} = {_sum_of(terms)}")
        if clock.done % _ITERATIONS_PER_STATE == 0:
            state.save(clock.done, clock.seconds)
    if average:
        model.load_state_dict(average.module.state_dict())
    model.eval()
    return Finished(clock.done, state.path)


def one_cycle(fraction: float) -> float:
    """Return the learning rate after a fraction of the training, relative to its peak.

    It rises along a cosine for the first tenth, and falls along a cosine to 0 (Smith and Topin
    2018, "Super-Convergence").
    """
    if fraction < _WARM_UP:
        return _FIRST_RATE + (1 - _FIRST_RATE) * (1 - math.cos(math.pi * fraction / _WARM_UP)) / 2
    return (1 + math.cos(math.pi * (fraction - _WARM_UP) / (1 - _WARM_UP))) / 2


def _moving_average(decay: float) -> Callable[[Tensor, Tensor, Tensor | int], Tensor]:
    """Return how an average of so many values, and the next value, make the next average.

    The first averages are of few values, that the weights of the beginning are soon forgotten.
    """

    def update(average: Tensor, value: Tensor, count: Tensor | int) -> Tensor:
        return torch.lerp(value, average, min(decay, (1 + float(count)) / (10 + float(count))))

    return update


class _Clock:
    """How far a training is, by iterations or by time, as of the end of the last iteration.

    Attributes:
        done: iterations.
        seconds: time spent, that of earlier processes included.
        fraction: of the training, from 0 to 1 or, by time, a little more.
    """

    def __init__(self, recipe: LoopRecipe, done: int, seconds: float) -> None:
        self._recipe = recipe
        self._first = done
        self._earlier = seconds
        self._started = time.monotonic()
        self.done = done
        self.seconds = seconds
        self.fraction = self._fraction()

    def tick(self) -> None:
        """Take note of the end of an iteration."""
        self.done += 1
        self.seconds = self._earlier + time.monotonic() - self._started
        self.fraction = self._fraction()

    def _fraction(self) -> float:
        if self._recipe.minutes is not None:
            return self.seconds / (60 * self._recipe.minutes)
        return self.done / self._recipe.iterations

    def __str__(self) -> str:
        each = (self.seconds - self._earlier) / (self.done - self._first)
        if self._recipe.minutes is not None:
            return (
                f"iteration {self.done}, {self.seconds / 60:.1f} of {self._recipe.minutes:g}"
                f" minutes: {each:.2f} s an iteration"
            )
        left = each * (self._recipe.iterations - self.done) / 60
        return (
            f"iteration {self.done}/{self._recipe.iterations}: {each:.2f} s an iteration,"
            f" {left:.1f} min left"
        )


class _State:
    """The file that lets a killed training go on."""

    def __init__(
        self,
        recipe: LoopRecipe,
        models: Sequence[nn.Module],
        optimizers: Sequence[torch.optim.Optimizer],
    ) -> None:
        self.path = recipe.output.with_name(recipe.output.name + ".state")
        self._recipe = recipe.model_dump_json()
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


def _batches(crops: Dataset[Tensor], batch_size: int, first: int) -> Iterator[Tensor]:
    """Yield the batches from iteration `first` on, without end."""
    try:
        yield from DataLoader(crops, batch_size, sampler=itertools.count(first * batch_size))
    except (OSError, ImageError) as error:
        raise TrainingError(f"{error} Remove that file.") from error


def _groups(optimizers: Sequence[torch.optim.Optimizer]) -> list[dict[str, Any]]:
    return [group for optimizer in optimizers for group in optimizer.param_groups]


def _sum_of(terms: Mapping[str, Tensor]) -> str:
    return " + ".join(f"{name} {term.item():.3f}" for name, term in terms.items())
