/** One thing that can be wrong on a machine. */
export interface Check {
  /** Stable, for scripts. */
  name: string;
  /** Warnings do not make the machine unfit. */
  outcome: 'ok' | 'warning' | 'failed' | 'skipped';
  /** What was found. */
  detail: string;
  /** What to do about it. */
  fix?: string;
}

export const passed = (name: string, detail: string): Check => ({ name, outcome: 'ok', detail });
export const skipped = (name: string, detail: string): Check => ({ name, outcome: 'skipped', detail });
export const warning = (name: string, detail: string, fix: string): Check => ({
  name,
  outcome: 'warning',
  detail,
  fix,
});
export const failed = (name: string, detail: string, fix: string): Check => ({ name, outcome: 'failed', detail, fix });
