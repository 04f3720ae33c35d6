"""Where things are: one service is a table of routes and a way to show the key.

RapidAPI's paths follow no rule from the direct ones, so nothing here is derived: every operation
has a name, and each service maps names to a host and a path. Sources of the addresses:

- direct: the service's own API pages (``www.ailabtools.com/docs/…/api``);
- RapidAPI: the listings ``hd-colour-migration``, ``image-micro-motion``, ``ai-cartoon-generator``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import urlsplit

from attrs import field, frozen

from ..errors import InvalidOperation

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Route", "Secret", "Service"]

DIRECT_BASE: Final = "https://www.ailabapi.com"

LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})

ENGINE: Final = "ailab_async.local:LocalEngine"
"""What answers inside this process. A name and not an import: the engine lives on the top floor,
and is loaded only where it is used."""

EMBEDDED_BASE: Final = "http://local-engine.invalid"
"""The in-process engine's base: ``.invalid`` resolves nowhere (RFC 6761), should it ever leak."""

QUERY_BY_TASK: Final = "query-by-task-id"
QUERY_BY_JOB: Final = "query-by-job-id"
CREDITS: Final = "credits"

DIRECT_PATHS: Final[Mapping[str, str]] = {
    "hd-color-migration": "/api/image/effects/image-hd-color-migration",
    "image-erase": "/api/image/editing/image-erase",
    "micro-motion": "/api/image/effects/image-fine-tuning",
    "cartoon-generator": "/api/image/effects/ai-anime-generator",
    QUERY_BY_TASK: "/api/common/query-async-task-result",
    QUERY_BY_JOB: "/api/image/asyn-task-results",  # "asyn" is the service's own spelling
    CREDITS: "/api/common/query-credits",
}

RAPIDAPI_HOSTS: Final[Mapping[str, str]] = {
    "hd-color-migration": "hd-colour-migration.p.rapidapi.com",
    "micro-motion": "image-micro-motion.p.rapidapi.com",
    "cartoon-generator": "ai-cartoon-generator.p.rapidapi.com",
}

RAPIDAPI_PATHS: Final[Mapping[str, str]] = {
    # hd-color-migration: the submit path is published nowhere; see Service.rapidapi(paths=…)
    "micro-motion": "/image/enhance/image_micro_motion",
    "cartoon-generator": "/image/effects/generate_cartoonized_image",
    QUERY_BY_TASK: "/api/rapidapi/query-async-task-result",
    QUERY_BY_JOB: "/image/get_async_job_result",
}


_HOST: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::\d{1,5})?", re.ASCII)
_PATH: Final = re.compile(r"/[^\s?#]*", re.ASCII)


