import json
import threading
import unittest
from collections.abc import Callable
from typing import Any

from headwater import HeadwaterError, NewRecord, Producer, Retry
from headwater._errors import of_problem

Answer = dict[str, Any]
QUICK = Retry(first_wait_s=0.001, longest_wait_s=0.001)


def success(values: list[int]) -> Answer:
    return {
        "results": [{"partition": 0, "offset": value, "timestamp": 1} for value in values],
        "duplicate": False,
    }


def problem(code: str, *, retryable: bool, outcome: str) -> Answer:
    return {
        "type": "", "title": "", "status": 503, "code": code, "detail": "", "retryable": retryable,
        "outcome": outcome, "request_id": "",
    }  # fmt: skip


class Service:
    """Answers by these steps, and with success after them."""

    def __init__(self, *steps: Callable[[list[int]], Answer]) -> None:
        self.steps = list(steps)
        self.bodies: list[tuple[str, bytes]] = []
        self.batches: list[list[int]] = []

    def __call__(self, body: bytes, key: str) -> Answer:
        values = [record["value"] for record in json.loads(body)["records"]]
        self.bodies.append((key, body))
        self.batches.append(values)
        return (self.steps.pop(0) if self.steps else success)(values)


def fails(*, retryable: bool, outcome: str) -> Callable[[list[int]], Answer]:
    def step(_: list[int]) -> Answer:
        raise of_problem(problem("x", retryable=retryable, outcome=outcome))

    return step


def lost(_: list[int]) -> Answer:
    raise HeadwaterError("no answer: connection reset")


class ProducerTest(unittest.TestCase):
    def test_batches_keep_to_their_bounds(self) -> None:
        for bounds, expected in [
            ({"max_batch_records": 4}, [[0, 1, 2, 3], [4, 5]]),
            ({"max_batch_bytes": 30}, [[0, 1], [2, 3], [4, 5]]),
        ]:
            service = Service()
            # It lingers for longer than a test lasts: batches do not depend on time.
            producer = Producer(service, linger_s=3600, **bounds)
            futures = self.send_together(producer, range(6))
            producer.close()
            self.assertEqual([future.result().offset for future in futures], [0, 1, 2, 3, 4, 5])
            self.assertEqual(service.batches, expected)

    def send_together(self, producer: Producer, values: Any) -> list[Any]:
        return [producer.send(NewRecord(json=value)) for value in values]

    def test_a_batch_is_repeated_byte_for_byte_under_its_key(self) -> None:
        again = [fails(retryable=True, outcome="unknown"), fails(retryable=True, outcome="not_applied")]
        service = Service(lost, *again)
        with Producer(service, retry=QUICK) as producer:
            self.assertEqual(producer.send(NewRecord(json=1)).result().offset, 1)
        self.assertEqual(len(service.bodies), 4)
        self.assertEqual(len(set(service.bodies)), 1)

    def test_what_may_not_be_repeated_is_not(self) -> None:
        for retryable, outcome in [(False, "not_applied"), (False, "unknown"), (True, "applied")]:
            service = Service(fails(retryable=retryable, outcome=outcome))
            producer = Producer(service, retry=QUICK)
            self.assertIsInstance(producer.send(NewRecord(json=1)).exception(), HeadwaterError)
            with self.assertRaises(HeadwaterError):
                producer.flush()
            producer.close()
            self.assertEqual(len(service.bodies), 1)

    def test_slots_that_have_their_place_are_settled_at_once(self) -> None:
        def some(values: list[int]) -> Answer:
            unavailable = problem("unavailable", retryable=True, outcome="not_applied")
            answer = success(values)
            answer["results"] = [
                {"partition": 0, "offset": 7, "timestamp": 1},
                {"partition": 1, "error": unavailable},
                {"partition": 2, "error": {**unavailable, "retryable": False}},
            ]
            return answer

        service = Service(some)
        producer = Producer(service, linger_s=3600, max_batch_records=3, retry=QUICK)
        placed, later, never = self.send_together(producer, [1, 2, 3])
        self.assertEqual(placed.result().offset, 7)
        self.assertEqual(later.result().offset, 2)
        self.assertIsInstance(never.exception(), HeadwaterError)
        with self.assertRaises(HeadwaterError):
            producer.close()
        self.assertEqual(service.batches, [[1, 2, 3], [1, 2, 3]])

    def test_no_try_begins_after_the_deadline(self) -> None:
        service = Service(lost)
        producer = Producer(service, retry=Retry(deadline_s=-1))
        self.assertIsInstance(producer.send(NewRecord(json=1)).exception(), HeadwaterError)
        with self.assertRaises(HeadwaterError):
            producer.close()
        self.assertEqual(len(service.bodies), 1)

    def test_a_full_buffer_blocks(self) -> None:
        answer = threading.Event()

        def held(values: list[int]) -> Answer:
            answer.wait()
            return success(values)

        producer = Producer(Service(held), max_buffered_bytes=1)
        first = producer.send(NewRecord(json=1))
        with self.assertRaises(TimeoutError):
            producer.send(NewRecord(json=2), timeout_s=0)
        answer.set()
        self.assertEqual(producer.send(NewRecord(json=3)).result().offset, 3)
        self.assertEqual(first.result().offset, 1)
        producer.close()
        with self.assertRaises(ValueError):
            producer.send(NewRecord(json=4))


if __name__ == "__main__":
    unittest.main()
