import { statSync } from 'node:fs';
import path from 'node:path';
import { problem } from '../../model/errors.ts';
import type { ResolvedConfig } from '../../model/resolved.ts';
import type { Problem } from '../../model/result.ts';

/** MESH-B101 for each path of `proto` that is no file: without it a typing error would only show in what taps do not say. */
export function checkProtoPaths({ services, baseDir }: ResolvedConfig): Problem[] {
  return Object.values(services).flatMap(({ name, protos }) =>
    protos.flatMap((file, index) => {
      if (statSync(file, { throwIfNoEntry: false })?.isFile()) return [];
      return [
        problem('MESH-B101', {
          path: protos.length === 1 ? `services.${name}.proto` : `services.${name}.proto[${index}]`,
          message: `no such file: ${path.relative(baseDir, file) || '.'}`,
          hint: 'paths are relative to mesh.config.ts; without `proto` mesh looks in the working directory of the service',
        }),
      ];
    }),
  );
}
