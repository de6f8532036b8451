"""What disturbs a run: kills, signals, a second run, and faults of the storage.

A disturbance is drawn before the run with all its random choices. While the run goes on, it waits
for its moment, such as the tenth output, and acts.
"""

import os
import random
import signal
import socket
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.soak.command import Command, send

if TYPE_CHECKING:
    from benchmarks.soak.storm import Storm

HELD = 4
"""The exit code of a run whose output another run holds."""

# Root may write everywhere; without these capabilities, permissions apply to it.
_WITH_PERMISSIONS = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")


@dataclass(frozen=True)
class Allowance:
    """What a disturbed run may do that a calm one must not.

    Attributes:
        failures: good photos may fail, for a reason that is told.
        stop: photos may be left for the next run.
        end: the run may end without outcomes, with a message.
        silence: it may end without a message.
    """

    failures: bool = False
    stop: bool = False
    end: bool = False
    silence: bool = False


@dataclass
class Disturbance:
    """A disturbance of one run.

    Attributes:
        name: for the log and the table.
        allows: what the run may do.
        act: is called while the run goes on, and returns mistakes that it has seen itself.
        undo: is called when the run has ended.
        before: a program that starts the run, with its arguments.
        environment: variables for the run.
        run: options of the config's section `run`.
        needs: flags that the run needs.
    """

    name: str
    allows: Allowance = Allowance()
    act: Callable[[Command], Sequence[str]] = lambda command: ()
    undo: Callable[[], None] = lambda: None
    before: Sequence[str] = ()
    environment: dict[str, str] = field(default_factory=dict)
    run: dict[str, float] = field(default_factory=dict)
    needs: Sequence[str] = ()


WORKERS = ("--direct_num_workers=2", "--direct_running_mode=multi_processing")
"""The flags for worker processes."""


class _Moment:
    """A random moment of a run: some time after its start, or after a number of outputs."""

    def __init__(self, storm: "Storm", generator: random.Random, at_work: bool = False) -> None:
        self._storm = storm
        self._share = generator.random() if at_work or generator.random() < 0.7 else None
        self._delay = generator.uniform(0, 0.2) if self._share is not None else 0.0
        self._seconds = generator.uniform(0, 10)
        self.is_at_work = self._share is not None

    def wait(self, command: Command) -> bool:
        """Wait for the moment; return whether it has come while the command runs."""
        if self._share is None:
            command.wait_for(lambda: False, self._seconds)
        else:
            count = int(self._share * self._storm.to_do())
            before = self._storm.archive.outputs.versions()

            def are_written() -> bool:
                now = self._storm.archive.outputs.versions()
                return sum(now[name] != before.get(name) for name in now) >= max(1, count)

            if not command.wait_for(are_written, self._storm.limit):
                return False
            command.wait_for(lambda: False, self._delay)
        return command.is_running


def kill(storm: "Storm", generator: random.Random) -> Disturbance:
    """Kill all processes of the run, or only the first one."""
    moment = _Moment(storm, generator)
    everything = generator.random() < 0.6

    def act(command: Command) -> Sequence[str]:
        if moment.wait(command):
            if everything:
                command.kill()
            else:
                command.killed = True
                command.send(signal.SIGKILL)
        return ()

    name = "kill all" if everything else "kill command"
    return Disturbance(name, Allowance(True, True, True, True), act)


def kill_worker(storm: "Storm", generator: random.Random) -> Disturbance:
    """Kill one worker process, which the run must survive."""
    moment = _Moment(storm, generator)
    choice = generator.random()
    flags = WORKERS if generator.random() < 0.7 else ()

    def act(command: Command) -> Sequence[str]:
        # Its first process is the command itself.
        command.wait_for(lambda: bool(_workers(command)), storm.limit)
        if moment.wait(command) and (workers := _workers(command)):
            send(workers[int(choice * len(workers))], signal.SIGKILL)
        return ()

    return Disturbance("kill worker", act=act, needs=flags)


def _workers(command: Command) -> list[int]:
    """Return the processes of a run beside the first, without Python's own helpers."""
    workers = []
    for process in command.processes()[1:]:
        try:
            words = Path("/proc", str(process), "cmdline").read_bytes()
        except OSError:
            continue
        if b"resource_tracker" not in words:
            workers.append(process)
    return workers


def stop(storm: "Storm", generator: random.Random) -> Disturbance:
    """Send a signal after which the run must end in order."""
    return _signalled(storm, generator, generator.choice((signal.SIGINT, signal.SIGTERM)))


def hang_up(storm: "Storm", generator: random.Random) -> Disturbance:
    """Send the signal of a terminal that is closed."""
    return _signalled(storm, generator, signal.SIGHUP)


