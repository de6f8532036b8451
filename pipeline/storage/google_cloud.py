"""Objects in Google Cloud Storage.

The storage client is used directly: Beam's wrapper spends two requests and a new connection on each
object that it reads.
"""

import functools
import re
from collections.abc import Iterator
from http.client import responses

import requests
import urllib3.exceptions
from google.api_core.exceptions import GoogleAPICallError, NotFound, PreconditionFailed, RetryError
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import DefaultCredentialsError
from google.cloud import storage
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
from google.cloud.storage.retry import DEFAULT_RETRY

from stylebeam.pipeline.storage.circuit_breaker import CircuitBreaker
from stylebeam.pipeline.storage.contract import DEFAULT_DEADLINE, StampPlace, Storage, StoredFile

# The key of a stamp in the metadata of its object.
_STAMP = "stylebeam"
_WILDCARDS = "*?["
# The most that one request can list.
_MAX_PAGE_SIZE = 1000
_FIELDS = "items(name,size,generation,metadata),nextPageToken"

# Seconds in which a request must connect, and in which it must receive something.
_CONNECT, _RECEIVE = 10.0, 30.0
_MAX_FAILURES_IN_A_ROW = 3

_ADDRESS = re.compile(r"\b[A-Z]+ https?://\S+ ?")
_WORDS_SHOWN = 200
_TRANSIENT = (408, 429, 500, 502, 503, 504)
_NETWORK_ERRORS: tuple[type[Exception], ...] = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    ConnectionError,
)
_REASONS: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str], ...] = (
    (NotFound, "there is no such file"),
    (PreconditionFailed, "someone else has written it since it was listed"),
    (DataCorruption, "it arrived damaged: its checksum does not match"),
    (requests.Timeout, "the storage did not answer in time"),
    (_NETWORK_ERRORS, "the connection to the storage broke"),
)


class GoogleCloudStorage(Storage):
    """Google Cloud Storage. Each instance has its own client and its own circuit breaker.

    Attributes:
        breaker: opens when request after request fails.
    """

    stamp_place = StampPlace.FILE

    def __init__(self, page_size: int = _MAX_PAGE_SIZE) -> None:
        """Make the storage; nothing is connected before the first request.

        Args:
            page_size: how many objects one request lists, at most 1000.
        """
        self.breaker = CircuitBreaker(_MAX_FAILURES_IN_A_ROW)
        self._page_size = page_size

    def list_files(self, folder: str, pattern: str) -> Iterator[StoredFile]:
        """Yield the objects whose names start with what precedes a pattern's first wildcard."""
        bucket, name = _parts(pattern)
        prefix = name[: min((name.find(each) for each in _WILDCARDS if each in name), default=None)]
        blobs = self._client.list_blobs(
            bucket, prefix=prefix, page_size=self._page_size, fields=_FIELDS
        )
        return (_stored_file(bucket, blob) for blob in blobs)

    def file_at(self, path: str) -> StoredFile | None:
        bucket, name = _parts(path)
        with _Attempt(self.breaker, DEFAULT_DEADLINE) as attempt:
            blob = self._client.bucket(bucket).get_blob(
                name, retry=attempt.retry, timeout=attempt.timeout
            )
        return None if blob is None else _stored_file(bucket, blob)

    def read(self, path: str, deadline: float) -> bytes:
        """Return the contents of an object, in one request."""
        with _Attempt(self.breaker, deadline) as attempt:
            return self._blob(path).download_as_bytes(retry=attempt.retry, timeout=attempt.timeout)

    def write(
        self,
        path: str,
        data: bytes,
        mime_type: str,
        stamp: str | None = None,
        replaces: str | None = None,
        deadline: float = DEFAULT_DEADLINE,
    ) -> None:
        """Write an object, in one request if it has at most 8 MiB."""
        blob = self._blob(path)
        if stamp is not None:
            blob.metadata = {_STAMP: stamp}
        # A picture can be made again; a run's record, which has no stamp, is worth waiting for.
        with _Attempt(self.breaker, deadline, patient=stamp is None) as attempt:
            try:
                blob.upload_from_string(
                    data,
                    mime_type,
                    if_generation_match=None if replaces is None else int(replaces or 0),
                    retry=attempt.retry,
                    timeout=attempt.timeout,
                )
            except PreconditionFailed:
                # The object may be ours: an answer was lost, or Beam processed a bundle twice.
                blob.reload(retry=attempt.retry, timeout=attempt.timeout)
                if (blob.metadata or {}).get(_STAMP) != stamp:
                    raise

    def delete(self, path: str) -> None:
        with _Attempt(self.breaker, DEFAULT_DEADLINE) as attempt:
            try:
                self._blob(path).delete(retry=attempt.retry, timeout=attempt.timeout)
            except NotFound:
                return

    def reason(self, error: BaseException) -> str:
        """Say what an error means, without addresses, which could open an object to others."""
        if isinstance(error, RetryError):
            return f"{self.reason(error.cause)}, however often it was tried"
        for kind, words in _REASONS:
            if isinstance(error, kind):
                return words
        if isinstance(error, InvalidResponse):
            # The client turns it into a GoogleAPICallError, except when it gives up retrying.
            return _answer(error.response.status_code)
        if isinstance(error, GoogleAPICallError):
            return _answer(error.code or 0, _message_of(error))
        return super().reason(error)

    @functools.cached_property
    def _client(self) -> storage.Client:
        """The client, whose connections all threads reuse."""
        # Only creating buckets needs a project.
        try:
            return storage.Client(project="none")
        except DefaultCredentialsError:
            # Public buckets can be read without credentials.
            return storage.Client(project="none", credentials=AnonymousCredentials())

    def _blob(self, path: str) -> storage.Blob:
        bucket, name = _parts(path)
        return self._client.bucket(bucket).blob(name)


class _Attempt:
    """How long to try a request; when the request ends, the circuit breaker is told."""

    def __init__(self, breaker: CircuitBreaker, deadline: float, patient: bool = False) -> None:
        retries = patient or not breaker.is_open
        self.retry = DEFAULT_RETRY.with_timeout(deadline) if retries else None
        # A few attempts fit into the deadline, even if they stall.
        self.timeout = (min(_CONNECT, deadline / 6), min(_RECEIVE, deadline / 6))
        self._breaker = breaker

    def __enter__(self) -> "_Attempt":
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        # An answer such as "not found" shows that the storage works.
        failed = isinstance(error, (RetryError, *_NETWORK_ERRORS)) or (
            isinstance(error, GoogleAPICallError) and error.code in _TRANSIENT
        )
        self._breaker.record(failed)


def _parts(path: str) -> tuple[str, str]:
    """Return the bucket and the object's name of a URI."""
    bucket, _, name = path.removeprefix("gs://").partition("/")
    return bucket, name


def _stored_file(bucket: str, blob: storage.Blob) -> StoredFile:
    stamp = (blob.metadata or {}).get(_STAMP)
    return StoredFile(f"gs://{bucket}/{blob.name}", blob.size or 0, str(blob.generation), stamp)


def _answer(code: int, words: str = "") -> str:
    return f"the storage answered {code} ({words or responses.get(code, 'an unknown code')})"


def _message_of(error: GoogleAPICallError) -> str:
    """Return the storage's own words, without addresses: the address of an upload is a secret."""
    words = _ADDRESS.sub("", (error.message or "").partition("\n")[0])
    # In parentheses are the client's words, for programmers.
    return "" if words.startswith("(") else words[:_WORDS_SHOWN]
