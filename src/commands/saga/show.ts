import { Args } from '@oclif/core';
import { MeshCommand } from '../../runtime/client/base-command.ts';
import { showSaga } from '../../runtime/client/saga.ts';
import { renderSaga } from '../../runtime/client/saga-view.ts';

export default class SagaShow extends MeshCommand {
  static override summary = 'Show a saga: its steps, and every call that was made.';
  static override description =
    'The service is asked through the mesh for `GET /sagas/ID`. Times are counted from when the saga was accepted; a call without an end is being made, or its process did not survive it.';
  static override examples = [
    '$ mesh saga show orders order-7',
    '$ mesh saga show orders order-7 --json | jq .history',
  ];
  static override args = {
    service: Args.string({ required: true, description: 'the service that runs the saga' }),
    id: Args.string({ required: true, description: 'its ID, as `mesh saga ls` shows it' }),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(SagaShow);
    const client = await this.connect(flags);
    const saga = this.unwrap(await showSaga(await client.status(), args.service, args.id));
    if (flags.json) this.printJson(saga);
    else this.print(...renderSaga(saga, args.service, this.style, this.columns));
  }
}
