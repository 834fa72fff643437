import { MeshCommand } from '../../runtime/client/base-command.ts';
import { listSagaServices } from '../../runtime/client/saga.ts';
import { renderSagaServices } from '../../runtime/client/saga-view.ts';

export default class Saga extends MeshCommand {
  static override summary = 'List the services that run sagas, with how many are in which state.';
  static override description =
    'Every running HTTP service is asked for `GET /sagas`; those made by `mesh new saga` answer.';
  static override examples = ['$ mesh saga', '$ mesh saga ls orders', '$ mesh saga show orders order-7'];

  async run(): Promise<void> {
    const { flags } = await this.parse(Saga);
    const client = await this.connect(flags);
    const services = await listSagaServices(await client.status());
    if (flags.json) this.printJson({ services });
    else this.print(...renderSagaServices(services, this.style, this.columns));
  }
}
