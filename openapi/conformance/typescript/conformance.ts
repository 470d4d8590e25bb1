// Holds @headwater/client against a running service: see ../README.md for what each check is.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { Headwater, HeadwaterError, type ReceivedRecord } from '@headwater/client';
import * as management from '@headwater/client/management';
import { createClient, createConfig } from '@headwater/client/management/client';
import * as streaming from '@headwater/client/streaming';

const { HEADWATER_URL: url = '', HEADWATER_KEY: apiKey = '' } = process.env;
const headwater = Headwater.fromEnvironment();
const { client } = headwater;
const runner = createInterface({ input: process.stdin });

async function produce(): Promise<void> {
  const created = await streaming.ensureTopic({ client, path: { topic: 'ts-values' }, body: { partitions: 1 } });
  assert.equal(created.data?.partitions, 1);

  const exact = '{"id":12345678901234567890123, "price":1.10}';
  await using producer = headwater.producer('ts-values');
  const receipts = await Promise.all([
    producer.send({ key: 'a', jsonText: exact, headers: { trace: ['1', '2'] } }),
    producer.send({ key: new Uint8Array([0xff, 0]), bytes: new Uint8Array([0, 0xfe]) }),
    producer.send({ key: 'c', text: 'wörds' }),
    producer.send({ key: 'a', tombstone: true }),
  ]);
  assert.deepEqual(receipts.map(({ offset }) => offset), [0, 1, 2, 3]);

  const read = await readAll('ts-values');
  assert.deepEqual(read.map(({ text }) => text)[0], exact);
  assert.deepEqual(read[0]?.headers['trace']?.map(String), ['1', '2']);
  assert.deepEqual([...(read[1]?.key ?? [])], [0xff, 0]);
  assert.deepEqual([...(read[1]?.value ?? [])], [0, 0xfe]);
  assert.equal(read[2]?.text, 'wörds');
  assert.equal(read[3]?.value, null);
}

async function repeat(): Promise<void> {
  const send = (body: string) =>
    streaming.produceRaw({
      client,
      path: { topic: 'ts-values' },
      query: { key: 'raw' },
      headers: { 'Idempotency-Key': 'ts-raw', 'Content-Type': 'text/plain' },
      body: body as unknown as Blob,
      bodySerializer: (text: unknown) => text as string,
    });
  const [first, again] = [await send('once'), await send('once')];
  assert.equal(first.data?.duplicate, false);
  assert.equal(again.data?.duplicate, true);
  assert.deepEqual(again.data?.results, first.data?.results);
  problem(await send('something else'), 422, 'idempotency_key_reused');
}

/** Kills the broker under a producer and a tail: each record arrives once, in order. */
async function kill(): Promise<void> {
  await streaming.ensureTopic({ client, path: { topic: 'ts-kill' }, body: { partitions: 3 } });
  const producer = headwater.producer('ts-kill', { maxBatchRecords: 50 });
  let sent = 0;
  const send = () => producer.send({ key: `k${sent % 7}`, json: sent++ });
  await send();
  const tailing = headwater.tail('ts-kill', { from: 'earliest' });
  const followed: ReceivedRecord[] = (await tailing.next()).value?.records ?? [];

  let restarted = false;
  const restart = once(runner, 'line').then(() => (restarted = true));
  console.log('kill the broker');
  for (let left = 500; left > 0; left -= restarted ? 1 : 0) {
    void send();
    if (sent % 50 === 0) await producer.flush();
  }
  await producer.close();
  await restart;

  inOrder(await readAll('ts-kill'), sent);
  while (followed.length < sent) followed.push(...((await tailing.next()).value?.records ?? []));
  inOrder(followed, sent);
  await tailing.return();
}

function inOrder(records: ReceivedRecord[], count: number): void {
  const numbers = records.map((record) => record.json<number>());
  assert.equal(numbers.length, count);
  assert.equal(new Set(numbers).size, count);
  for (let key = 0; key < 7; key += 1) {
    const ofKey = numbers.filter((number) => number % 7 === key);
    assert.deepEqual(ofKey, ofKey.toSorted((a, b) => a - b));
  }
}

/** Follows from the end: what is produced after it began, and nothing before. */
async function tail(): Promise<void> {
  const tailing = headwater.tail('ts-values');
  const next = tailing.next();
  const producer = headwater.producer('ts-values');
  let found: string | null | undefined;
  // The tail's end is fixed at its first step, which nothing tells of: produce until it is behind.
  next.then(({ value }) => (found = value?.records[0]?.text ?? null));
  for (let n = 0; found === undefined; n += 1) {
    await producer.send({ key: 'tail', text: `live ${n}` });
  }
  assert.match(found ?? '', /^live /);
  await producer.close();
  await tailing.return();
}

