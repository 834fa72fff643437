import type { CertificateStatus } from '../../model/status.ts';
import { parseFilter } from '../filter.ts';
import { bar } from '../layout/charts.ts';
import type { Column } from '../layout/columns.ts';
import { duration } from '../layout/format.ts';
import { bold, dim, field, line, type Span, tinted } from '../layout/lines.ts';
import { blank, type Context, drawTable, type ViewDefinition } from './view.ts';

interface CertificateRow {
  certificate: CertificateStatus;
  leftMs: number;
  /** Share of its life that is left, from 0 to 1. */
  left: number;
}

/** Rotation is at 80 % of the life; less than this left means that it did not happen. */
const OVERDUE = 0.15;
const SORTS = ['SERVICE', 'EXPIRES IN'] as const;

export const certificates: ViewDefinition<CertificateRow> = {
  id: 'certificates',
  title: 'Certificates',
  sorts: SORTS,
  grows: false,
  hints: '',
  rows(context) {
    const wanted = parseFilter(context.list.filter);
    const rows = allRows(context).filter(({ certificate }) =>
      wanted({
        fields: { service: certificate.service, identity: certificate.spiffeId, serial: certificate.serial },
      }),
    );
    return context.list.sort === 1 ? rows.sort((a, b) => a.leftMs - b.leftMs) : rows;
  },
  keyOf: ({ certificate }) => certificate.serial,
  serviceOf: ({ certificate }) => certificate.service,
  placeOf: () => null,
  draw: ({ list }, rows, selected, size) => drawTable(layout, rows, selected, size, SORTS[list.sort]),
  detail: (_, row, columns) => [
    line(bold(row.certificate.service)),
    blank,
    field('identity', row.certificate.spiffeId || 'for browsers: names, no SPIFFE ID'),
    field('serial', row.certificate.serial),
    field('issuer', row.certificate.issuer),
    field('not before', row.certificate.notBefore),
    field('not after', row.certificate.notAfter),
    field('expires in', countdown(row)),
    field('left', { text: bar(row.left, Math.min(40, columns - 16)), colour: colourOf(row) }),
  ],
  whyEmpty: () => 'no certificate was issued yet',
};

const allRows = ({ view, now }: Context): CertificateRow[] =>
  view.certificates.map((certificate) => {
    const [from, to] = [Date.parse(certificate.notBefore), Date.parse(certificate.notAfter)];
    const leftMs = to - now;
    return { certificate, leftMs, left: to <= from ? 0 : Math.min(1, Math.max(0, leftMs / (to - from))) };
  });

const colourOf = ({ left, leftMs }: CertificateRow) => (leftMs <= 0 ? 'red' : left < OVERDUE ? 'yellow' : 'green');

const countdown = (row: CertificateRow): Span =>
  tinted(
    row.leftMs <= 0 ? 'expired' : row.leftMs < 60_000 ? `${Math.ceil(row.leftMs / 1_000)}s` : duration(row.leftMs),
    colourOf(row),
  );

const layout: Column<CertificateRow>[] = [
  { title: 'SERVICE', min: 8, max: 24, cell: ({ certificate }) => certificate.service },
  { title: 'EXPIRES IN', align: 'right', min: 10, cell: countdown },
  { title: 'LEFT', min: 10, rank: 2, cell: (row) => tinted(bar(row.left, 10), colourOf(row)) },
  { title: 'IDENTITY', min: 16, rank: 1, cell: ({ certificate }) => certificate.spiffeId || dim('for browsers') },
  { title: 'SERIAL', min: 8, max: 40, rank: 3, cell: ({ certificate }) => dim(certificate.serial) },
  { title: 'NOT AFTER', min: 20, rank: 4, cell: ({ certificate }) => dim(certificate.notAfter.replace('.000Z', 'Z')) },
];
