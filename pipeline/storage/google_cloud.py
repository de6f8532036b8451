"""Objects in Google Cloud Storage.

By the storage client itself, for Beam's wrapper spends two requests and a new connection on each
object that it reads.
"""

import functools
import re
import threading
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

from stylebeam.pipeline.storage.stored_file import StoredFile

# Of the metadata of an object.
_STAMP = "stylebeam"
_WILDCARDS = "*?["
# The most that one request can list.
_PAGE = 1000
_FIELDS = "items(name,size,generation,metadata),nextPageToken"
DEFAULT_DEADLINE = 120.0
"""Seconds for which a request that storage is too busy for is tried again."""

# Seconds in which a request must connect, and receive something.
_CONNECT, _RECEIVE = 10.0, 30.0
# After so many failures in a row storage is not busy but out of order, and waiting for each of a
# million objects in turn would take years.
_FAILURES_ENDURED = 3

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
    (DataCorruption, "it arrived damaged: its checksum is another"),
    (requests.Timeout, "the storage did not answer in time"),
    (_NETWORK_ERRORS, "the connection to the storage broke"),
)


def list_files(folder: str, pattern: str) -> Iterator[StoredFile]:
    """Yield the objects below what a pattern begins with.

    Raises:
        GoogleAPICallError: they cannot be listed.
    """
    bucket, name = _parts(pattern)
    prefix = name[: min((name.find(each) for each in _WILDCARDS if each in name), default=None)]
    for blob in _client().list_blobs(bucket, prefix=prefix, page_size=_PAGE, fields=_FIELDS):
        stamp = (blob.metadata or {}).get(_STAMP)
        path = f"gs://{bucket}/{blob.name}"
        yield StoredFile(path, blob.size or 0, str(blob.generation), stamp)


def read(path: str, deadline: float) -> bytes:
    """Return an object's bytes, in one request.

    Raises:
        GoogleAPICallError: it cannot be read.
    """
    with _Attempt(deadline) as attempt:
        return _blob(path).download_as_bytes(retry=attempt.retry, timeout=attempt.timeout)


def write(
    path: str,
    data: bytes,
    mime_type: str,
    stamp: str | None = None,
    replaces: str | None = None,
    deadline: float = DEFAULT_DEADLINE,
) -> None:
    """Write an object, in one request up to 8 MiB.

    Args:
        path: its URI.
        data: what is to be there.
        mime_type: the kind of contents.
        stamp: is kept with it, and listed.
        replaces: the version of what may be replaced, "" for nothing; None for whatever is there.
        deadline: seconds for which it is tried again.

    Raises:
        GoogleAPICallError: it cannot be written, or another object is there by now.
    """
    blob = _blob(path)
    if stamp is not None:
        blob.metadata = {_STAMP: stamp}
    # An image can be done again; a record of many, which has no stamp, is worth waiting for.
    with _Attempt(deadline, patient=stamp is None) as attempt:
        try:
            blob.upload_from_string(
                data,
                mime_type,
                if_generation_match=None if replaces is None else int(replaces or 0),
                retry=attempt.retry,
                timeout=attempt.timeout,
            )
        except PreconditionFailed:
            # Perhaps it is what was written here: an answer got lost, or Beam ran a bundle again.
            blob.reload(retry=attempt.retry, timeout=attempt.timeout)
            if (blob.metadata or {}).get(_STAMP) != stamp:
                raise


def reason(error: BaseException) -> str | None:
    """Say in a few words what an error of this storage means; None for another's."""
    if isinstance(error, RetryError):
        return f"{reason(error.cause) or error.cause}, however often it was tried"
    for kind, words in _REASONS:
        if isinstance(error, kind):
            return words
    if isinstance(error, InvalidResponse):
        # What the client makes a GoogleAPICallError of, but not when it has tried in vain.
        return _answer(error.response.status_code)
    if isinstance(error, GoogleAPICallError):
        return _answer(error.code or 0, _said_by(error))
    return None


def _answer(code: int, words: str = "") -> str:
    return f"the storage answered {code} ({words or responses.get(code, 'of no known meaning')})"


def _said_by(error: GoogleAPICallError) -> str:
    """Return the storage's own words, without addresses: those of uploads are as good as keys."""
    words = _ADDRESS.sub("", (error.message or "").partition("\n")[0])
    # In brackets are the client's words, for programmers.
    return "" if words.startswith("(") else words[:_WORDS_SHOWN]


class _Attempt:
    """How long to try a request; a success or a failure decides for those that come after."""

    _failures = 0
    _lock = threading.Lock()

    def __init__(self, deadline: float, patient: bool = False) -> None:
        patient = patient or self._failures < _FAILURES_ENDURED
        self.retry = DEFAULT_RETRY.with_timeout(deadline) if patient else None
        # A few attempts fit into the deadline, even if they stall.
        self.timeout = (min(_CONNECT, deadline / 6), min(_RECEIVE, deadline / 6))

    def __enter__(self) -> "_Attempt":
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        # An answer such as "not found" is as good as a success.
        failed = isinstance(error, (RetryError, *_NETWORK_ERRORS)) or (
            isinstance(error, GoogleAPICallError) and error.code in _TRANSIENT
        )
        with self._lock:
            _Attempt._failures = _Attempt._failures + 1 if failed else 0


@functools.lru_cache(maxsize=1)
def _client() -> storage.Client:
    """Return the process's client; its connections are reused, by all threads."""
    # A project is needed to make buckets alone.
    try:
        return storage.Client(project="none")
    except DefaultCredentialsError:
        # Public buckets can be read without.
        return storage.Client(project="none", credentials=AnonymousCredentials())


def _blob(path: str) -> storage.Blob:
    bucket, name = _parts(path)
    return _client().bucket(bucket).blob(name)


def _parts(path: str) -> tuple[str, str]:
    bucket, _, name = path.removeprefix("gs://").partition("/")
    return bucket, name
