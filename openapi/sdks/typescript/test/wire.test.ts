import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EventParser } from '../src/events.js';
import { HeadwaterError, shouldRetry, toError } from '../src/problem.js';
import { encodeRecord, ReceivedRecord } from '../src/record.js';
import { waitMs } from '../src/retry.js';

test('a record is written with its value as it was given', () => {
  const exact = '{"n":123456789012345678901, "p":1.10}';
  assert.equal(encodeRecord({ key: 'k', jsonText: exact }), `{"key":"k","value":${exact}}`);
  assert.equal(encodeRecord({ text: 'a"b' }), '{"value_text":"a\\"b"}');
  assert.equal(encodeRecord({ tombstone: true, key: new Uint8Array([255]) }), '{"key_base64":"/w==","value":null}');
  // A view into a larger buffer is only what it shows.
  const view = new Uint8Array([1, 2, 3]).subarray(1, 2);
  assert.equal(encodeRecord({ bytes: view, partition: 0 }), '{"value_base64":"Ag==","partition":0}');
});

test('a record is read as bytes', () => {
  const record = new ReceivedRecord({
    key_base64: null,
    value_base64: Buffer.from('{"n":123456789012345678901}').toString('base64'),
    headers_base64: { one: 'YQ==', two: ['YQ==', 'Yg=='] },
    timestamp: 1,
    partition: 2,
    offset: 3,
  });
  assert.equal(record.key, null);
  assert.equal(record.text, '{"n":123456789012345678901}');
  assert.deepEqual(record.headers['two']?.map(String), ['a', 'b']);
  assert.deepEqual(record.headers['one']?.map(String), ['a']);
});

test('events are the same however the stream is cut', () => {
  const stream = 'event: records\nid: c1\ndata: {"a":1}\n\n: a comment\n\nevent: heartbeat\ndata: {}\n\ndata: half';
  const expected = [
    { type: 'records', data: '{"a":1}' },
    { type: 'heartbeat', data: '{}' },
  ];
  for (let size = 1; size <= stream.length; size += 1) {
    const parser = new EventParser();
    const events = [];
    for (let at = 0; at < stream.length; at += size) events.push(...parser.push(stream.slice(at, at + size)));
    assert.deepEqual(events, expected);
  }
});

test('waits grow to a ceiling, and are never shorter than the service asks', () => {
  const options = { firstWaitMs: 100, longestWaitMs: 1_000 };
  assert.deepEqual([1, 2, 3, 4, 5, 99].map((n) => waitMs(n, 0, options, () => 1)), [100, 200, 400, 800, 1000, 1000]);
  assert.equal(waitMs(1, 0, options, () => 0), 0);
  assert.equal(waitMs(1, 800, options, () => 0), 800);
});

test('what is no problem is an answer that nobody has', () => {
  const error = toError(new TypeError('fetch failed'));
  assert.deepEqual([error.code, error.outcome, error.retryable], ['no_answer', 'unknown', true]);
  assert.equal(shouldRetry(error, true), true);
  assert.equal(shouldRetry(error, false), false);
  assert.ok(toError('<html>') instanceof HeadwaterError);
});
