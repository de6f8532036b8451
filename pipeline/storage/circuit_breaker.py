"""A circuit breaker: stops retrying requests to a service that is down."""

import threading


class CircuitBreaker:
    """Tells requests to a service whether a failure is worth waiting for and trying again.

    A service that is only busy answers after a while. One that fails request after request is out
    of order, and waiting for each of a million requests would take years. So after a number of
    failures in a row the breaker opens: each request is tried once, until one succeeds. Threads may
    share a breaker.
    """

    def __init__(self, max_failures: int) -> None:
        """Make a closed breaker.

        Args:
            max_failures: the breaker opens after this many failures in a row.
        """
        self._max_failures = max_failures
        self._failures = 0
        self._lock = threading.Lock()

    @property
    def is_open(self) -> bool:
        """Whether the service is out of order, so that a request should be tried only once."""
        return self._failures >= self._max_failures

    def record(self, failed: bool) -> None:
        """Record the end of a request; a success closes the breaker."""
        with self._lock:
            self._failures = self._failures + 1 if failed else 0
