import { bold, dim, field, type Line, line } from './layout/lines.ts';
import { blank, heading } from './views/view.ts';

/** Every key, in as many lines as a terminal of 24 rows shows. */
export const helpLines = (quit: 'stop' | 'quit'): Line[] => [
  heading('Keys'),
  field('1 to 7, Tab', 'services requests routes topology logs certificates config'),
  field('j k, arrows', 'up and down; PgUp PgDn; g first, G last (follows what comes)'),
  field('Enter, Esc', 'the row in full, and back; Esc also clears the filter'),
  field('/', 'filter; s sort; p pause and go on (nothing is lost but what is old)'),
  field('q', quit === 'stop' ? 'stop the mesh, as Ctrl-C does; again: by force' : 'leave; the mesh runs on'),
  blank,
  heading('Of the selected service'),
  field('r', 'restart it'),
  field('x', 'stop it, or start it again'),
  field('l', 'its logs; v there: least level'),
  field('e', 'its place in mesh.config.ts in $VISUAL or $EDITOR'),
  field('b', 'requests: bodies of those that come from now on, without secret fields'),
  blank,
  heading('Filters'),
  line(bold('  orders 5xx'), dim('       both words, anywhere       '), bold('!health'), dim('  not there')),
  line(bold('  to:orders'), dim('        in one field: from to method path status route flags trace')),
  line(bold('  status:5xx >100ms'), dim(' a class of statuses, at least so long')),
];
