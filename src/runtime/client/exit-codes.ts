/** What `mesh` exits with. */
export const exitCodes = {
  done: 0,
  failed: 1,
  /** Bad usage or a bad configuration. */
  usage: 2,
  /** No mesh is running here. */
  notRunning: 3,
  timedOut: 4,
} as const;

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];
