import unittest
from decimal import Decimal
from unittest.mock import patch

from headwater import HeadwaterError, NewRecord, ReceivedRecord, Retry
from headwater._events import Event, parse_events

BIG = 123456789012345678901


class WireTest(unittest.TestCase):
    def test_a_record_is_written_with_its_value_as_it_was_given(self) -> None:
        exact = '{"n":123456789012345678901, "p":1.10}'
        for record, encoded in [
            (NewRecord(key="k", json_text=exact), '{"value":%s,"key":"k"}' % exact),
            (NewRecord(json=BIG), '{"value":123456789012345678901}'),
            (NewRecord(json=None, partition=0), '{"value":null,"partition":0}'),
            (NewRecord(text='a"b'), '{"value_text":"a\\"b"}'),
            (NewRecord(key=b"\xff"), '{"value":null,"key_base64":"/w=="}'),
        ]:
            self.assertEqual(record.encoded.decode(), encoded)
        with self.assertRaises(ValueError):
            NewRecord(text="a", value=b"b")
        with self.assertRaises(ValueError):
            NewRecord(json=float("nan"))

    def test_a_record_is_read_as_bytes(self) -> None:
        record = ReceivedRecord.of({
            "key_base64": None,
            "value_base64": "eyJuIjoxMjM0NTY3ODkwMTIzNDU2Nzg5MDEsInAiOjEuMTB9",
            "headers_base64": {"one": "YQ==", "two": ["YQ==", "Yg=="]},
            "timestamp": 1,
            "partition": 2,
            "offset": 3,
        })
        self.assertIsNone(record.key)
        self.assertEqual(record.json(parse_float=Decimal), {"n": BIG, "p": Decimal("1.10")})
        self.assertEqual(record.headers, {"one": [b"a"], "two": [b"a", b"b"]})

    def test_events_are_the_same_however_the_stream_is_cut(self) -> None:
        stream = 'event: records\nid: ü\ndata: {"a":1}\n\n: a comment\n\nevent: heartbeat\ndata: {}\n\ndata: half'.encode()
        expected = [Event("records", '{"a":1}'), Event("heartbeat", "{}")]
        for size in range(1, len(stream)):
            chunks = [stream[at : at + size] for at in range(0, len(stream), size)]
            self.assertEqual(list(parse_events(chunks)), expected)

    def test_waits_grow_to_a_ceiling_and_are_never_shorter_than_asked(self) -> None:
        retry = Retry(first_wait_s=0.1, longest_wait_s=1.0)
        with patch("random.random", return_value=1.0):
            self.assertEqual([retry.wait_s(n) for n in [1, 2, 3, 4, 5, 99]], [0.1, 0.2, 0.4, 0.8, 1.0, 1.0])
        with patch("random.random", return_value=0.0):
            self.assertEqual(retry.wait_s(1, 0.8), 0.8)

    def test_without_an_answer_only_what_is_repeatable_is_tried_again(self) -> None:
        error = HeadwaterError("no answer")
        self.assertEqual((error.code, error.outcome), ("no_answer", "unknown"))
        self.assertTrue(error.should_retry(repeatable=True))
        self.assertFalse(error.should_retry(repeatable=False))


if __name__ == "__main__":
    unittest.main()
