import { exactlyOne } from '../schema-parts.ts';
import { urlPath } from '../schema-texts.ts';

export const pathRewrite = exactlyOne<{ replacePrefix: string } | { replaceFull: string }>('a path rewrite', {
  replacePrefix: urlPath,
  replaceFull: urlPath,
});