def _signalled(storm: "Storm", generator: random.Random, number: signal.Signals) -> Disturbance:
    moment = _Moment(storm, generator)
    # A terminal sends Ctrl-C to all processes.
    to_all = number == signal.SIGINT and generator.random() < 0.5

    def act(command: Command) -> Sequence[str]:
        if moment.wait(command):
            command.send(number, to_all)
        return ()

    early = not moment.is_at_work
    return Disturbance(number.name, Allowance(stop=True, end=early, silence=early), act)


def second_run(storm: "Storm", generator: random.Random) -> Disturbance:
    """Start a second run over the same output while the first one is at work."""
    gate = str(storm.base / "gate")

    def act(command: Command) -> Sequence[str]:
        try:
            if not command.wait_for(lambda: os.path.exists(f"{gate}.reached"), storm.limit):
                return ()  # It had nothing to do.
            second = storm.command(command.folder / "second")
            second.wait(storm.limit)
            if second.hung:
                return [f"the second run: {second.hung}"]
            if not command.is_running:
                return []
            if second.code != HELD:
                return [f"a second run over the output ended with exit code {second.code}"]
            if socket.gethostname() not in second.stderr:
                return [f"the second run does not say who holds the output: {second.stderr!a}"]
            return []
        finally:
            Path(gate).touch()

    def undo() -> None:
        for path in (gate, f"{gate}.reached"):
            Path(path).unlink(missing_ok=True)

    # The first run waits at its first photo for longer than other photos may take.
    patience = {"image_deadline": 100.0} if "image_deadline" in storm.run_options else {}
    return Disturbance("second run", act=act, undo=undo, environment={"SOAK_GATE": gate},
                       run=patience)  # fmt: skip


def change_during_run(storm: "Storm", generator: random.Random) -> Disturbance:
    """Remove some photos while the run goes on, and replace others."""
    moment = _Moment(storm, generator)
    archive = storm.archive
    names = [each.name for each in archive.good()]
    chosen = generator.sample(names, k=min(len(names), 6))

    def act(command: Command) -> Sequence[str]:
        moment.wait(command)
        for name in chosen[:3]:
            archive.remove(name)
        for name in chosen[3:]:
            archive.replace(name, generator)
        return ()

    return Disturbance("changed inputs", Allowance(failures=True), act)


def full_disk(storm: "Storm", generator: random.Random) -> Disturbance:
    """Leave little space on the volume of the output, or limit the size of files."""
    allows = Allowance(failures=True, end=True)
    if storm.volume is None or generator.random() < 0.3:
        # Below this, not even messages can be written.
        limit = generator.choice((5_000, 20_000, 60_000))
        return Disturbance("file size limit", allows, before=("prlimit", f"--fsize={limit}"))
    filler = storm.volume / "filler"
    space = os.statvfs(storm.volume)
    left = generator.choice((0, 100_000, 400_000, 1_500_000))
    size = max(0, space.f_bavail * space.f_frsize - left)
    subprocess.run(["fallocate", "-l", str(max(1, size)), str(filler)], check=True)
    return Disturbance("full disk", allows, undo=filler.unlink)


def closed_folders(storm: "Storm", generator: random.Random) -> Disturbance:
    """Take away the permission to write to some folders of the output."""
    top = storm.base / storm.archive.outputs.location
    folders = sorted(path for path in top.rglob("*") if path.is_dir())
    chosen = [path for path in [top, *folders] if generator.random() < 0.3]
    for path in chosen:
        path.chmod(0o555)

    def undo() -> None:
        for path in chosen:
            path.chmod(0o755)

    allows = Allowance(failures=True, end=True)
    return Disturbance("folders read-only", allows, undo=undo, before=_WITH_PERMISSIONS)


def faulty_storage(storm: "Storm", generator: random.Random) -> Disturbance:
    """Let requests to the bucket fail, break, stall or trickle."""
    share = generator.choice((0.02, 0.05, 0.2, 0.5))
    seed = generator.random()
    storm.set_faults(share, random.Random(seed))
    allows = Allowance(failures=True, end=True)
    return Disturbance(
        f"storage faults {share:.0%}",
        allows,
        undo=lambda: storm.set_faults(0.0, random.Random(seed)),
        run={"storage_deadline": 12.0},
    )


Draw = Callable[["Storm", random.Random], Disturbance]

ANYWHERE: dict[str, Draw] = {
    "kill": kill,
    "worker": kill_worker,
    "stop": stop,
    "hangup": hang_up,
    "twice": second_run,
    "vanish": change_during_run,
}
"""Disturbances by the name under which `--without` leaves them out."""

ON_DISK: dict[str, Draw] = {"full": full_disk, "closed": closed_folders}
IN_BUCKET: dict[str, Draw] = {"storage": faulty_storage}
