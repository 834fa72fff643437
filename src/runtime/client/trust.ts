import { ok, type Result } from '../../model/result.ts';
import { currentEnvironment } from '../identity/data-directory.ts';
import { openRoot, userRootOptions } from '../identity/root.ts';
import { isTrustedBySystem, type SystemTrust } from '../identity/system-trust.ts';
import { installTrust, type TrustStoreReport, uninstallTrust } from '../identity/trust-store.ts';
import { CommandFailure } from './failure.ts';
import { isInteractive } from './style.ts';

export interface TrustReport {
  root: string;
  stores: readonly TrustStoreReport[];
  /** By a handshake, not by looking into the stores. */
  handshake: SystemTrust;
  lines: string[];
}

const STATES: Record<TrustStoreReport['state'], string> = {
  installed: 'now trusts the root',
  already: 'trusted the root before',
  removed: 'no longer trusts the root',
  absent: 'did not have it',
  'needs-root': 'needs root',
  'missing-tool': 'needs a program',
  failed: 'failed',
};

/** Puts the root into the trust stores or takes it out, then tries it. Throws if the system does not believe it afterwards. */
export async function changeTrust(action: 'install' | 'uninstall'): Promise<Result<TrustReport>> {
  const environment = currentEnvironment();
  const root = await openRoot(userRootOptions(environment, Date.now()));
  if (!root.ok) return root;
  const { certificatePath, pem } = root.value;
  const change = action === 'install' ? installTrust : uninstallTrust;
  const stores = await change({
    rootPath: certificatePath,
    rootPem: pem,
    interactive: isInteractive(process.env, process.stdin.isTTY === true && process.stdout.isTTY === true),
    environment,
  });
  const handshake = await isTrustedBySystem(root.value, { now: Date.now() });
  const lines = [
    ...stores.flatMap(storeLines),
    `${handshake.client ?? 'handshake'}: ${handshake.state}${handshake.detail === '' ? '' : ` (${handshake.detail})`}`,
  ];
  const system = stores.find(({ store }) => store === 'system');
  const undone = system !== undefined && !['installed', 'already', 'removed', 'absent'].includes(system.state);
  if (undone || handshake.state === (action === 'install' ? 'untrusted' : 'trusted')) {
    const problem = {
      code: 'MESH-I130',
      message: action === 'install' ? 'the system does not trust the root yet' : 'the system still trusts the root',
      hint: system?.fix === undefined ? 'see below what each store said' : `run ${system.fix}`,
    };
    throw new CommandFailure([problem], 1, lines);
  }
  return ok({ root: certificatePath, stores, handshake, lines });
}

function storeLines({ name, state, detail, fix }: TrustStoreReport): string[] {
  const line = `${name}: ${STATES[state]}${detail === undefined ? '' : ` (${detail})`}`;
  return fix === undefined ? [line] : [line, `  fix: ${fix}`];
}
