import { serviceEnvironment } from '../../model/environment.ts';
import type { Ledger } from '../state/ledger.ts';
import { markerOf } from '../state/process-table.ts';
import type { Supervisor } from '../supervisor/supervisor.ts';
import type { InjectionsOptions } from './contract.ts';
import { Injections } from './injections.ts';
import { createInterceptions, type InterceptionContext } from './interceptions.ts';
import { fileVariables } from './own-environment.ts';

export interface InjectionParts
  extends Omit<InjectionsOptions, 'own' | 'environment' | 'describeProcess' | 'interceptions'> {
  supervisor: Supervisor;
  ledger: Ledger;
  dataPlanes: InterceptionContext['dataPlanes'];
  dataPlanePids: () => readonly number[];
}

/** The injections of a mesh, on the parts that it consists of. */
export function createInjections(parts: InjectionParts): Injections {
  const { supervisor, network, ledger, stateDir, notice, dataPlanes, dataPlanePids } = parts;
  return new Injections({
    ...parts,
    own: supervisor,
    environment: ({ instance, service, ports }, config) => {
      const subset = network.subset(instance);
      const extra = network.environment(instance);
      return serviceEnvironment({
        ...{ config, service, subset, instance, ports, extra },
        files: fileVariables(config, service),
      });
    },
    describeProcess(pid) {
      if (pid === process.pid) return 'the daemon of this mesh';
      if (dataPlanePids().includes(pid)) return 'the data plane of this mesh';
      const marker = markerOf(pid);
      const entry = ledger.live().find((each) => each.marker === marker);
      return entry === undefined ? null : `${entry.instance}, which the mesh runs`;
    },
    interceptions: createInterceptions({ stateDir, dataPlanes, notice }),
  });
}
