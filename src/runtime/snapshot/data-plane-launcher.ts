import { openSync } from 'node:fs';
import type { Ledger } from '../state/ledger.ts';
import { PROCESS_MARKER } from '../state/process-table.ts';
import { type DataPlaneEvents, DataPlaneProcess } from './data-plane-process.ts';

/** How data planes are called in the ledger. */
export const DATA_PLANE = 'data plane';

/** Starts data planes, entering each in the ledger before it exists. */
export class DataPlaneLauncher {
  private readonly markers = new Map<number, string>();
  private readonly running = new Set<number>();
  private readonly spawnListeners = new Set<(pid: number) => void>();
  private stderr: number | 'ignore' = 'ignore';

  constructor(
    private readonly entry: string,
    private readonly logFile: string,
    private readonly ledger: Ledger,
  ) {}

  /** Of those that were spawned and are not gone, ready or not. */
  pids(): readonly number[] {
    return [...this.running];
  }

  /** Called with each pid as soon as there is one, before the process has run. */
  onSpawn(listener: (pid: number) => void): void {
    this.spawnListeners.add(listener);
  }

  spawn(events: DataPlaneEvents): DataPlaneProcess {
    if (this.stderr === 'ignore') this.stderr = openSync(this.logFile, 'a', 0o600);
    const marker = this.ledger.intend({ instance: DATA_PLANE, command: this.entry, ports: [] });
    const environment = marker.ok ? { ...process.env, [PROCESS_MARKER]: marker.value } : process.env;
    const dataPlane = new DataPlaneProcess(this.entry, environment, this.stderr, events);
    if (marker.ok && dataPlane.pid > 0) {
      this.markers.set(dataPlane.pid, marker.value);
      this.ledger.started(marker.value, dataPlane.pid);
    }
    if (dataPlane.pid > 0) {
      this.running.add(dataPlane.pid);
      for (const listener of this.spawnListeners) listener(dataPlane.pid);
    }
    return dataPlane;
  }

  gone(pid: number): void {
    this.running.delete(pid);
    const marker = this.markers.get(pid);
    if (marker === undefined) return;
    this.markers.delete(pid);
    this.ledger.ended(marker);
  }
}
