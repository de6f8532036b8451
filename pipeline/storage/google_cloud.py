"""Objects in Google Cloud Storage.

The storage client is used directly: Beam's wrapper spends two requests and a new connection on each
object that it reads.
"""

import functools
import re
import textwrap
from collections.abc import Iterator
from http.client import responses

import requests
import urllib3.exceptions
from google.api_core.exceptions import GoogleAPICallError, NotFound, PreconditionFailed, RetryError
from google.api_core.retry import Retry
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import DefaultCredentialsError, TransportError
from google.cloud import storage
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse

from stylebeam.pipeline.storage.bounds import Contents, TooLargeError
from stylebeam.pipeline.storage.circuit_breaker import CircuitBreaker
from stylebeam.pipeline.storage.contract import StampPlace, Storage, StoredFile
from stylebeam.pipeline.storage.deadlines import TooLateError, remaining

# The key of a stamp in the metadata of its object.
_STAMP = "stylebeam"
_WILDCARDS = "*?["
# The most that one request can list.
_MAX_PAGE_SIZE = 1000
_FIELDS = "items(name,size,generation,metadata),nextPageToken"

# Seconds in which a request must connect, and in which it must receive something.
_CONNECT, _RECEIVE = 10.0, 30.0
_MAX_FAILURES_IN_A_ROW = 3

