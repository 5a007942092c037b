"""Every message of a stream in order, for whoever compares it with the log."""

from collections.abc import AsyncGenerator

from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from integration.bus import Bus, Pull

BATCH = 1_000
TAKE_S = 5.0


async def messages_of(bus: Bus, stream: str, last: int) -> AsyncGenerator[tuple[int, bytes], None]:
    """Sequence and payload of each message up to a sequence.

    Ends early when the stream has no more; raises one of `integration.bus.AWAY`.
    """
    consumer = await bus.jetstream.add_consumer(
        stream,
        ConsumerConfig(
            deliver_policy=DeliverPolicy.ALL,
            ack_policy=AckPolicy.NONE,
            inactive_threshold=60.0,
            mem_storage=True,
            num_replicas=1,
        ),
    )
    pull = Pull(bus, stream, consumer.name, batch=BATCH)
    await pull.open()
    seen = 0
    try:
        while seen < last:
            taken = await pull.take(TAKE_S)
            if not taken:
                return
            for message in taken:
                seen = message.metadata.sequence.stream
                yield seen, message.data
    finally:
        await pull.close()
