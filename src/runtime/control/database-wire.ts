import type { Result } from '../../model/result.ts';

/** Where a database is for people and their tools. */
export interface DatabaseAccess {
  /** Name of the resource. */
  name: string;
  /** Through the proxies, as `as` reaches it; null: nobody who runs depends on it. */
  url: string | null;
  /** The service whose connection `url` is; empty without it. */
  as: string;
  /** Without proxies. */
  directUrl: string;
}

/** What can be done with the databases among the resources of a mesh. */
export interface DatabaseControl {
  /** @param as the service whose connection is meant; null: any that depends on it */
  access(name: string, as: string | null): Promise<Result<DatabaseAccess>>;
  /** Deletes everything in it and runs its migrations again. */
  reset(name: string): Promise<Result<void>>;
  /** Applies the migrations that are new. */
  migrate(name: string): Promise<Result<void>>;
}

/** `Database` of the control API. */
export interface DatabaseMessage {
  name: string;
  url: string;
  as: string;
  directUrl: string;
}

export const databaseToWire = ({ name, url, as, directUrl }: DatabaseAccess): DatabaseMessage => ({
  name,
  url: url ?? '',
  as,
  directUrl,
});

export const databaseFromWire = ({ name, url, as, directUrl }: DatabaseMessage): DatabaseAccess => ({
  name,
  url: url === '' ? null : url,
  as,
  directUrl,
});
