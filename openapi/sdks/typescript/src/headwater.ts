import { consume, type ConsumeOptions, type Page } from './consume.js';
import { group, type GroupOptions, type GroupPage } from './group.js';
import { Producer, sendTo, type ProducerOptions } from './producer.js';
import { createClient, createConfig, type Client } from './streaming/client/index.js';
import { tail, type Batch, type TailOptions } from './tail.js';

/** Where the project is, and what it is called with. */
export interface Connection {
  /** The project's base URL: `https://host/v1/projects/NAME`. */
  baseUrl: string;
  /** An API key or an access token. */
  apiKey: string;
}

/** A project of a Headwater service. */
export class Headwater {
  /** The generated client: pass it as `client` to any call of `@headwater/client/streaming`. */
  readonly client: Client;

  constructor({ baseUrl, apiKey }: Connection) {
    this.client = createClient(createConfig({ baseUrl: baseUrl.replace(/\/+$/, ''), auth: apiKey }));
  }

  /** The project that `HEADWATER_URL` and `HEADWATER_KEY` name, as for the command line. */
  static fromEnvironment(environment: Record<string, string | undefined> = process.env): Headwater {
    const { HEADWATER_URL: baseUrl, HEADWATER_KEY: apiKey } = environment;
    if (!baseUrl || !apiKey) throw new Error('set HEADWATER_URL and HEADWATER_KEY');
    return new Headwater({ baseUrl, apiKey });
  }

  /** A producer of one topic. Close it. */
  producer(topic: string, options: ProducerOptions = {}): Producer {
    return new Producer(sendTo(this.client, topic, options.requestTimeoutMs), options);
  }

  /** Reads a topic page by page, by default from its oldest record and on at its end. */
  consume(topic: string, options?: ConsumeOptions): AsyncGenerator<Page, void, undefined> {
    return consume(this.client, topic, options);
  }

  /** Reads as a member of a group, which shares its topics' records out. */
  group(name: string, options?: GroupOptions): AsyncGenerator<GroupPage, void, undefined> {
    return group(this.client, name, options);
  }

  /** Follows a topic over one connection, by default from its end. */
  tail(topic: string, options?: TailOptions): AsyncGenerator<Batch, void, undefined> {
    return tail(this.client, topic, options);
  }
}
