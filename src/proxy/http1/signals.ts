/** What `onRequest` and `onResponse` return: go on with the body, or leave the bytes behind the head to the caller. */
export const CONTINUE = 0;
export const STOP = 1;
export type AfterHead = typeof CONTINUE | typeof STOP;
