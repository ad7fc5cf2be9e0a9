"""HTTP APIs: dlt's REST client with retries, and every way of failing as one clear error without secrets."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import requests
from dlt.common import jsonpath
from dlt.common.configuration.specs import RuntimeConfiguration
from dlt.sources.helpers.requests import Client
from dlt.sources.helpers.requests.retry import RetryPredicate
from dlt.sources.helpers.rest_client import RESTClient
from dlt.sources.helpers.rest_client.paginators import BasePaginator
from requests.auth import AuthBase
from urllib3.exceptions import ReadTimeoutError

from orchestration.extract.connectors.base import HttpSource
from orchestration.extract.errors import SourceUnavailable
from orchestration.http_deadline import DeadlineAdapter

_SHOWN = 200
_CREDENTIALS = (401, 403)
_MISSING = 404
# Requests that the same client may repeat with success.
_PASSING = (408, 429)


class Refused(SourceUnavailable):
    """The API answered, and says that the request, not the moment, is wrong.

    Attributes:
        status: 400 to 499, without those that pass (408, 429).
    """

    may_pass = False

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status

    @property
    def is_about_credentials(self) -> bool:
        return self.status in _CREDENTIALS

    @property
    def is_missing(self) -> bool:
        return self.status == _MISSING


class _CheckedClient(RESTClient):
    """Judges an answer only after its last attempt: a hook of the request would end it within the first."""

    def __init__(self, check: Callable[[requests.Response, str], None], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._check = check

    def extract_response(self, response: requests.Response, data_selector: Any) -> list[Any]:
        self._check(response, data_selector)
        return super().extract_response(response, data_selector)


class Api:
    """One HTTP API, read for one raw table.

    Requests are repeated after 429 (as long as Retry-After says), 5xx, broken connections, time-outs, and answers that are no
    JSON although they say success; pauses grow exponentially. The credentials go to the base address only: no redirect is followed,
    and no link to a page elsewhere.
    """

    def __init__(
        self,
        table: str,
        source: HttpSource,
        base_url: str,
        auth: AuthBase | None,
        headers: dict[str, str] | None = None,
        answers: tuple[type, ...] = (dict,),
    ) -> None:
        """`answers`: what the JSON of an answer may be."""
        self._table = table
        self._base_url = base_url
        self._is_no_json = partial(_is_no_json, answers=answers)
        session = session_of(source, self._is_no_json)
        self._client = _CheckedClient(
            self._check,
            base_url,
            headers=headers,
            auth=auth,
            session=session,
            config=RuntimeConfiguration(http_show_error_body=False),
        )

    def pages(
        self, path: str, selector: str, paginator: BasePaginator, body: dict[str, Any] | None = None, /, **params: Any
    ) -> Iterator[list[dict[str, Any]]]:
        """The pages of a list, each as its objects.

        Args:
            path: below the base address.
            selector: JSON path of the list in an answer.
            paginator: how the next page is found.
            body: sent as JSON, by POST; None: GET.
            params: of the query; None is left out.

        Raises:
            SourceUnavailable: no answer, a refusal, not JSON, not a list, or pages that lead in a circle or elsewhere.
        """
        # Brent's way to find a circle of any length while remembering one place: that of the last page whose number is a power of two.
        remembered: tuple[str, Any] | None = None
        with self._reading(path):
            pages = self._client.paginate(
                path,
                "GET" if body is None else "POST",
                params=_given(params),
                json=body,
                paginator=paginator,
                data_selector=selector,
                hooks={"response": []},
                allow_redirects=False,
            )
            for number, page in enumerate(pages, start=1):
                asked = page.request
                address = str(asked.url)
                place = (address, json.dumps([asked.params, asked.json], sort_keys=True, default=str))
                if page.paginator.has_next_page and place == remembered:
                    raise SourceUnavailable(
                        f"sources.{self._table}: {path} gives the same pages for ever. Try again later, or ask its provider"
                    )
                if page.paginator.has_next_page and _origin(address) != _origin(self._base_url):
                    raise SourceUnavailable(
                        f"sources.{self._table}: {path} links to its next page at {_origin(address)}, and the credentials are for "
                        f"{_origin(self._base_url)} only. Check base_url"
                    )
                if number & (number - 1) == 0:
                    remembered = place
                if not all(isinstance(one, dict) for one in page):
                    raise SourceUnavailable(
                        f"sources.{self._table}: {path} answers {selector} that are not JSON objects. Check the settings of the source"
                    )
                yield list(page)

    def get(self, path: str, **params: Any) -> dict[str, Any] | None:
        """One object; None where the API says that there is none (404).

        Raises:
            SourceUnavailable: as `pages`.
        """
        with self._reading(path):
            response = self._client.get(path, params=_given(params), allow_redirects=False)
            if response.status_code == _MISSING:
                return None
            self._check(response)
            return response.json()

    @contextmanager
    def _reading(self, path: str) -> Iterator[None]:
        """Every failure of a request as `SourceUnavailable`, without the causes, which hold the request."""
        try:
            yield
        except SourceUnavailable:
            raise
        except (requests.RequestException, ValueError) as error:
            raise self._unavailable(path, error) from None

    def _check(self, response: requests.Response, selector: str = "$") -> None:
        path = response.request.path_url.split("?")[0]
        status = response.status_code
        where = f"sources.{self._table}: {path}"
        if status in _CREDENTIALS:
            raise Refused(f"{where} refuses the credentials ({status}). Check the key and what it may read", status)
        answer = f"{status} {response.reason or ''}".rstrip()
        if status >= 500 or status in _PASSING:
            raise SourceUnavailable(f"{where} answers {answer}. Try again later")
        if status == _MISSING:
            raise Refused(f"{where} answers {answer}. Check the address: base_url or subdomain", status)
        if status >= 400:
            raise Refused(f"{where} answers {answer}. Check the settings of the source: what it asks for is not accepted", status)
        if status >= 300:
            raise SourceUnavailable(f"{where} answers {answer}: it is at another address now. Change the address")
        if self._is_no_json(response, None):
            kind = "HTML" if _looks_like_html(response) else "truncated or damaged JSON"
            raise SourceUnavailable(f"{where} answers {kind} where JSON is due. Check the address, or try again later")
        # It would look like an empty list.
        if not jsonpath.find_values(selector, response.json()):
            raise SourceUnavailable(f"{where} answers without {selector}. Check the address, or try again later")

    def _unavailable(self, path: str, error: Exception) -> SourceUnavailable:
        # A time-out within the body of an answer is the cause of another error.
        if isinstance(error, requests.Timeout) or isinstance(next(iter(error.args), None), ReadTimeoutError):
            said = "gives no answer in time"
        elif isinstance(error, requests.ConnectionError):
            said = "cannot be reached"
        else:
            said = f"cannot be read ({type(error).__name__})"
        return SourceUnavailable(f"sources.{self._table}: {path} {said}. Check the address and the network, or try again later")


def session_of(source: HttpSource, is_to_repeat: RetryPredicate | None = None) -> requests.Session:
    """A session with the limits of a source: time for a whole answer, attempts, pauses."""
    session = Client(
        request_timeout=source.timeout_seconds,
        raise_for_status=False,
        request_max_attempts=source.max_attempts,
        request_max_retry_delay=source.max_retry_delay_seconds,
        retry_condition=is_to_repeat,
    ).session
    for scheme in ("http://", "https://"):
        session.mount(scheme, DeadlineAdapter())
    return session


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"


def _given(params: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in params.items() if value is not None}


def _looks_like_html(response: requests.Response) -> bool:
    return "html" in response.headers.get("Content-Type", "") or response.text[:_SHOWN].lstrip().startswith("<")


def _is_no_json(response: requests.Response | None, error: BaseException | None, answers: tuple[type, ...]) -> bool:
    """Whether an answer that says success is not the JSON that is due: a proxy's page, or cut off half-way."""
    if response is None or response.status_code >= 300:
        return False
    try:
        return not isinstance(response.json(), answers)
    except ValueError:
        return True
