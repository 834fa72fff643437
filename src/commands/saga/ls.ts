import { Args, Flags } from '@oclif/core';
import { MeshCommand } from '../../runtime/client/base-command.ts';
import { listSagas, SAGA_STATES } from '../../runtime/client/saga.ts';
import { renderSagas } from '../../runtime/client/saga-view.ts';

export default class SagaLs extends MeshCommand {
  static override summary = 'List the sagas of a service, the latest first.';
  static override description =
    'The service is asked through the mesh for `GET /sagas`, which services made by `mesh new saga` answer. A parked saga waits for somebody: one of its compensations cannot be done.';
  static override examples = [
    '$ mesh saga ls orders',
    '$ mesh saga ls orders --state parked',
    '$ mesh saga ls orders --json',
  ];
  static override args = { service: Args.string({ required: true, description: 'the service that runs the sagas' }) };
  static override flags = {
    state: Flags.string({ options: [...SAGA_STATES], description: 'only those in this state' }),
    count: Flags.integer({ char: 'n', min: 1, max: 500, default: 50, helpValue: 'N', description: 'at most so many' }),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(SagaLs);
    const client = await this.connect(flags);
    const page = this.unwrap(await listSagas(await client.status(), args.service, flags));
    if (flags.json) this.printJson(page);
    else this.print(...renderSagas(page, this.style, { columns: this.columns, now: Date.now() }));
  }
}
