import type { ServiceConfig } from '../../../model/config.ts';
import { type Draft, gatewayFor, NO_PORT, NO_PORT_COMMENT, toName } from './draft.ts';

/** `web: node server.js --port $PORT`, one process a line; `release` runs once before the others. */
export function draftFromProcfile(text: string, name: string): Draft {
  const services: Record<string, ServiceConfig> = {};
  const comments: Record<string, string[]> = {};
  const entries = [...text.matchAll(/^([A-Za-z0-9_-]+):[ \t]*(\S.*?)[ \t]*$/gm)].map(([, process, command]) => ({
    process,
    service: toName(process),
    command,
  }));
  const release = entries.find(({ process }) => process === 'release')?.service;
  for (const { process, service, command } of entries) {
    if (process === 'release') {
      services[service] = { command, task: true };
      continue;
    }
    // By Heroku's convention only `web` is given a port; others may still use it.
    const listens = process === 'web' || /\bPORT\b/.test(command);
    services[service] = { command, ...(listens ? {} : NO_PORT) };
    if (!listens) comments[service] = [NO_PORT_COMMENT];
    if (release !== undefined) services[service].dependsOn = { [release]: 'completed' };
  }
  const candidates = Object.entries(services)
    .filter(([, { task, readiness }]) => !task && readiness === undefined)
    .map(([service]) => service);
  return { config: { version: 1, name, gateway: gatewayFor(candidates), services }, comments, leftOut: [] };
}
