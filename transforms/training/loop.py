"""The training loop: Adam on a one-cycle schedule, resumable after the process was killed.

The crops of an iteration depend on the seed and the iteration's number alone. So a training that
was killed continues from its last state file exactly as if it had not been interrupted.
"""

import contextlib
import itertools
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import Dataset

from stylebeam.transforms.images.formats import ImageError
from stylebeam.transforms.training.clock import Clock, one_cycle
from stylebeam.transforms.training.log import TrainingLog, Validation
from stylebeam.transforms.training.loop_config import LoopConfig, TrainingError
from stylebeam.transforms.training.state import State

ITERATIONS_PER_STATE = 200
"""Iterations between two state files, and between two validations."""

ITERATIONS_PER_REPORT = 20
"""Iterations between two lines of progress."""

_LOADERS = 8
_BATCHES_AHEAD = 4


class Finished(NamedTuple):
    """A training that is done, and whose output is not written yet.

    Attributes:
        iterations: the number of iterations.
        state: the path of the state file, to be deleted once the output is written.
    """

    iterations: int
    state: Path


def run_iterations(
    config: LoopConfig,
    model: nn.Module,
    crops: Dataset[Tensor],
    terms_of: Callable[[int, Tensor], Mapping[str, Tensor]],
    report: Callable[[str], None],
    optimizers: Sequence[torch.optim.Optimizer] = (),
    ema_decay: float = 0.0,
    validate: Callable[[nn.Module], Validation] | None = None,
) -> Finished:
    """Train the parameters of a model in place.

    A state file `*.state` is kept beside the output. If there is one of the same config, the
    training resumes from it.

    Args:
        config: how long to train, and the learning rate.
        model: what is trained.
        crops: crop i, shape (3, crop_size, crop_size), for every i from 0.
        terms_of: takes the number of an iteration and its batch, and returns the terms of the loss,
            by name.
        report: receives lines of progress.
        optimizers: of the model's parameters, with their peak learning rates; by default Adam.
        ema_decay: decay of the exponential moving average of the parameters, which the model has in
            the end; 0 to leave the parameters as the last iteration made them.
        validate: takes the model as it would be written now; called at regular intervals.

    Raises:
        ConfigValueError: the state file cannot be read, or belongs to another config.
        TrainingError: no image can be read or a storage does not answer, in which case the state is
            saved; or the loss is no longer finite.
    """
    optimizers = optimizers or [torch.optim.Adam(model.parameters(), lr=config.learning_rate)]
    average = AveragedModel(model, avg_fn=_moving_average(ema_decay)) if ema_decay else None
    state = State(config, [model, average] if average else [model], optimizers)
    peaks = [group["lr"] for group in _groups(optimizers)]
    done, seconds = state.load()
    if done:
        report(f"Resuming from iteration {done}.")
    clock = Clock(config, done, seconds)
    model.train()
    with (
        contextlib.closing(TrainingLog(report, config.tensorboard, clock.fraction)) as log,
        _saved_without_images(state, clock),
    ):
        for batch in clock.waiting_for(_batches(crops, config, done)):
            if clock.fraction >= 1:
                break
            for group, peak in zip(_groups(optimizers), peaks, strict=True):
                group["lr"] = peak * one_cycle(clock.fraction)
            terms = terms_of(clock.done, batch)
            loss = torch.stack(list(terms.values())).sum()
            if not torch.isfinite(loss):
                raise TrainingError(
                    f"The loss was no longer finite at iteration {clock.done}: lower learning_rate"
                    f" (now {config.learning_rate})."
                )
            model.zero_grad()
            loss.backward()
            for optimizer in optimizers:
                optimizer.step()
            if average:
                average.update_parameters(model)
            clock.tick()
            last = clock.fraction >= 1
            if clock.done % ITERATIONS_PER_REPORT == 0 or last:
                log.iteration(clock, terms)
            if validate and (clock.done % ITERATIONS_PER_STATE == 0 or last):
                log.validation(clock, validate(average.module if average else model))
            if clock.done % ITERATIONS_PER_STATE == 0:
                state.save(clock.done, clock.seconds)
    if average:
        model.load_state_dict(average.module.state_dict())
    model.eval()
    return Finished(clock.done, state.path)


class _NoImagesError(TrainingError):
    """The next batch cannot be read."""


@contextlib.contextmanager
def _saved_without_images(state: State, clock: Clock) -> Iterator[None]:
    """Save the state if the next batch cannot be read, so that no iteration is lost."""
    try:
        yield
    except _NoImagesError:
        state.save(clock.done, clock.seconds)
        raise


def _moving_average(decay: float) -> Callable[[Tensor, Tensor, Tensor | int], Tensor]:
    """Return a function that updates an exponential moving average.

    The decay is smaller for the first values, so that the initial weights are soon forgotten.
    """

    def update(average: Tensor, value: Tensor, count: Tensor | int) -> Tensor:
        return torch.lerp(value, average, min(decay, (1 + float(count)) / (10 + float(count))))

    return update


def _batches(crops: Dataset[Tensor], config: LoopConfig, first: int) -> Iterator[Tensor]:
    """Yield the batches from iteration `first` on, without end; a few are loaded ahead."""
    numbers = itertools.count(first * config.batch_size)
    ahead: deque[Future[Tensor]] = deque()
    # Threads are enough: reading, decoding and scaling release the GIL.
    pool = ThreadPoolExecutor(_LOADERS)
    try:
        while True:
            while len(ahead) < (1 + _BATCHES_AHEAD) * config.batch_size:
                ahead.append(pool.submit(crops.__getitem__, next(numbers)))
            yield torch.stack([ahead.popleft().result() for _ in range(config.batch_size)])
    except ImageError as error:
        raise _NoImagesError(str(error)) from error
    except OSError as error:
        raise _NoImagesError(f"{error} Give the same command again to continue.") from error
    finally:
        pool.shutdown(cancel_futures=True)


def _groups(optimizers: Sequence[torch.optim.Optimizer]) -> list[dict[str, Any]]:
    return [group for optimizer in optimizers for group in optimizer.param_groups]
