/** Keeps the newest items, bounded in number and in weight; the oldest go first. */
export class Ring<T> {
  private items: { item: T; weight: number }[] = [];
  private first = 0;
  private weight = 0;

  constructor(
    private readonly countMax: number,
    private readonly weightMax: number,
    private readonly weigh: (item: T) => number,
  ) {}

  get length(): number {
    return this.items.length - this.first;
  }

  push(item: T) {
    const weight = this.weigh(item);
    this.items.push({ item, weight });
    this.weight += weight;
    while (this.length > this.countMax || (this.weight > this.weightMax && this.length > 1)) {
      this.weight -= this.items[this.first]!.weight;
      this.first += 1;
    }
    // What was let go is cut off in large pieces, so that a push stays cheap.
    if (this.first > this.countMax) {
      this.items = this.items.slice(this.first);
      this.first = 0;
    }
  }

  /** A copy, newest first. */
  newestFirst(): T[] {
    const copy: T[] = [];
    for (let at = this.items.length - 1; at >= this.first; at -= 1) copy.push(this.items[at]!.item);
    return copy;
  }

  clear() {
    this.items = [];
    this.first = 0;
    this.weight = 0;
  }
}
