export { Headwater, type Connection } from './headwater.js';
export { GroupRecord, type GroupOptions, type GroupPage } from './group.js';
export { HeadwaterError } from './problem.js';
export { Producer, type ProducerOptions, type Receipt } from './producer.js';
export { ReceivedRecord, type NewRecord, type Value } from './record.js';
export type { RetryOptions } from './retry.js';
export type { ConsumeOptions, Page, Start } from './consume.js';
export type { Batch, TailOptions } from './tail.js';
