"""A lease on an output folder: one run at a time writes there.

`_stylebeam/lease.json` in the folder says which run holds the lease, where, and since when; the
holder renews it while it runs. On the local disk, the holder also locks the file (`flock`), so that
the lease of a killed run ends at once. In a bucket, the file is replaced only in the version that
was read. A lease that has not been renewed for two minutes has run out, as has the lease of a
process of this machine that is dead.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator

from stylebeam.pipeline.archive.lease_files import Lease, take_lease
from stylebeam.pipeline.archive.lease_holder import Holder, LeaseHeldError
from stylebeam.pipeline.storage import StorageError

__all__ = ["LeaseHeldError", "LeaseLostError", "Leases", "hold"]

RENEWED_EVERY = 20.0
"""Seconds between two renewals."""
_ASKED_EVERY = 1.0


class LeaseLostError(StorageError):
    """Another run took a lease after it had run out here; the message says which."""


class Leases:
    """The leases of a run, renewed in the background; see `hold`.

    Attributes:
        lost: why the run must stop: another run has taken a lease. None as long as none has.
    """

    def __init__(self, run: str) -> None:
        self.lost: str | None = None
        self._run = run
        self._held: list[Lease] = []
        self._changing = threading.Lock()
        self._ended = threading.Event()
        self._on_loss: Callable[[str], None] = lambda reason: None
        self._renewing = threading.Thread(target=self._renew, name="leases", daemon=True)

    def stop_on_loss(self, stop: Callable[[str], None]) -> None:
        """Have a function called with the reason when a lease is lost."""
        self._on_loss = stop
        if self.lost:
            stop(self.lost)

    def check(self) -> None:
        """Check that no lease was lost.

        Raises:
            LeaseLostError: another run has taken one.
        """
        if not self.lost:
            self.renew()
        if self.lost:
            raise LeaseLostError(
                f"The run stopped: {self.lost}. What it has written is kept. Run the same command"
                " again once that run has ended."
            )

    def renew(self) -> None:
        """Renew all leases now; what cannot be reached is tried again the next time."""
        with self._changing:
            for lease in self._held:
                try:
                    taken_by = lease.renew()
                except StorageError:
                    continue
                if taken_by and not self.lost:
                    self.lost = f"{lease.folder} was taken over by {taken_by}"
                    self._on_loss(self.lost)

    def _take(self, folder: str, wait: Callable[[str], None] | None) -> None:
        named = set()
        while True:
            try:
                lease = take_lease(folder, Holder.this_process(self._run))
            except LeaseHeldError as error:
                if wait is None:
                    raise
                run = error.holder.run if error.holder else None
                if run not in named:
                    named.add(run)
                    wait(f"{folder} is being written by {error.holder or 'another run'}: waiting.")
                time.sleep(_ASKED_EVERY)
            else:
                with self._changing:
                    self._held.append(lease)
                return

    def _renew(self) -> None:
        while not self._ended.wait(RENEWED_EVERY):
            self.renew()

    def _release(self) -> None:
        self._ended.set()
        with self._changing:
            for lease in reversed(self._held):
                with contextlib.suppress(StorageError):
                    lease.release()
            self._held.clear()


@contextlib.contextmanager
def hold(
    folders: Iterable[str], run: str, wait: Callable[[str], None] | None = None
) -> Iterator[Leases]:
    """Hold the leases of output folders within a `with`.

    They are taken in sorted order, so that two runs with several folders never wait for each other.

    Args:
        folders: the output folders, each written in one way.
        run: the name of the run.
        wait: receives a sentence for each run that is waited for; None to not wait.

    Raises:
        LeaseHeldError: another run holds a lease, and `wait` is None.
        StorageError: a lease cannot be read or written.
    """
    leases = Leases(run)
    leases._renewing.start()
    try:
        for folder in sorted(set(folders)):
            leases._take(folder, wait)
        yield leases
    finally:
        leases._release()
