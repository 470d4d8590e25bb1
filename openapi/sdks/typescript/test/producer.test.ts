import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HeadwaterError } from '../src/problem.js';
import { Producer, type ProducerOptions } from '../src/producer.js';
import type { Problem, ProduceResponse } from '../src/streaming/index.js';

interface Sent {
  key: string;
  values: number[];
  body: string;
}

/** A producer whose service answers by these steps, and with success after them. */
function producer(steps: ((values: number[]) => ProduceResponse | Error)[], options: ProducerOptions = {}) {
  const sent: Sent[] = [];
  const subject = new Producer(
    async (body, key) => {
      const values = (JSON.parse(body).records as { value: number }[]).map(({ value }) => value);
      sent.push({ key, values, body });
      const answer = (steps.shift() ?? success)(values);
      if (answer instanceof Error) throw answer;
      return answer;
    },
    { firstWaitMs: 1, longestWaitMs: 1, ...options },
  );
  return { subject, sent };
}

const success = (values: number[]): ProduceResponse => ({
  results: values.map((offset) => ({ partition: 0, offset, timestamp: 1 })),
  durability: 'quorum_fsync',
  duplicate: false,
});

function refused(code: string, retryable: boolean, outcome: Problem['outcome']): Problem {
  return { type: '', title: '', status: 503, code, detail: '', retryable, outcome, request_id: '' };
}

const fails = (retryable: boolean, outcome: Problem['outcome']) => () =>
  new HeadwaterError('x', refused('x', retryable, outcome));

test('records that are sent in one go make up one batch, and batches keep to their bounds', async () => {
  const { subject, sent } = producer([], { maxBatchRecords: 4 });
  const receipts = [0, 1, 2, 3, 4, 5].map((json) => subject.send({ json }));
  assert.deepEqual((await Promise.all(receipts)).map(({ offset }) => offset), [0, 1, 2, 3, 4, 5]);
  assert.deepEqual(sent.map(({ values }) => values), [[0, 1, 2, 3], [4, 5]]);
  assert.notEqual(sent[0]?.key, sent[1]?.key);
});

test('bytes bound a batch, and a record beyond them goes alone', async () => {
  const { subject, sent } = producer([], { maxBatchBytes: 30 });
  for (const json of [1, 2, 3]) void subject.send({ json });
  void subject.send({ json: 4, headers: { long: 'x'.repeat(100) } });
  await subject.close();
  assert.deepEqual(sent.map(({ values }) => values), [[1, 2], [3], [4]]);
});

test('a batch whose answer was lost is repeated byte for byte under its key', async () => {
  const lost = () => new Error('connection reset');
  const { subject, sent } = producer([lost, fails(true, 'unknown'), fails(true, 'not_applied')]);
  await subject.send({ json: 1 });
  assert.equal(sent.length, 4);
  assert.equal(new Set(sent.map(({ key, body }) => key + body)).size, 1);
});

for (const [retryable, outcome] of [[false, 'not_applied'], [false, 'unknown'], [true, 'applied']] as const) {
  test(`retryable ${retryable} and outcome ${outcome} is not repeated`, async () => {
    const { subject, sent } = producer([fails(retryable, outcome)]);
    await assert.rejects(subject.send({ json: 1 }), HeadwaterError);
    assert.equal(sent.length, 1);
    await assert.rejects(subject.flush(), HeadwaterError);
    await subject.close();
  });
}

test('of a batch that some partitions refused, what has its place is told at once', async () => {
  const some = (values: number[]): ProduceResponse => ({
    ...success(values),
    results: [
      { partition: 0, offset: 7, timestamp: 1 },
      { partition: 1, error: refused('unavailable', true, 'not_applied') },
      { partition: 2, error: refused('record_too_large', false, 'not_applied') },
    ],
  });
  const { subject, sent } = producer([some]);
  const [placed, later, never] = [1, 2, 3].map((json) => subject.send({ json }));
  assert.equal((await placed)?.offset, 7);
  await assert.rejects(never ?? Promise.resolve(), { code: 'record_too_large' });
  assert.equal((await later)?.offset, 2);
  assert.deepEqual(sent.map(({ values }) => values), [[1, 2, 3], [1, 2, 3]]);
});

test('no try begins after the deadline', async () => {
  const { subject, sent } = producer([fails(true, 'not_applied')], { deadlineMs: -1 });
  await assert.rejects(subject.send({ json: 1 }), HeadwaterError);
  assert.equal(sent.length, 1);
});

test('a full buffer refuses, and is ready when a batch is done', async () => {
  const { subject } = producer([], { maxBufferedBytes: 1 });
  const first = subject.send({ json: 1 });
  await assert.rejects(subject.send({ json: 2 }), /buffer is full/);
  await subject.ready;
  await first;
  await subject.send({ json: 3 });
  await subject.close();
  await assert.rejects(subject.send({ json: 4 }), /closed/);
});

test('a value that cannot be written is refused by itself', async () => {
  const { subject } = producer([]);
  await assert.rejects(subject.send({ json: () => 1 }), TypeError);
  await subject.send({ json: 1 });
});