class Secret:
    """A string that never shows itself: its ``repr`` is ``'***'`` and it does not pickle."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        """``value`` is kept as it is."""
        self._value = value

    def reveal(self) -> str:
        """Return the string; to be called only where it goes onto the wire."""
        return self._value

    def __repr__(self) -> str:
        return "'***'"

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> Any:
        message = "an API key does not pickle: give each process its own, through AILAB_API_KEY"
        raise TypeError(message)


@frozen(kw_only=True)
class Route:
    """An address at the service: ``origin`` (scheme, host and port) and ``path``."""

    origin: str
    path: str

    @property
    def url(self) -> str:
        """Origin and path together."""
        return self.origin + self.path

    @property
    def host(self) -> str:
        """The host, with the port where one is given."""
        return urlsplit(self.origin).netloc


@frozen(kw_only=True)
class Service:
    """One way to reach the service; made by `direct`, `rapidapi` or `local`.

    A frozen value without connections: several clients may share it.
    """

    name: Literal["direct", "rapidapi", "local"]
    base_url: str
    api_key: Secret | None = field(default=None, repr=False)
    hosts: Mapping[str, str] = field(factory=dict)
    paths: Mapping[str, str] = field(factory=dict)
    sends_task_type: bool = True
    engine: Any = field(default=None, repr=False, eq=False)

    @classmethod
    def direct(cls, api_key: str, *, base_url: str = DIRECT_BASE) -> Service:
        """The service's own API.

        Raises `InvalidOperation` if the key is empty or cannot be a header, or if ``base_url`` is
        no absolute https address (plain http is for this computer only). The key is sent to that
        origin and no other.
        """
        key, base = _checked_key(api_key), _checked_base(base_url)
        parts = urlsplit(base)
        if parts.scheme != "https" and parts.hostname not in LOOPBACK:
            hint = "A key sent over plain http can be read on the way."
            raise InvalidOperation("base_url", "https", base_url, hint=hint)
        return cls(name="direct", base_url=base, api_key=key, paths=DIRECT_PATHS)

    @classmethod
    def rapidapi(
        cls,
        api_key: str,
        *,
        hosts: Mapping[str, str] | None = None,
        paths: Mapping[str, str] | None = None,
        sends_task_type: bool = False,
    ) -> Service:
        """Through the RapidAPI listings.

        ``hosts`` and ``paths`` override or add to the known ones, by the operation's name. The
        submit path of HD colour migration is published nowhere: copy it from the listing into
        ``paths={"hd-color-migration": "/…"}``. ``sends_task_type`` also sends
        ``task_type=async``, which the direct API wants and the listings do not mention.
        """
        for name, host in (hosts or {}).items():
            if not _HOST.fullmatch(host):
                hint = "For example 'hd-colour-migration.p.rapidapi.com'."
                which = f"hosts[{name!r}]"
                raise InvalidOperation(which, "a bare host name", host, hint=hint)
        for name, path in (paths or {}).items():
            if not _PATH.fullmatch(path):
                which = f"paths[{name!r}]"
                raise InvalidOperation(which, "a path that begins with /", path)
        return cls(
            name="rapidapi",
            base_url="",
            api_key=_checked_key(api_key),
            hosts={**RAPIDAPI_HOSTS, **(hosts or {})},
            paths={**RAPIDAPI_PATHS, **(paths or {})},
            sends_task_type=sends_task_type,
        )

    @classmethod
    def local(
        cls, url: str | None = None, *, api_key: str | None = None, engine: Any = None
    ) -> Service:
        """The local engine: inside this process, or one that ``ailab serve`` runs at ``url``.

        ``api_key`` is needed only where the engine was started with keys. ``engine`` is a
        `LocalEngine` of your own, which stays yours to close; without it the client makes one and
        ends it with itself.
        """
        if url is not None and engine is not None:
            raise InvalidOperation("engine", "left out where url is given", engine)
        base = EMBEDDED_BASE if url is None else _checked_base(url)
        key = None if api_key is None else _checked_key(api_key)
        return cls(name="local", base_url=base, api_key=key, paths=DIRECT_PATHS, engine=engine)

    @property
    def embedded(self) -> bool:
        """Whether this is the local engine inside this process."""
        return self.base_url == EMBEDDED_BASE

    def route(self, name: str, path: str | None = None, *, near: str | None = None) -> Route:
        """Return where ``name`` is, with ``path`` where the table has none (the catalogue).

        ``near`` names the operation whose host answers, for queries on RapidAPI, where each API
        has a host of its own. Raises `InvalidOperation` where the service has no such address.
        """
        found = self.paths.get(name, path if self.name != "rapidapi" else None)
        if found is None:
            hint = (
                f"Copy it from the listing: Service.rapidapi(key, paths={{{name!r}: '/…'}})."
                if self.name == "rapidapi"
                else "Use one of the operations or an Endpoint of the catalogue."
            )
            raise InvalidOperation(
                "operation", f"known to the {self.name} service", name, hint=hint
            )
        if self.name != "rapidapi":
            return Route(origin=self.base_url, path=found)
        host = self.hosts.get(near or name)
        if host is None:
            wanted = f"hosts={{{near or name!r}: '….p.rapidapi.com'}}"
            hint = f"Name its host: Service.rapidapi(key, {wanted})."
            raise InvalidOperation("operation", "listed at RapidAPI", near or name, hint=hint)
        return Route(origin=f"https://{host}", path=found)

    def key_headers(self, route: Route) -> dict[str, str]:
        """Return the headers that carry the key, for a route of this service only."""
        if self.api_key is None:
            return {}
        if self.name == "rapidapi":
            return {"X-RapidAPI-Key": self.api_key.reveal(), "X-RapidAPI-Host": route.host}
        return {"ailabapi-api-key": self.api_key.reveal()}


def _checked_key(api_key: str) -> Secret:
    if not api_key.strip():
        raise InvalidOperation("api_key", "a key, not empty", "''", hint="Set AILAB_API_KEY.")
    if not api_key.isascii() or not api_key.isprintable() or " " in api_key.strip():
        # the value itself is not shown: it may be most of a real key
        limit = "printable ASCII without spaces"
        raise InvalidOperation("api_key", limit, "what was given", hint="Copy the key again.")
    return Secret(api_key.strip())


def _checked_base(url: str) -> str:
    parts = urlsplit(url)
    if "@" in parts.netloc:
        limit = "an address without a user name"
        raise InvalidOperation("base_url", limit, "one with", hint="Give the key as api_key.")
    plain = parts.scheme in {"http", "https"} and parts.hostname
    if not plain or parts.query or parts.fragment:
        hint = "For example http://127.0.0.1:8765"
        raise InvalidOperation("base_url", "an absolute http or https address", url, hint=hint)
    return url.rstrip("/")
