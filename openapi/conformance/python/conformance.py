"""Holds the package ``headwater`` against a running service: see ../README.md for what each check is."""

import json
import os
import sys
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import urljoin

from headwater import Headwater, HeadwaterError, NewRecord, ReceivedRecord
from headwater.management.api.keys import put_key
from headwater.management.api.sessions import create_session
from headwater.management.client import AuthenticatedClient, Client
from headwater.management.models import Grant, KeyQuotas, KeySpec, KeyWithSecret, Scope, Session, SignIn
from headwater.streaming.api.groups import list_group_offsets
from headwater.streaming.api.records import fetch_partition, produce_records
from headwater.streaming.api.topics import ensure_topic, get_topic, list_topics
from headwater.streaming.models import GroupOffsets, Problem, ProduceRequest, ProduceResponse, RecordInput, TopicSpec
from headwater.streaming.types import Response

headwater = Headwater.from_environment()
client = headwater.client


def produce() -> None:
    ensure_topic.sync(topic="py-values", client=client, body=TopicSpec(partitions=1))
    exact = '{"id":12345678901234567890123, "price":1.10}'
    with headwater.producer("py-values") as producer:
        receipts = [
            producer.send(NewRecord(key="a", json_text=exact, headers={"trace": ["1", "2"]})),
            producer.send(NewRecord(key=b"\xff\x00", value=b"\x00\xfe")),
            producer.send(NewRecord(key="c", text="wörds")),
            producer.send(NewRecord(key="c", json=12345678901234567890123)),
            producer.send(NewRecord(key="a")),
        ]
    assert [receipt.result().offset for receipt in receipts] == [0, 1, 2, 3, 4]

    read = read_all("py-values")
    assert read[0].text == exact
    assert read[0].headers == {"trace": [b"1", b"2"]}
    assert (read[1].key, read[1].value) == (b"\xff\x00", b"\x00\xfe")
    assert read[2].text == "wörds"
    assert read[3].json() == 12345678901234567890123
    assert read[4].value is None


def repeat() -> None:
    def send(text: str) -> Response[Problem | ProduceResponse]:
        body = ProduceRequest(records=[RecordInput(key="raw", value_text=text)])
        return produce_records.sync_detailed(topic="py-values", client=client, body=body, idempotency_key="py-raw")

    first, again = send("once").parsed, send("once").parsed
    assert isinstance(first, ProduceResponse) and not first.duplicate
    assert isinstance(again, ProduceResponse) and again.duplicate
    assert again.results == first.results
    problem(send("something else"), 422, "idempotency_key_reused")


def kill() -> None:
    """Kills the broker under a producer and a tail: each record arrives once, in order."""
    ensure_topic.sync(topic="py-kill", client=client, body=TopicSpec(partitions=3))
    restarted = threading.Event()
    sent = 0
    with headwater.producer("py-kill", max_batch_records=50, max_buffered_bytes=4096) as producer:

        def send() -> None:
            nonlocal sent
            producer.send(NewRecord(key=f"k{sent % 7}", json=sent))
            sent += 1

        send()
        producer.flush()
        tailing = headwater.tail("py-kill", from_="earliest")
        followed = next(tailing).records
        runner = threading.Thread(target=wait_for_runner, args=[restarted])
        runner.start()
        print("kill the broker", flush=True)
        while not restarted.is_set():
            send()
        for _ in range(500):
            send()
    runner.join()

    in_order(read_all("py-kill"), sent)
    while len(followed) < sent:
        followed += next(tailing).records
    in_order(followed, sent)


def wait_for_runner(restarted: threading.Event) -> None:
    sys.stdin.readline()
    restarted.set()


def tail() -> None:
    """Follows from the end: what is produced after it began, and nothing before."""
    tailing = headwater.tail("py-values")
    with headwater.producer("py-values") as producer:
        producer.send(NewRecord(text="live"))
    assert [record.text for record in next(tailing).records] == ["live"]


