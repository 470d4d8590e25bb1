import { toError } from './problem.js';
import { ReceivedRecord } from './record.js';
import { answered, withRetries, within, type RetryOptions } from './retry.js';
import {
  ensureGroup,
  joinGroup,
  leaveGroup,
  pollGroup,
  type GroupRecordOutput,
  type GroupSpec,
  type PollResponse,
  type TopicPartition,
} from './streaming/index.js';
import type { Client } from './streaming/client/index.js';

/** How to be a member of a group. */
export interface GroupOptions extends RetryOptions {
  /** Makes sure, first, that the group is there and reads these topics. */
  topics?: string[];
  /** Where a group begins that is made: `earliest` (the default) or `latest`. */
  start?: GroupSpec['start'];
  /** The member's name. One that comes back under its name has its partitions at once; random by default. */
  member?: string;
  /** How long the member may be silent, in milliseconds: a page must be done with in less. */
  leaseMs?: number;
  /** Records of a page at most; 500 by default. */
  maxRecords?: number;
  /** How long one poll waits for records, in milliseconds; 5 000 by default. */
  waitMs?: number;
  /** Ends the loop at the next page: what is done is committed, and the member leaves. */
  signal?: AbortSignal;
}

/** A record with its topic: a group may read several. */
export class GroupRecord extends ReceivedRecord {
  readonly topic: string;

  constructor(wire: GroupRecordOutput) {
    super(wire);
    this.topic = wire.topic;
  }
}

/** What a member is given to do. */
export interface GroupPage {
  records: GroupRecord[];
  /** What the member owns since, and did not before. */
  assigned: TopicPartition[];
  /** What it owned before, and does not now. */
  revoked: TopicPartition[];
}

/**
 * Reads as a member of a group. Asking for the next page commits the one before; a page that a loop is
 * left in, or that outlives the lease, comes again, to this member or to another.
 */
export async function* group(
  client: Client,
  name: string,
  options: GroupOptions = {},
): AsyncGenerator<GroupPage, void, undefined> {
  const member = new Member(client, name, options);
  await member.begin();
  let commit: string | undefined;
  try {
    for (;;) {
      const stopping = options.signal?.aborted === true;
      if (stopping && commit === undefined) return;
      let page: PollResponse;
      try {
        page = await member.poll(commit, stopping);
      } catch (thrown) {
        const error = toError(thrown);
        if (error.code !== 'member_expired') throw error;
        // Others may have the partitions now: what was not committed comes again.
        commit = undefined;
        await member.join();
        continue;
      }
      if (stopping) return;
      commit = page.cursor;
      const { assigned, revoked } = page;
      if (page.records.length + assigned.length + revoked.length > 0) {
        yield { records: page.records.map((record) => new GroupRecord(record)), assigned, revoked };
      }
    }
  } finally {
    await member.leave();
  }
}

class Member {
  private readonly path: { group: string; member: string };
  private readonly instance = crypto.randomUUID();
  private epoch = 0;

  constructor(
    private readonly client: Client,
    group: string,
    private readonly options: GroupOptions,
  ) {
    this.path = { group, member: options.member ?? crypto.randomUUID() };
  }

  async begin(): Promise<void> {
    const { topics, start } = this.options;
    if (topics !== undefined) {
      const body: GroupSpec = start === undefined ? { topics } : { topics, start };
      await this.call((signal) => answered(ensureGroup({ client: this.client, path: this.path, body, signal })));
    }
    await this.join();
  }

  async join(): Promise<void> {
    const { leaseMs } = this.options;
    const body = leaseMs === undefined ? { instance: this.instance } : { instance: this.instance, lease_ms: leaseMs };
    const joined = await this.call((signal) =>
      answered(joinGroup({ client: this.client, path: this.path, body, signal })),
    );
    this.epoch = joined.epoch;
  }

  /** Commits, and reads on; the last time only commits. */
  async poll(commit: string | undefined, last: boolean): Promise<PollResponse> {
    const { maxRecords = 500, waitMs = 5_000 } = this.options;
    const body = {
      epoch: this.epoch,
      ...(commit === undefined ? {} : { commit }),
      max_records: last ? 1 : maxRecords,
      wait_ms: last ? 0 : waitMs,
      encoding: 'base64' as const,
    };
    const page = await this.call(
      (signal) => answered(pollGroup({ client: this.client, path: this.path, body, signal })),
      waitMs,
    );
    this.epoch = page.epoch;
    return page;
  }

  /** Gives the partitions back at once. A courtesy: the lease ends by itself when this fails. */
  async leave(): Promise<void> {
    await leaveGroup({
      client: this.client,
      path: this.path,
      query: { epoch: this.epoch },
      signal: within(5_000),
    });
  }

  /** Every call of a member may be repeated. */
  private call<T>(call: (signal: AbortSignal) => Promise<T>, waitMs = 0): Promise<T> {
    return withRetries(() => call(within(waitMs + 30_000)), true, this.options);
  }
}
