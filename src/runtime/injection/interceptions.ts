import { createAttach } from './attach/attach.ts';
import type { Interception } from './interception.ts';
import { TransparentInterception } from './transparent/transparent.ts';

/** What interceptions are given to keep their accounts in. */
export interface InterceptionContext {
  /** `.mesh`. */
  readonly stateDir: string;
  /** The processes that the proxies run in. */
  readonly dataPlanes: {
    pids(): readonly number[];
    onSpawn(listener: (pid: number) => void): void;
  };
  /** Tells whoever is attached to the mesh. */
  readonly notice: (level: 'info' | 'warning' | 'error', service: string, text: string) => void;
}

/** Every way to lead a live process's traffic through its proxy, in the order in which they are applied. */
export function createInterceptions(context: InterceptionContext): readonly Interception[] {
  return [new TransparentInterception(context), createAttach(context.stateDir)];
}

/** Undoes what a daemon that died did to processes and to the system: its mesh goes down without another one. */
export async function recoverInterceptions(stateDir: string): Promise<void> {
  const dataPlanes = { pids: () => [], onSpawn: () => {} };
  for (const interception of createInterceptions({ stateDir, dataPlanes, notice: () => {} }))
    await interception.recover();
}
