/**
 * Methods that every Buffer of Node has had since version 0.x and that @types/node leaves out. They skip the
 * argument checks of `toString`/`write`, which is a third of the time of a short read on the hot path.
 */
interface Buffer {
  latin1Slice(start?: number, end?: number): string;
  latin1Write(text: string, offset?: number, length?: number): number;
  utf8Slice(start?: number, end?: number): string;
  utf8Write(text: string, offset?: number, length?: number): number;
}