_ADDRESS = re.compile(r"(\b[A-Z]+ )?https?://\S+ ?")
_MARKUP_MESSAGE = re.compile(r"<(Details|Message)>(.*?)</\1>", re.DOTALL)
_WORDS_SHOWN = 200
_TRANSIENT = (408, 429, 500, 502, 503, 504)
_NETWORK_ERRORS: tuple[type[Exception], ...] = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    ConnectionError,
    TransportError,
)
_NOT_GZIP = requests.exceptions.ContentDecodingError
_REASONS: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str], ...] = (
    (PreconditionFailed, "someone else has written it since it was listed"),
    (DataCorruption, "it arrived damaged: its checksum does not match"),
    (_NOT_GZIP, "its Content-Encoding is gzip, but its contents are not"),
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
        # A listing is worth waiting for. Its retry and its timeout are those of each page.
        attempt = _Attempt(self.breaker, patient=True)
        blobs = self._client.list_blobs(
            bucket,
            prefix=prefix,
            page_size=self._page_size,
            fields=_FIELDS,
            retry=attempt.retry,
            timeout=attempt.timeout,
        )
        try:
            for blob in blobs:
                yield _stored_file(bucket, blob)
        except NotFound as error:
            raise _NoBucketError(bucket) from error

    def file_at(self, path: str) -> StoredFile | None:
        bucket, name = _parts(path)
        with _Attempt(self.breaker) as attempt:
            blob = self._client.bucket(bucket).get_blob(
                name, retry=attempt.retry, timeout=attempt.timeout
            )
        return None if blob is None else _stored_file(bucket, blob)

    def read(self, path: str, max_bytes: int) -> bytes:
        """Return the contents of an object, in one request."""
        blob = self._blob(path)

        def download() -> bytes:
            # The client itself would resume after an error, and then check no checksum.
            contents = Contents(max_bytes)
            blob.download_to_file(contents, retry=None, timeout=attempt.timeout)
            return contents.getvalue()

        try:
            with _Attempt(self.breaker) as attempt:
                return attempt.retry(download)() if attempt.retry else download()
        except TooLargeError:
            found = self.file_at(path)
            raise TooLargeError(max_bytes, found and found.size) from None

    def write(
        self,
        path: str,
        data: bytes,
        mime_type: str,
        stamp: str | None = None,
        replaces: str | None = None,
    ) -> None:
        """Write an object, in one request if it has at most 8 MiB."""
        blob = self._blob(path)
        if stamp is not None:
            blob.metadata = {_STAMP: stamp}
        # A picture can be made again; a run's record, which has no stamp, is worth waiting for.
        with _Attempt(self.breaker, patient=stamp is None) as attempt:
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
            except NotFound as error:
                raise _NoBucketError(_parts(path)[0]) from error

    def delete(self, path: str) -> None:
        with _Attempt(self.breaker) as attempt:
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
        if isinstance(error, NotFound):
            in_bucket = "bucket does not exist" not in (error.message or "")
            return f"there is no such {'file' if in_bucket else 'bucket'}"
        if isinstance(error, InvalidResponse | GoogleAPICallError):
            return _answer(_code(error), _words_of(error))
        return super().reason(error)

    def mistake_in(self, location: str) -> str | None:
        path = location.removeprefix("gs://")
        if path.startswith("/") and path.strip("/"):
            return f"{location} names no bucket; did you mean gs://{path.lstrip('/')}?"
        return super().mistake_in(location)

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


class _NoBucketError(Exception):
    """There is no such bucket."""

    def __init__(self, bucket: str) -> None:
        super().__init__(f"there is no bucket named {bucket}")


class _Attempt:
    """How long to try a request; when the request ends, the circuit breaker is told."""

    def __init__(self, breaker: CircuitBreaker, patient: bool = False) -> None:
        seconds = remaining()
        retries = patient or not breaker.is_open
        # Ends before the deadline, so that an error can say what was wrong at last.
        self.retry = Retry(_may_succeed_later, timeout=0.8 * seconds) if retries else None
        # A few attempts fit into the deadline, even if they stall.
        self.timeout = (min(_CONNECT, seconds / 6), min(_RECEIVE, seconds / 6))
        self._breaker = breaker

    def __enter__(self) -> "_Attempt":
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        # An answer such as "not found" shows that the storage works.
        failed = isinstance(error, RetryError | TooLateError) or _may_succeed_later(error)
        self._breaker.record(failed)


def _may_succeed_later(error: BaseException | None) -> bool:
    """Return whether a request that failed is worth another attempt."""
    if isinstance(error, _NOT_GZIP):
        return False
    if isinstance(error, GoogleAPICallError | InvalidResponse) and _code(error) in _TRANSIENT:
        return True
    return isinstance(error, (*_NETWORK_ERRORS, DataCorruption))


def _parts(path: str) -> tuple[str, str]:
    """Return the bucket and the object's name of a URI."""
    bucket, _, name = path.removeprefix("gs://").partition("/")
    if not bucket:
        raise ValueError("it names no bucket")
    return bucket, name


def _stored_file(bucket: str, blob: storage.Blob) -> StoredFile:
    stamp = (blob.metadata or {}).get(_STAMP)
    return StoredFile(f"gs://{bucket}/{blob.name}", blob.size or 0, str(blob.generation), stamp)


def _code(error: GoogleAPICallError | InvalidResponse) -> int:
    """Return the status of the answer that an error is about."""
    code = error.code if isinstance(error, GoogleAPICallError) else error.response.status_code
    return int(code or 0)


def _answer(code: int, words: str) -> str:
    if code in (401, 403):
        return f"access is denied ({code}){f': {words}' if words else ''}"
    return f"the storage answered {code} ({words or responses.get(code, 'an unknown code')})"


def _words_of(error: GoogleAPICallError | InvalidResponse) -> str:
    """Return the storage's own words, without addresses: the address of an upload is a secret."""
    try:
        words = error.response.json()["error"]["message"]
    except (AttributeError, ValueError, LookupError, TypeError):
        words = _ADDRESS.sub("", getattr(error, "message", None) or "")
        # In parentheses are the client's words, for programmers.
        words = re.split(r"(?:^|: )\(", words)[0]
        if "<" in words:
            found = _MARKUP_MESSAGE.search(words)
            words = found[2] if found else ""
    words = _ADDRESS.sub("", str(words)).rstrip(". \n")
    return textwrap.shorten(words, _WORDS_SHOWN, placeholder=" …")
