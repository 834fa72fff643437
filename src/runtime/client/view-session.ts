import type { Result } from '../../model/result.ts';
import type { ControlClient } from '../control/client.ts';
import { openEditor, placeToEdit } from './editor.ts';
import type { LiveView } from './live-feed.ts';
import type { MeshLocation } from './locate.ts';
import type { UpView } from './up.ts';

/** What the keys of the terminal view can do. */
export interface ViewSession {
  quit: 'stop' | 'quit';
  /** Told of Ctrl-C and `q`, which a raw terminal makes keys. */
  onInterrupt(): void;
  operate(action: 'restart' | 'start' | 'stop', service: string): Promise<Result<void>>;
  edit(target: { service: string | null; place: string | null }): Promise<Result<void>>;
}

export type TerminalUpView = UpView &
  LiveView & {
    /** An editor has the terminal: its Ctrl-C is not for the mesh. */
    suspended(): boolean;
  };

export type OpenView = (session: ViewSession) => Promise<TerminalUpView>;

export function viewSession(
  client: ControlClient,
  location: MeshLocation,
  keys: Pick<ViewSession, 'quit' | 'onInterrupt'>,
): ViewSession {
  return {
    ...keys,
    operate: (action, service) => client[action](service),
    edit: (target) => openEditor(placeToEdit(location, target)),
  };
}
