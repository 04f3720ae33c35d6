"""What the engine offers: its operations, where they are, and what they answer.

One row an operation; paths and forms are those of the service's own pages (see
`protocol.services` and the catalogue).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import frozen

from ..operations import CartoonGenerator, HDColorMigration
from ..protocol.services import DIRECT_PATHS, RAPIDAPI_PATHS
from . import forms

if TYPE_CHECKING:
    from collections.abc import Callable

    from .forms import Form, Request

__all__ = ["HD_PATH", "MOST_BESIDE", "OFFERS", "Offer"]

HD_PATH: Final = "/image/effects/hd_colour_migration"
"""Where the RapidAPI form takes HD colour migration. The listing's own path is published nowhere:
this one is ours, in the manner of the others."""

MOST_BESIDE: Final = 2 << 20
"""Bytes of a form beside the pictures: fields, and the headers of the parts."""


@frozen(kw_only=True)
class Offer:
    """One operation.

    ``read`` makes a checked request of a form. ``answer`` is the field of ``data`` that holds the
    result. ``job_type`` is what the query by job id calls it; an operation that has one answers
    with a task, the others with the result.
    """

    name: str
    title: str
    path: str
    rapidapi_path: str | None = None
    read: Callable[[Form], Request]
    fields: tuple[forms.Field, ...]
    max_bytes: int
    answer: str
    job_type: str | None = None


OFFERS: Final = {
    offer.name: offer
    for offer in (
        Offer(
            name="hd-color-migration",
            title="HD colour migration",
            path=DIRECT_PATHS["hd-color-migration"],
            rapidapi_path=HD_PATH,
            read=forms.hd_color_migration,
            fields=(forms.IMAGE, *forms.COLOR_FIELDS, forms.DEGREE, forms.TASK_TYPE),
            max_bytes=2 * 3 * 2**20,
            answer="image_list",
            job_type=HDColorMigration.job_type,
        ),
        Offer(
            name="image-color-migration",
            title="Colour migration",
            path="/api/image/effects/image-color-migration",
            read=forms.color_migration,
            fields=(forms.IMAGE, *forms.COLOR_FIELDS),
            max_bytes=2 * 3 * 2**20,
            answer="image_list",
        ),
        Offer(
            name="image-erase",
            title="Image erasure",
            path=DIRECT_PATHS["image-erase"],
            read=forms.erasure,
            fields=(forms.IMAGE, forms.mask("user_mask")),
            max_bytes=2 * 3 * 2**20,
            answer="image_url",
        ),
        Offer(
            name="remove-objects",
            title="Remove objects",
            path="/api/image/editing/remove-objects",
            read=forms.remove_objects,
            fields=(forms.IMAGE, forms.mask("mask")),
            max_bytes=2 * 5 * 2**20,
            answer="image_url",
        ),
        Offer(
            name="micro-motion",
            title="Image micro motion",
            path=DIRECT_PATHS["micro-motion"],
            rapidapi_path=RAPIDAPI_PATHS["micro-motion"],
            read=forms.micro_motion,
            fields=(forms.IMAGE, forms.OPERATION),
            max_bytes=3 * 2**20,
            answer="url",
        ),
        Offer(
            name="cartoon-generator",
            title="AI cartoon generator",
            path=DIRECT_PATHS["cartoon-generator"],
            rapidapi_path=RAPIDAPI_PATHS["cartoon-generator"],
            read=forms.cartoon,
            fields=(forms.IMAGE, forms.INDEX, forms.TASK_TYPE),
            max_bytes=10 * 2**20,
            answer="result_url",
            job_type=CartoonGenerator.job_type,
        ),
    )
}
"""All of them, by name; ``max_bytes`` is what the pictures of a form may have together."""
