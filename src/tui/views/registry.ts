import type { ViewId } from '../ui-state.ts';
import { certificates } from './certificates.ts';
import { config } from './config.ts';
import { logs } from './logs.ts';
import { requests } from './requests.ts';
import { routes } from './routes.ts';
import { services } from './services.ts';
import { topology } from './topology.ts';
import type { AnyView } from './view.ts';

export const VIEWS = { services, requests, routes, topology, logs, certificates, config } satisfies Record<
  ViewId,
  AnyView
>;
