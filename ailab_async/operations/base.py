"""What every operation is: a frozen value that checks itself, becomes a form, reads its result."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast

from attrs import frozen

from ..errors import MalformedReply
from ..images import Part, load_part, source_stem
from ..protocol.redact import clean_text
from .results import Result

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import anyio

    from ..events import EventHook
    from ..images import PictureRules, PictureSource
    from .results import ResultFile

__all__ = ["Fact", "FormItem", "Operation", "ResultT", "TextField", "load_parts"]

ResultT = TypeVar("ResultT", bound=Result)
ResultT_co = TypeVar("ResultT_co", bound=Result, covariant=True)
FactT = TypeVar("FactT")


@frozen(kw_only=True)
class TextField:
    """A field of a form that is no file."""

    name: str
    value: str


FormItem = TextField | Part
"""What a form is made of, in the order in which it is sent."""


class Fact(Generic[FactT]):
    """Something known of a class of operations, and of each of its values.

    ``HDColorMigration.credits`` and ``HDColorMigration("a.jpg").credits`` are the same number; an
    `Endpoint` knows it only as a value, and reads it from its entry with ``of_value``.
    """

    __slots__ = ("_default", "_of_value")

    def __init__(self, default: FactT, of_value: Callable[[Any], FactT] | None = None) -> None:
        """``default`` is what the class says, and each value that has no other way to tell."""
        self._default = default
        self._of_value = of_value

    def __get__(self, value: object | None, owner: type | None = None) -> FactT:
        if value is None or self._of_value is None:
            return self._default
        return self._of_value(value)


class Operation(ABC, Generic[ResultT_co]):
    """One thing the service can do, with everything it needs to know.

    Subclasses are frozen attrs values: what is wrong with one is said when it is made, as an
    `InvalidOperation`; what is wrong with a picture when it is read, before anything is sent.
    """

    __slots__ = ()

    name: ClassVar[Fact[str]]
    """What the service's table of paths calls it."""
    path: ClassVar[Fact[str | None]] = Fact(None)
    """Its path at the service, where it comes from the catalogue."""
    is_async: ClassVar[Fact[bool]]
    """Whether the service answers with a task instead of the result."""
    credits: ClassVar[Fact[float | None]]
    """What one call costs at the hosted service, where that is known."""
    job_type: ClassVar[str | None] = None
    """What the query by job id calls it (the older page "Querying Async Task Results")."""
    result_type: ClassVar[type[Result]]
    """What `read_result` returns."""
    needs_file: ClassVar[bool] = True
    """Whether an answer without a file is no result."""
    fit: bool | None = None
    """Whether pictures that break a limit are made acceptable; None leaves it to the client."""
    labels: ClassVar[Mapping[str, str]] = {}
    """Names to use in errors, for fields that the service calls otherwise than we do."""

    @property
    def stem(self) -> str:
        """What result files are called: as the first picture that has a name, else as this."""
        stems = (source_stem(source) for source, _ in self.pictures().values())
        return next((stem for stem in stems if stem), self.name)

    @abstractmethod
    def pictures(self) -> Mapping[str, tuple[PictureSource, PictureRules]]:
        """Return the pictures and the rules for each, by the field's name, in wire order."""

    def check(self, parts: Mapping[str, Part]) -> None:
        """Raise `InvalidOperation` where the pictures do not go together.

        Each of them was checked by its own rules when it was loaded.
        """
        del parts  # most operations have one

    def fit_like(self) -> Mapping[str, str]:
        """Return which picture must have the size of which other."""
        return {}

    @abstractmethod
    def form(self, parts: Mapping[str, Part], *, task_type: bool = True) -> tuple[FormItem, ...]:
        """Return the form to send, in wire order.

        ``parts`` are the pictures, loaded. Without ``task_type`` the field of that name is left
        out, which the RapidAPI listings do not mention.
        """

    def result(self, raw: Mapping[str, Any], files: tuple[ResultFile, ...]) -> ResultT_co:
        """Return the typed result of an answer and the files in it. Raises as `read_result`."""
        return self.read_result(raw, files, self.stem)

    @classmethod
    def read_result(
        cls, raw: Mapping[str, Any], files: tuple[ResultFile, ...], stem: str
    ) -> ResultT_co:
        """Return the typed result, for a task of which only the kind of operation is known.

        Raises `MalformedReply` for a success without the file that this operation makes.
        """
        if cls.needs_file and not files:
            fields = clean_text(", ".join(raw), 200)
            message = f"The answer reports success but holds no file (it has {fields})"
            raise MalformedReply(message, http_status=200)
        return cast("ResultT_co", cls.result_type(files=files, raw=raw, stem=stem))


async def load_parts(
    operation: Operation[Any],
    *,
    fit: bool = False,
    limiter: anyio.CapacityLimiter | None = None,
    on_event: EventHook | None = None,
) -> dict[str, Part]:
    """Load the pictures of an operation, one after the other, and check that they go together.

    Raises `InvalidOperation`. With ``fit``, pictures are made acceptable, and one that must have
    the size of another is given it. See `load_part` for what happens where.
    """
    parts: dict[str, Part] = {}
    like = operation.fit_like() if fit else {}
    for field, (source, rules) in operation.pictures().items():
        model = parts.get(like.get(field, ""))
        parts[field] = await load_part(
            source,
            rules,
            field=field,
            label=operation.labels.get(field, ""),
            fit=fit,
            fit_size=model.size if model else None,
            limiter=limiter,
            on_event=on_event,
        )
    operation.check(parts)
    return parts