/** A member is taken over by another instance, which reads what was not committed, and commits it. */
async function groups(): Promise<void> {
  await streaming.ensureTopic({ client, path: { topic: 'ts-group' }, body: { partitions: 2 } });
  const producer = headwater.producer('ts-group');
  for (let n = 0; n < 200; n += 1) void producer.send({ key: `k${n % 7}`, json: n });
  await producer.close();

  const options = { topics: ['ts-group'], member: 'worker', maxRecords: 50 };
  const first = headwater.group('ts-group', options);
  while (((await first.next()).value?.records.length ?? 0) === 0);
  const done = new AbortController();
  const seen: ReceivedRecord[] = [];
  for await (const { records } of headwater.group('ts-group', { ...options, signal: done.signal })) {
    seen.push(...records);
    if (seen.length < 200) continue;
    await assert.rejects(first.next(), (error: HeadwaterError) => error.code === 'member_fenced');
    done.abort();
  }
  inOrder(seen, 200);
  const offsets = await streaming.listGroupOffsets({ client, path: { group: 'ts-group' } });
  assert.deepEqual(offsets.data?.positions.map(({ lag }) => lag), [0, 0]);
}

async function errors(): Promise<void> {
  const stranger = new Headwater({ baseUrl: url, apiKey: 'hw_no_such_key' });
  problem(await streaming.listTopics({ client: stranger.client }), 401, 'unauthenticated');
  problem(await streaming.getTopic({ client, path: { topic: 'ts-none' } }), 404, 'topic_not_found');
  const path = { topic: 'ts-values', partition: 0 };
  const beyond = problem(
    await streaming.fetchPartition({ client, path, query: { offset: 1_000_000 } }),
    416,
    'offset_out_of_range',
  );
  assert.equal(beyond.log_start, 0);
  assert.ok((beyond.high_watermark ?? 0) > 4);
  const many = problem(
    await streaming.fetchPartition({ client, path, query: { max_records: 0 } }),
    400,
    'invalid_request',
  );
  assert.equal(many.errors?.[0]?.pointer, 'max_records');
  const producer = headwater.producer('ts-none');
  await assert.rejects(producer.send({ text: 'lost' }), (error: HeadwaterError) => error.code === 'topic_not_found');
  await assert.rejects(producer.close(), HeadwaterError);
}

/** A key of its own, made over the management API, that may call once a second. */
async function limit(): Promise<void> {
  const { SIGN_IN_EMAIL: email = '', SIGN_IN_PASSWORD: password = '' } = process.env;
  const baseUrl = new URL('/v1', url).href;
  const anybody = createClient(createConfig({ baseUrl }));
  const session = await management.createSession({ client: anybody, body: { email, password } });
  const owner = createClient(createConfig({ baseUrl, auth: session.data?.access_token ?? '' }));
  const key = await management.putKey({
    client: owner,
    path: { project: 'demo', key: 'ts-slow' },
    body: { scopes: [{ operations: ['describe'], topic: '*' }], quotas: { requests_per_second: 1 } },
  });
  const slow = new Headwater({ baseUrl: url, apiKey: (key.data as management.KeyWithSecret).secret ?? '' });
  for (;;) {
    const answer = await streaming.listTopics({ client: slow.client });
    if (answer.data !== undefined) continue;
    const over = problem(answer, 429, 'quota_exceeded');
    assert.equal(over.retryable, true);
    assert.ok((over.retry_after_ms ?? 0) > 0);
    return;
  }
}

async function readAll(topic: string): Promise<ReceivedRecord[]> {
  const records: ReceivedRecord[] = [];
  for await (const page of headwater.consume(topic, { follow: false, maxRecords: 100 })) records.push(...page.records);
  return records;
}

function problem(
  answer: { data?: unknown; error?: unknown; response?: Response },
  status: number,
  code: string,
): streaming.Problem {
  assert.ok(answer.error, `expected ${code}`);
  const error = answer.error as streaming.Problem;
  assert.deepEqual([answer.response?.status, error.status, error.code], [status, status, code]);
  assert.equal(error.outcome, 'not_applied');
  return error;
}

for (const check of [produce, repeat, kill, tail, errors, limit, groups]) {
  await check();
  console.log(`ok ${check.name}`);
}
runner.close();
