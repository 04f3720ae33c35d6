"""What users' type checkers see: never run, checked by ``nox -s types``."""

from __future__ import annotations

from typing import assert_type

from ailab_async import (
    AsyncClient,
    Auto,
    CartoonGenerator,
    CartoonResult,
    ColorMigrationResult,
    Endpoint,
    EndpointResult,
    ErasureResult,
    HDColorMigration,
    ImageErasure,
    MicroMotion,
    Motion,
    MotionResult,
    Task,
)


async def results_are_typed(client: AsyncClient) -> None:
    """Each operation knows its result, through `submit`, `run`, `attach` and waiting."""
    migration = HDColorMigration("a.jpg", Auto(color_count=2))
    assert_type(await client.run(migration), ColorMigrationResult)
    task = await client.submit(migration)
    assert_type(task, Task[ColorMigrationResult])
    assert_type(await task, ColorMigrationResult)
    assert_type(await task.wait(timeout=1), ColorMigrationResult)
    assert_type(await client.run(ImageErasure("a.jpg", "m.png")), ErasureResult)
    assert_type(await client.run(MicroMotion("a.jpg", Motion.SKY | Motion.HAIR)), MotionResult)
    assert_type(await client.run(CartoonGenerator("a.jpg", 3)), CartoonResult)
    assert_type(await client.run(Endpoint("remove-objects", image="a.jpg")), EndpointResult)
    attached = await client.attach("id", operation=HDColorMigration)
    assert_type(attached, Task[ColorMigrationResult])