def errors() -> None:
    with Headwater(os.environ["HEADWATER_URL"], "hw_no_such_key") as stranger:
        problem(list_topics.sync_detailed(client=stranger.client), 401, "unauthenticated")
    problem(get_topic.sync_detailed(topic="py-none", client=client), 404, "topic_not_found")
    beyond = fetch_partition.sync_detailed(topic="py-values", partition=0, client=client, offset=1_000_000)
    found = problem(beyond, 416, "offset_out_of_range")
    assert found.log_start == 0 and isinstance(found.high_watermark, int) and found.high_watermark > 4
    none = fetch_partition.sync_detailed(topic="py-values", partition=0, client=client, max_records=0)
    found = problem(none, 400, "invalid_request")
    assert isinstance(found.errors, list) and found.errors[0].pointer == "max_records"

    lost = headwater.producer("py-none").send(NewRecord(text="lost")).exception()
    assert isinstance(lost, HeadwaterError) and lost.code == "topic_not_found"


def limit() -> None:
    """A key of its own, made over the management API, that may call once a second."""
    base_url = urljoin(os.environ["HEADWATER_URL"], "/v1")
    sign_in = SignIn(email=os.environ["SIGN_IN_EMAIL"], password=os.environ["SIGN_IN_PASSWORD"])
    session = create_session.sync(client=Client(base_url=base_url), body=sign_in)
    assert isinstance(session, Session)
    owner = AuthenticatedClient(base_url=base_url, token=session.access_token)
    spec = KeySpec(
        scopes=[Scope(operations=[Grant.DESCRIBE], topic="*")], quotas=KeyQuotas(requests_per_second=1)
    )
    key = put_key.sync(project="demo", key="py-slow", client=owner, body=spec)
    assert isinstance(key, KeyWithSecret) and isinstance(key.secret, str)
    with Headwater(os.environ["HEADWATER_URL"], key.secret) as slow:
        while (answer := list_topics.sync_detailed(client=slow.client)).status_code == 200:
            pass
        found = problem(answer, 429, "quota_exceeded")
    assert found.retryable and isinstance(found.retry_after_ms, int) and found.retry_after_ms > 0


def groups() -> None:
    """A member is taken over by another instance, which reads what was not committed, and commits it."""
    ensure_topic.sync(topic="py-group", client=client, body=TopicSpec(partitions=2))
    with headwater.producer("py-group") as producer:
        for n in range(200):
            producer.send(NewRecord(key=f"k{n % 7}", json=n))

    stop = threading.Event()
    first = headwater.group("py-group", topics=["py-group"], member="worker", max_records=50)
    while not next(first).records:
        pass
    seen: list[ReceivedRecord] = []
    for page in headwater.group("py-group", member="worker", max_records=50, stop=stop):
        seen += [record for _, record in page.records]
        if len(seen) == 200:
            try:
                next(first)
            except HeadwaterError as error:
                assert error.code == "member_fenced"
            else:
                raise AssertionError("the first instance is not fenced")
            stop.set()
    in_order(seen, 200)
    offsets = list_group_offsets.sync(group="py-group", client=client)
    assert isinstance(offsets, GroupOffsets)
    assert [position.lag for position in offsets.positions] == [0, 0]


def read_all(topic: str) -> list[ReceivedRecord]:
    return [record for page in headwater.consume(topic, follow=False, max_records=100) for record in page.records]


def in_order(records: list[ReceivedRecord], count: int) -> None:
    numbers = [json.loads(record.value or b"") for record in records]
    assert sorted(numbers) == list(range(count))
    for key in range(7):
        of_key = [number for number in numbers if number % 7 == key]
        assert of_key == sorted(of_key)


def problem(answer: Response[Any], status: int, code: str) -> Problem:
    found = answer.parsed
    assert isinstance(found, Problem), f"expected {code}, got {answer.content!r}"
    assert (answer.status_code, found.status, found.code) == (status, status, code)
    assert found.outcome == "not_applied"
    return found


checks: list[Callable[[], None]] = [produce, repeat, kill, tail, errors, limit, groups]
for check in checks:
    check()
    print("ok", check.__name__, flush=True)
