/** A server-sent event. */
export interface ServerEvent {
  type: string;
  data: string;
}

/** No event of a tail is as long: what is, comes from something else. */
const LINE_CHARS_MAX = 64 << 20;

/** Takes a stream of server-sent events apart, however it is cut into chunks. */
export class EventParser {
  private rest = '';
  private type = '';
  private data: string[] = [];

  /** The events that this chunk completes. */
  push(chunk: string): ServerEvent[] {
    const lines = (this.rest + chunk).split('\n');
    this.rest = lines.pop() ?? '';
    if (this.rest.length > LINE_CHARS_MAX) throw new Error('a line of the stream has no end');
    const events: ServerEvent[] = [];
    for (const line of lines) {
      if (line === '') this.dispatch(events);
      else this.field(line);
    }
    return events;
  }

  private field(line: string): void {
    const colon = line.indexOf(':');
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (name === 'event') this.type = value;
    else if (name === 'data') this.data.push(value);
  }

  private dispatch(events: ServerEvent[]): void {
    if (this.data.length > 0) events.push({ type: this.type || 'message', data: this.data.join('\n') });
    this.type = '';
    this.data = [];
  }
}
