/** `MESH_BENCH_QUICK=1`: one short round of everything, to see that it works. The figures mean nothing then. */
export const QUICK = process.env.MESH_BENCH_QUICK === '1';
